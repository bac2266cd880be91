"""Modules of the user's own, which register encoders, heads and picture features.

They are named in `FEATURES_MODULES`, separated by commas, and imported when a name is looked up that the program does
not know, or when all names are listed. `FEATURES_ENCODERS`, the older name of the setting, is read as well. The file
`features.py` of a project is one more of them: the module `photogenic_project`.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable
from importlib.abc import InspectLoader
from importlib.util import decode_source
from pathlib import Path
from types import CodeType, ModuleType, TracebackType

from photogenic.warehouse.errors import InputError, PhotogenicError

__all__ = [
    "PROJECT_MODULE",
    "REGISTERING",
    "VARIABLES",
    "how_to_register",
    "import_user_modules",
    "project_module",
    "undo_with_project",
    "use_project_module",
    "user_modules",
]

VARIABLES = ("FEATURES_MODULES", "FEATURES_ENCODERS")
"""Environment variables that name modules."""

PROJECT_MODULE = "photogenic_project"
"""Name under which `features.py` of the project is imported."""

REGISTERING = "features.py of the project or a module in FEATURES_MODULES"
"""What registers encoders, heads and features of a user, in the words of all messages."""


class _Project:
    """The `features.py` that this process uses.

    Attributes:
        path: its path; None: there is none.
        refusal: why it may not run, and how to allow it; empty: it may.
        note: what tells the user of the refusal, once.
        loaded: path, time and size of the file that was imported.
        undo: what takes back the registrations of the module that was imported.
        is_importing: whether it runs at this moment.
    """

    path: Path | None = None
    refusal: str = ""
    note: Callable[[str], None] | None = None
    loaded: tuple[Path, int, int] | None = None
    undo: list[Callable[[], object]]
    is_importing = False

    def __init__(self) -> None:
        self.undo = []


_project = _Project()
_IMPORTING = threading.RLock()
"""Held while `features.py` runs: another thread that looks up a name waits for what it registers."""


def use_project_module(
    path: str | Path | None, *, refusal: str = "", note: Callable[[str], None] | None = None
) -> None:
    """Set the `features.py` of the project; it is imported together with the modules that a variable names.

    It is kept for this process. If another file was imported before, or the file has changed since, its registrations
    are taken back, and the file is imported when a name is looked up again.

    Args:
        path: path of the file; None: there is none.
        refusal: why it may not run; it is then not imported.
        note: called with the refusal, once, when the file would have been imported.
    """
    _project.path = Path(path) if path is not None else None
    _project.refusal, _project.note = refusal, note
    if _project.loaded is not None and (refusal or _project.loaded != _state(_project.path)):
        _forget()


def project_module() -> Path | None:
    """Return the `features.py` that lookups import; None: there is none, or it may not run."""
    return None if _project.refusal else _project.path


def undo_with_project(undo: Callable[[], object]) -> None:
    """Remember how to take back a registration, if `features.py` makes it at this moment."""
    if _project.is_importing:
        _project.undo.append(undo)


def user_modules() -> list[tuple[str, str]]:
    """(variable, module) of every module that is named, each module once."""
    found: dict[str, str] = {}
    for variable in VARIABLES:
        for module in filter(None, os.environ.get(variable, "").split(",")):
            found.setdefault(module.strip(), variable)
    return [(variable, module) for module, variable in found.items()]


def how_to_register(name: str) -> str:
    """Return the remedy for an encoder, head or picture feature of the user's own that is not registered here."""
    return (
        f"name the project whose features.py registers {name}: --project DIR, or set FEATURES_MODULES to the module "
        "that does"
    )


def import_user_modules(error: type[PhotogenicError] = InputError) -> None:
    """Import them; a module that was imported before is not run again.

    Args:
        error: class of the error to raise; a lookup of an encoder passes `EncoderError`.

    Raises:
        PhotogenicError: of the class `error`: a module, or one that it imports, is not there; `features.py` of the
            project raises an error.
    """
    for variable, module in user_modules():
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as missing:
            raise error(
                f"{variable} names {module!r}: {missing}.",
                "a module on PYTHONPATH that registers encoders or heads",
                f"python -c 'import {module}'",
            ) from missing
    if _project.path is not None:
        with _IMPORTING:
            _import_project(_project.path, error)


def _import_project(path: Path, error: type[PhotogenicError]) -> None:
    if _project.refusal:
        if _project.note is not None:
            _project.note(_project.refusal)
            _project.note = None
        return
    if _project.loaded is not None or _project.is_importing:
        return
    state = _state(path)
    module = ModuleType(PROJECT_MODULE, None)
    module.__file__ = str(path)
    sys.modules[PROJECT_MODULE] = module
    _project.is_importing = True
    try:
        _Source(path).exec_module(module)
        _project.loaded = state
    except (Exception, SystemExit) as raised:  # the code of a user may raise anything
        raise error(
            f"{path}{_line(raised, path)} cannot be imported: {type(raised).__name__}: {raised}",
            "Python that registers heads, encoders or features of pictures",
            f"python {path}",
        ) from raised
    finally:
        _project.is_importing = False
        if _project.loaded is None:
            _forget()


class _Source(InspectLoader):
    """Run a file as it is now: Python's own loader of files would read and write compiled copies beside it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get_source(self, fullname: str) -> str:
        """Return the text of the file."""
        del fullname
        return decode_source(self._path.read_bytes())

    def get_code(self, fullname: str) -> CodeType:
        """Compile the file under its path, which tracebacks show."""
        del fullname
        return self.source_to_code(self._path.read_bytes(), str(self._path))


def _forget() -> None:
    """Take back what the imported `features.py` registered."""
    for undo in reversed(_project.undo):
        undo()
    _project.undo.clear()
    _project.loaded = None
    sys.modules.pop(PROJECT_MODULE, None)


def _state(path: Path | None) -> tuple[Path, int, int] | None:
    try:
        found = path.stat() if path is not None else None
    except OSError:
        return None
    return (path, found.st_mtime_ns, found.st_size) if path is not None and found is not None else None


def _line(raised: BaseException, path: Path) -> str:
    """Return the line of the file at which an error arose, as `:LINE`."""
    if isinstance(raised, SyntaxError) and raised.filename == str(path):
        return f":{raised.lineno}"
    line, place = "", raised.__traceback__
    while isinstance(place, TracebackType):
        if place.tb_frame.f_code.co_filename == str(path):
            line = f":{place.tb_lineno}"
        place = place.tb_next
    return line
