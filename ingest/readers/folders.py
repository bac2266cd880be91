"""Find the files of a folder that can be read, and the values in the names of its partitions.

    lake/swipes/day=2024-05-01/part-0.parquet    a file, with the value of the column `day`
    lake/swipes/_SUCCESS, .part-0.crc            left out: names that begin with . or _
    lake/swipes/notes.md                         left out, and named in the account

Hive and Spark write such folders. A link to a place inside the folder is followed once; other links are left out.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from photogenic.ingest.readers.formats import by_content, has_known_name

__all__ = ["Listing", "Partition", "list_folder", "partitions"]

Partition = tuple[str, str | None]
"""Name and value of a column in the name of a folder; None: missing."""

_MISSING = "__HIVE_DEFAULT_PARTITION__"


@dataclass(slots=True)
class Listing:
    """The files of a folder.

    Attributes:
        files: paths of the files to read, in the order of their names.
        unknown: paths of files of formats that are not read.
        outside: links that lead out of the folder, or nowhere.
        table: a folder in it that is a table of Delta Lake.
    """

    files: list[Path] = field(default_factory=list)
    unknown: list[Path] = field(default_factory=list)
    outside: list[Path] = field(default_factory=list)
    table: Path | None = None


def list_folder(folder: Path) -> Listing:
    """List the files of a folder and of the folders in it.

    Raises:
        OSError: a folder or a file cannot be read.
    """
    listing, links = Listing(), list[Path]()
    root = os.path.realpath(folder)
    seen = {root}
    _walk(folder, listing, links, seen)
    while links:
        link = links.pop(0)
        target = os.path.realpath(link)
        is_inside = target == root or target.startswith(os.path.join(root, ""))  # noqa: PTH118
        if not is_inside or not os.path.exists(target):  # noqa: PTH110
            listing.outside.append(link)
        elif target not in seen:
            if os.path.isdir(target):  # noqa: PTH112
                seen.add(target)
                _walk(link, listing, links, seen)
            else:
                _add(link, Path(target).stat().st_mode, listing, seen)
    listing.files.sort()
    return listing


def partitions(folders: Iterable[str]) -> tuple[Partition, ...]:
    """The columns in the names of folders: `day=2024-05-01`. If a name is there twice, the inner folder counts."""
    found = dict[str, str | None]()
    for folder in folders:
        name, equals, value = folder.partition("=")
        if equals and name:
            found[unquote(name)] = None if value == _MISSING else unquote(value)
    return tuple(found.items())


def _walk(folder: Path, listing: Listing, links: list[Path], seen: set[str]) -> None:
    """Add the files below a folder, and collect the links to look at later: a path without links precedes them."""
    waiting = [folder]
    while waiting:
        at = waiting.pop()
        with os.scandir(at) as scanned:
            entries = sorted(scanned, key=lambda entry: entry.name)
        for entry in entries:
            path = at / entry.name
            if entry.name == "_delta_log":
                listing.table = at
            # Spark hides these names too, except for partitions of a column such as `_day`.
            if entry.name.startswith(".") or (entry.name.startswith("_") and "=" not in entry.name):
                continue
            if entry.is_symlink():
                links.append(path)
            elif entry.is_dir():
                real = os.path.realpath(path)
                if real not in seen:
                    seen.add(real)
                    waiting.append(path)
            else:
                _add(path, entry.stat(follow_symlinks=False).st_mode, listing, seen)


def _add(path: Path, mode: int, listing: Listing, seen: set[str]) -> None:
    """Add a file, if its format is one that is read. Pipes and devices are never opened."""
    real = os.path.realpath(path)
    if real in seen:
        return
    seen.add(real)
    if not stat.S_ISREG(mode):
        listing.unknown.append(path)
    elif has_known_name(path.name) or _has_known_content(path):
        listing.files.append(path)
    else:
        listing.unknown.append(path)


def _has_known_content(path: Path) -> bool:
    """Whether the first bytes show a format: Hive writes files without an ending, such as `000000_0`."""
    with path.open("rb") as file:
        return by_content(file.read(16), path.name) is not None
