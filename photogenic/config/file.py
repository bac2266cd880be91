"""Find `photogenic.toml`, and with it the project that a command works in.

1. The file or the project that is named: on the command line or in Python, else by `FEATURES_CONFIG` and
   `FEATURES_PROJECT`. A project is named by its folder, which has the file.
2. Else the file in the working folder.
3. Else the file of a project in the nearest folder above that has one.
4. Else the file beside the store, in the folder that holds it.

A file that was found and not named is passed over if it belongs to another store: if it has a key `store`, and that is
not the store that the caller names. A file with the section `[project]` makes its folder the project.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from photogenic.config.values import ConfigFile
from photogenic.warehouse.duckdb_store.settings import default_store
from photogenic.warehouse.errors import ConflictError, InputError

__all__ = [
    "NAME",
    "PROJECT_VARIABLE",
    "VARIABLE",
    "load_config",
    "name_on_command_line",
    "named_on_command_line",
]

NAME = "photogenic.toml"
VARIABLE = "FEATURES_CONFIG"
"""Environment variable that names the file."""

PROJECT_VARIABLE = "FEATURES_PROJECT"
"""Environment variable that names the folder of a project."""

_SECTION = re.compile(rb"^[ \t]*\[[ \t]*\"?project\"?[ \t]*\]", re.MULTILINE)
_HEAD_BYTES = 1 << 18

_of_command_line: tuple[Path | None, Path | None] = None, None


def name_on_command_line(config: Path | None, project: Path | None = None) -> None:
    """Set the file and the project that the command line names; None: it names none. It holds for this process."""
    global _of_command_line  # noqa: PLW0603 - commands open their store without it
    _of_command_line = config, project


def named_on_command_line() -> tuple[Path | None, Path | None]:
    """Return the file and the project that the command line names."""
    return _of_command_line


def load_config(
    path: str | Path | None = None, *, store: str | Path | None = None, project: str | Path | None = None
) -> ConfigFile:
    """Find the file, and check all of it.

    Args:
        path: the file; None: that of the command line, else `$FEATURES_CONFIG`, else the one that is found.
        store: folder of the store; None: `$FEATURES_STORE`, else the one that the file names, else `./store`.
        project: folder of the project; None: that of the command line, else `$FEATURES_PROJECT`, else the one that is
            found.

    Raises:
        ConflictError: a file and a project are named, and the file is another one than that of the project.
        InputError: the file cannot be read, or something in it is not known or out of range; the project that is named
            is none.
    """
    config, folder = _of_command_line
    for at_config, at_project, option in (
        (path, project, "project="),
        (config, folder, "--project"),
        (os.environ.get(VARIABLE), os.environ.get(PROJECT_VARIABLE), PROJECT_VARIABLE),
    ):
        if at_project:
            return _of_project(Path(at_project), option, Path(at_config) if at_config else None)
        if at_config:
            return _checked(Path(at_config))
    return _found(store)


def _of_project(folder: Path, option: str, config: Path | None) -> ConfigFile:
    """Return the file of a project that is named."""
    file = folder / NAME
    if config is not None and os.path.realpath(config) != os.path.realpath(file):
        raise ConflictError(
            f"{config} is named as the file of settings, and {folder} as the project, which has its own.",
            f"one of them: the settings of a project are in {file}",
            f"--project {shlex.quote(str(folder))}, and no --config",
        )
    there = os.path.lexists(file)
    if not there and not folder.is_dir():
        what = "is a file" if os.path.lexists(folder) else "is not there"
        inside = folder.name == NAME and folder.is_file()
        free = f"features init {'photo-lab' if os.path.lexists(folder) else shlex.quote(str(folder))}"
        remedy = f"--project {shlex.quote(str(folder.parent))}" if inside else free
        raise InputError(f"{option} names {folder}, which {what}.", "the folder of a project", remedy)
    found = _checked(file) if there else None
    if found is None or found.project is None:
        lacks = f"has no {NAME}" if found is None else f"has a {NAME} without the section [project]"
        raise InputError(
            f"{option} names {folder}, which {lacks}.",
            "a folder that features init made",
            f"features init {shlex.quote(str(folder))}",
        )
    return replace(found, project=replace(found.project, named_by=option))


def _found(store: str | Path | None) -> ConfigFile:
    """Return the first file that is found and does not belong to another store."""
    given = Path(store) if store is not None else default_store() if os.environ.get("FEATURES_STORE") else None
    seen = set()
    for found in _places(given or default_store()):
        key = os.path.normpath(found)
        if key in seen or not os.path.lexists(found):
            continue
        seen.add(key)
        config = _checked(found)
        if given is None or config.store is None or os.path.realpath(config.store) == os.path.realpath(given):
            return config
    return ConfigFile()


def _places(store: Path) -> Iterator[Path]:
    """Yield the places of the file, in order."""
    yield Path(NAME)
    yield from _projects_above()
    yield store.parent / NAME


def _projects_above() -> Iterator[Path]:
    """Yield the file of the nearest project in a folder above the working folder.

    A folder in which everybody may write, such as /tmp, is passed over: anybody could have put a project there.
    """
    try:
        here = Path.cwd()
    except OSError:  # the working folder was removed
        return
    for folder in here.parents:
        file = folder / NAME
        if os.path.lexists(file) and not _everybody_writes(folder) and _has_section(file):
            yield file
            return


def _everybody_writes(folder: Path) -> bool:
    try:
        return bool(folder.stat().st_mode & stat.S_IWOTH)
    except OSError:
        return True


def _has_section(file: Path) -> bool:
    """Whether a file has the section `[project]`; other files of settings count in their own folder only."""
    try:
        if not file.is_file():  # a pipe would never end
            return False
        with file.open("rb") as opened:
            return _SECTION.search(opened.read(_HEAD_BYTES)) is not None
    except OSError:
        return True  # the error says why it cannot be read


def _checked(path: Path) -> ConfigFile:
    from photogenic.config.schema import check_file

    return check_file(path)
