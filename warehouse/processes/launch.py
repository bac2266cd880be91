"""Python processes that we start: nothing of the folder where one types, or of a project, runs in their place.

`python -m` and `python -c` look for modules in the working folder first, and then in $PYTHONPATH: an analyst's
`random.py`, `sql.py` or `app.py` would run in the place of the standard library's module, or of ours. A child looks

    1. in the standard library, 2. where this program is, 3. in the folders of installed packages,
    4. where the process that starts it looks further: all of it for children that load modules of yours
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

__all__ = ["HOME", "environment", "look_last", "python", "yours"]

HOME = str(Path(os.path.abspath(__file__)).parents[3])  # noqa: PTH100 - a checkout's links are not followed
"""The folder that holds the package `photogenic`."""

_PACKAGES = ("site-packages", "dist-packages")

_START = f"""\
import sys
home, further, module = sys.argv[1:4]
del sys.argv[1:4]
places = [at for at, folder in enumerate(sys.path) if folder.endswith({_PACKAGES})]
sys.path.insert(places[0] if places else len(sys.path), home)
further = [folder for folder in further.split({os.pathsep!r}) if folder and folder not in sys.path]
if further:
    from photogenic.warehouse.processes.launch import look_last
    look_last(further)
module, _, function = module.partition(':')
if function:
    import importlib
    getattr(importlib.import_module(module), function)()
else:
    import runpy
    runpy.run_module(module, run_name='__main__', alter_sys=True)
"""


class _Last:
    """Finds modules in `folders` that nothing else finds, and none with a name of Python's own.

    Folders at the end of `sys.path` would not do: a module there goes before a package of several folders (PEP 420),
    and stands for those of Python's modules that this system lacks.
    """

    def __init__(self, folders: Sequence[str]) -> None:
        self.folders = list(folders)

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002
        if path is not None or name in sys.stdlib_module_names:
            return None
        return PathFinder.find_spec(name, self.folders)


def look_last(folders: Sequence[str]) -> None:
    """From here on this process looks for modules in these folders as well, after all others."""
    sys.meta_path.append(_Last(folders))


def python(module: str, *arguments: str, of_user: bool = False) -> list[str]:
    """The command line of a child that runs `module` as its main one. Start it with `environment()`.

    Args:
        module: of this program, or of an installed package; its main part, or what `MODULE:FUNCTION` names.
        arguments: what it finds in `sys.argv` from 1 on.
        of_user: whether it must find modules of the user's, too, after all others.
    """
    further = yours() if of_user else _packages()
    return [sys.executable, "-P", "-s", "-c", _START, HOME, os.pathsep.join(further), module, *arguments]


def environment(**more: str) -> dict[str, str]:
    """This process's, less $PYTHONPATH, which Python would put before its own library."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | more


def yours() -> list[str]:
    """Every folder in which this process looks for modules, as absolute paths."""
    further = [folder for finder in sys.meta_path if isinstance(finder, _Last) for folder in finder.folders]
    return [str(Path(folder).absolute()) for folder in [*sys.path, *further]]


def _packages() -> list[str]:
    """Folders of installed packages that a child may not know: a person's own, those that $PYTHONPATH names."""
    engine = getattr(sys.modules.get("duckdb"), "__file__", None)
    where = [str(Path(engine).parents[1])] if engine else []
    return [folder for folder in sys.path if folder.endswith(_PACKAGES)] + where
