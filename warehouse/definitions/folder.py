"""Read the files of a project folder.

The folder may come from a stranger. A file counts only if it is a regular file of the folder, small, and in UTF-8;
one that is not is listed as unreadable, and the others are read.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from photogenic.warehouse.definitions.project import CODE, FOLDERS, NAME, ProjectDefinitions
from photogenic.warehouse.errors import InputError
from photogenic.warehouse.toml_file import read_text, read_toml, shown, shown_path

__all__ = ["MOST_FILES", "project_id_in", "read_folder"]

MOST_FILES = 1000
"""Largest number of files that one folder of a project may have."""


def read_folder(
    path: Path, project_id: str, name: str, parameters: Mapping[str, Mapping[str, Any]], *, may_run: bool
) -> ProjectDefinitions:
    """Read the definitions of a project.

    Args:
        path: folder of the project.
        project_id: its id.
        name: its name.
        parameters: relation -> name of a parameter -> value.
        may_run: whether `features.py` may run.

    Raises:
        InputError: a folder of the project cannot be listed, or has too many files.
    """
    root = Path(os.path.realpath(path))
    found: dict[str, dict[str, str]] = {kind: {} for kind in FOLDERS}
    unreadable: dict[str, str] = {}
    for kind, (folder, ending) in FOLDERS.items():
        for file in _listed(root / folder, ending):
            stem = file.name.removesuffix(ending)
            try:
                found[kind][stem] = _content(root, file, stem, ending)
            except InputError as error:
                unreadable[f"{folder}/{shown_path(Path(file.name))}"] = str(error)
    code = root / CODE
    is_code = os.path.isfile(code)  # noqa: PTH113 - False also where the folder cannot be searched
    if is_code and not _is_within(root, code):
        unreadable[CODE], is_code = str(_outside(code)), False
    return ProjectDefinitions(
        project_id=project_id,
        name=name,
        path=root,
        parameters=parameters,
        unreadable=unreadable,
        code=code if is_code else None,
        may_run=may_run,
        **found,
    )


def project_id_in(folder: Path) -> str | None:
    """Return the id of the project that is in a folder now; None: there is none that can be read."""
    try:
        section = read_toml(folder / "photogenic.toml", "file").table.get("project")
    except InputError:
        return None
    found = section.get("id") if isinstance(section, dict) else None
    return found if isinstance(found, str) else None


def _listed(folder: Path, ending: str) -> Iterator[Path]:
    """Yield the files of a folder with that ending, in order; hidden files are those of editors and systems."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if not entry.name.startswith("."))
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(
            f"The folder {shown_path(folder)} cannot be listed: {error.strerror}.",
            "a folder that this user may read",
            f"ls -ld {shlex.quote(shown_path(folder))}",
        ) from error
    names = [name for name in names if name.endswith(ending)]
    if len(names) > MOST_FILES:
        raise InputError(
            f"The folder {shown_path(folder)} has {len(names):,} files *{ending}.",
            f"at most {MOST_FILES:,}",
            f"ls {shlex.quote(shown_path(folder))}",
        )
    yield from (folder / name for name in names)


def _content(root: Path, file: Path, stem: str, ending: str) -> str:
    """Return the content of one file.

    Raises:
        InputError: its name has another form, it lies outside the project, or it cannot be read.
    """
    if not NAME.fullmatch(stem):
        plain = re.sub(r"[^a-z0-9_]+", "_", stem.lower()).strip("_") or "name"
        better = plain[:63] if plain[0].isalpha() else f"r_{plain}"[:63]
        old, new = shlex.quote(shown_path(file)), shlex.quote(shown_path(file.with_name(f"{better}{ending}")))
        raise InputError(
            f"{shown(stem)} cannot be the name of a definition.",
            "a lower-case letter, then at most 62 lower-case letters, digits and _",
            f"mv {old} {new}",
        )
    if not _is_within(root, file):
        raise _outside(file)
    return read_text(file, "definition", "SQL" if ending.endswith(".sql") else "TOML")


def _is_within(root: Path, file: Path) -> bool:
    """Whether a file lies in the folder after its links are followed."""
    return Path(os.path.realpath(file)).is_relative_to(root)


def _outside(file: Path) -> InputError:
    return InputError(
        f"{shown_path(file)} is a link to {shown_path(Path(os.path.realpath(file)))}, which lies outside the project.",
        "a file inside the folder of the project",
        f"rm {shlex.quote(shown_path(file))}, and put the file itself there",
    )
