"""Make a project folder: `features init NAME`.

1. Find what is there. A folder with `photogenic.toml` and the section `[project]` is a project already.
2. A new project gets the files of `template/`, and `photogenic.toml` last: a killed command is completed by the next.
   A project that is there gets the folders that it lacks. No file is changed.
3. Remember that this user allows the Python of the folder to run.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path

from photogenic.config.file import NAME
from photogenic.config.schema import check_file
from photogenic.warehouse.definitions import trust
from photogenic.warehouse.definitions.project import CODE, FOLDERS
from photogenic.warehouse.errors import ConflictError, InputError, StoreError
from photogenic.warehouse.storage.layout import refuse_name, write_atomically
from photogenic.warehouse.toml_file import shown, shown_path

__all__ = ["ProjectMade", "init_project"]

_TEMPLATE = Path(__file__).parent / "template"
_MOST_NAME = 60


@dataclass(frozen=True, slots=True)
class ProjectMade:
    """What `features init` did.

    Attributes:
        folder: the folder, as it was given.
        name: name of the project.
        project_id: its id.
        store: folder of its store.
        made: files and folders that were made, as paths inside the folder.
        kept: files of the project that were there and stay as they are.
        may_run: whether `features.py` may run when a command works in the folder.
        why_not: why it may not; empty: it may.
    """

    folder: Path
    name: str
    project_id: str
    store: Path
    made: tuple[str, ...]
    kept: tuple[str, ...]
    may_run: bool
    why_not: str = ""


def init_project(folder: str | Path, *, store: str | Path | None = None) -> ProjectMade:
    """Make a folder a project, or allow the Python of a project that is there; no file is changed.

    Args:
        folder: the folder; it is made if it is not there.
        store: folder of the store, which the file `photogenic.toml` of a new project names. Default: `./store` of the
            working folder if it is there, else `store` in the project.

    Raises:
        ConflictError: a store is named, and the project that is there has another one.
        InputError: the folder cannot be a project: it is a file, it has settings without a project, or a part of it is
            a link out of the folder.
        StoreError: the folder cannot be written, or no store can be where it is named.
    """
    root = _usable(folder)
    file = root / NAME
    made: list[str] = []
    if os.path.lexists(file):
        _refuse_existing(root, store)
    else:
        made = _write_template(root, _store_of(root, store))
    for name in dict.fromkeys(name for name, _ in FOLDERS.values()):
        if not os.path.lexists(root / name):
            _make_folder(root / name)
            made.append(f"{name}/")
    config, why_not = check_file(file), ""
    section = config.project
    assert section is not None
    assert config.store is not None
    try:
        trust.allow(section.folder, section.project_id)
    except StoreError as error:
        why_not = error.what
    return ProjectMade(
        folder=root,
        name=section.name,
        project_id=section.project_id,
        store=config.store,
        made=tuple(made),
        kept=tuple(name for name in _present(root) if name not in made),
        may_run=not why_not,
        why_not=why_not,
    )


def _usable(folder: str | Path) -> Path:
    """Return the folder, unless its parts are of the wrong kind."""
    if not str(folder) or "\0" in str(folder):
        raise InputError(
            f"The folder is called {shown(str(folder))}.", "the path of a folder", "features init photo-lab"
        )
    root = Path(folder)
    if os.path.realpath(root) == os.sep:
        raise InputError(
            f"{shown_path(root)} is the root of the file system: every command on this machine would use the project.",
            "a folder of its own",
            "features init photo-lab",
        )
    if os.path.lexists(root) and not root.is_dir():
        what = "is a link to nothing" if root.is_symlink() else "is a file"
        raise InputError(f"{shown_path(root)} {what}.", "a folder, or a name that is free", "features init photo-lab")
    real = Path(os.path.realpath(root))
    for name in dict.fromkeys(name for name, _ in FOLDERS.values()):
        part = root / name
        if not os.path.lexists(part):
            continue
        if not part.is_dir():
            raise InputError(f"{shown_path(part)} is a file.", "a folder, or nothing", "rename it, and try again")
        if not Path(os.path.realpath(part)).is_relative_to(real):
            raise InputError(
                f"{shown_path(part)} is a link to {shown_path(Path(os.path.realpath(part)))}, outside the project.",
                "a folder inside the project",
                f"rm {shlex.quote(shown_path(part))}",
            )
    return root


def _refuse_existing(root: Path, store: str | Path | None) -> None:
    """Refuse a folder whose `photogenic.toml` says something else.

    Raises:
        ConflictError: its `photogenic.toml` names another store.
        InputError: it has no section `[project]`.
    """
    config = check_file(root / NAME)
    if config.project is None:
        lines = f'[project]\nname = {_toml(_name_of(root))}\nid = "{_new_id()}"'
        raise InputError(
            f"{shown_path(root / NAME)} has no section [project], and features init changes no file.",
            f"these lines in it:\n{lines}",
            f"add them, then features init {shlex.quote(shown_path(root))}",
        )
    if store is not None and config.store is not None and os.path.realpath(store) != os.path.realpath(config.store):
        line = config.toml.where("", "store") if config.toml is not None else NAME
        raise ConflictError(
            f"{line} names the store {shown_path(config.store)}, and features init changes no file.",
            "no --store, or the same one",
            f"write store = {_toml(str(store))} there, or add --store to each command",
        )


def _store_of(root: Path, store: str | Path | None) -> str:
    """Return the store as `photogenic.toml` names it: paths there start from the folder of the file."""
    given = Path(store) if store is not None else Path("store") if Path("store").is_dir() else None
    if given is None:
        return "store"
    if given.is_absolute():
        return str(given)
    return os.path.relpath(os.path.realpath(given.parent) + os.sep + given.name, os.path.realpath(root))


def _write_template(root: Path, store: str) -> list[str]:
    """Write the files of a new project that are not there, `photogenic.toml` last.

    Raises:
        StoreError: no store can be where it is named, or the folder cannot be written.
    """
    refuse_name(root / store, "A store")
    _make_folder(root)
    values = {"@NAME@": _toml(_name_of(root)), "@ID@": _new_id(), "@STORE@": _toml(store)}
    made = []
    for source in sorted(_TEMPLATE.rglob("*.*"), key=lambda path: (path.name == NAME, str(path))):
        name = str(source.relative_to(_TEMPLATE)).removesuffix(".txt")
        if os.path.lexists(root / name):
            continue
        text = re.sub("@[A-Z]+@", lambda mark: values[mark[0]], source.read_text("utf-8"))
        if _write_new(root / name, text.encode()):
            made.append(name)
    return made


def _write_new(path: Path, data: bytes) -> bool:
    """Write a whole file, unless one of this name is there, also if another process makes it at this moment."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.new")
    write_atomically(temporary, data)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        write_atomically(path, data)
    finally:
        temporary.unlink()
    return True


def _present(root: Path) -> list[str]:
    """Return the files of the project that are there, as paths inside its folder."""
    found = [name for name in (NAME, CODE) if os.path.lexists(root / name)]
    for folder, ending in FOLDERS.values():
        found += [f"{folder}/{path.name}" for path in (root / folder).glob(f"*{ending}") if path.name[0] != "."]
    return sorted(dict.fromkeys(found))


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{shown_path(path)} cannot be made: {error.strerror or error}.",
            "a folder that this user may write",
            f"ls -ld {shlex.quote(shown_path(path.parent))}",
        ) from error


def _name_of(root: Path) -> str:
    """Return the name of a project: that of its folder, as text that can be printed."""
    name = "".join(letter if letter.isprintable() else "_" for letter in Path(os.path.realpath(root)).name)
    return name.strip()[:_MOST_NAME] or "project"


def _new_id() -> str:
    return uuid.uuid4().hex[:16]


def _toml(text: str) -> str:
    """Return a text as TOML has it; a path that is no text is refused there."""
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InputError(f"{shown(text)} is not UTF-8.", "a path in UTF-8, which a TOML file can hold", "rename it")
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
