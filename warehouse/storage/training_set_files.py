"""The files of named training sets: Parquet, and a manifest that says what every column and row is.

    training_sets/NAME/vN/rows-<content>.parquet   the rows; the name ends with the beginning of the file's SHA-256
    training_sets/NAME/vN/manifest.json            written last

A version is made in a temporary folder and renamed as a whole, and never changes, except that rows of erased people
leave it. What counts are the versions that `facts.training_sets` lists.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from photogenic._lazy import pq
from photogenic.warehouse.errors import InputError, StoreError
from photogenic.warehouse.storage.checksum import checksum, has_changed
from photogenic.warehouse.storage.checksum import digest as file_digest
from photogenic.warehouse.storage.layout import Layout, sync_directory, write_atomically
from photogenic.warehouse.storage.manifest import (
    checked_file_name,
    dump_with_digest,
    load_with_digest,
    read_limited,
    to_dataclass,
)
from photogenic.warehouse.storage.parquet_parts import MANIFEST, Part

__all__ = [
    "Manifest",
    "Removal",
    "SetColumn",
    "abandoned",
    "check_files",
    "check_name",
    "damaged",
    "describe",
    "folders",
    "hold",
    "read_manifest",
    "write_manifest",
]

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_VERSION = re.compile(r"v([1-9][0-9]{0,8})")


@dataclass(frozen=True, slots=True)
class SetColumn:
    """One column of a training set.

    Attributes:
        type: type in SQL; of an encoder, `float[d]`.
        role: what it is for.
        source: `relation.column`, or the name of an encoder; empty for what the set itself adds.
        time: how a feature was joined: `interval`, `constant`, `clock`, `row` for columns of the entity, or empty.
    """

    name: str
    type: str
    role: Literal["key", "instant", "target", "weight", "split", "feature"]
    source: str = ""
    time: str = ""


@dataclass(frozen=True, slots=True)
class Removal:
    """Rows that an erase or a purge removed.

    Attributes:
        removed_at: when; UTC, ISO 8601.
        n_rows: rows that left.
        n_values: texts of other rows that mentioned what was erased and were emptied.
    """

    removed_at: str
    n_rows: int
    n_values: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a version of a training set is.

    Attributes:
        definition: options that it was created with.
        n_rows: rows that it has now.
        columns: columns in the order of the files.
        counts: rows of the entity and what became of them, of each joined relation, missing values and splits.
        digests: content, labels, relations, encoders and code.
        audit: what the audit compared.
        removals: rows that left since.
        parts: files.
    """

    name: str
    version: int
    created_at: str
    program: str
    definition: dict[str, Any]
    n_rows: int
    columns: tuple[SetColumn, ...]
    counts: dict[str, Any]
    digests: dict[str, Any]
    audit: dict[str, Any]
    parts: tuple[Part, ...]
    removals: tuple[Removal, ...] = field(default=())

    @property
    def status(self) -> str:
        """`ok`; `remade` if rows left."""
        return "remade" if self.removals else "ok"


def check_name(name: object) -> str:
    """Return a name that a training set may have.

    Raises:
        InputError: it may not have it.
    """
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    raise InputError(
        f"A training set cannot be called {str(name)[:80]!r}.",
        "at most 63 lower-case letters, digits, _ and -, of which the first is a letter",
        "features training-set create may-2024 ...",
    )


def folders(layout: Layout) -> list[tuple[str, int, Path]]:
    """Return name, version and folder of every version on disk, finished or not."""
    found = []
    for path in layout.training_sets.glob("*/v*"):
        version = _VERSION.fullmatch(path.name)
        if version and _NAME.fullmatch(path.parent.name) and path.is_dir():
            found.append((path.parent.name, int(version[1]), path))
    return sorted(found)


def hold(folder: Path) -> int:
    """Mark a temporary folder as one that this process works in, until the handle that is returned is closed."""
    handle = os.open(folder, os.O_RDONLY)
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return handle


def abandoned(layout: Layout) -> list[Path]:
    """Return temporary folders that no process works in: a creation was killed."""
    found = []
    for path in sorted(layout.training_sets.glob(".*.tmp")):
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found.append(path)
            finally:
                os.close(handle)
    return found


def describe(path: Path) -> Part:
    """Return the entry of a file that was just written; sync it, and give it a name with its SHA-256."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    sha256 = file_digest(path)
    named = path.with_name(f"rows-{sha256[:16]}.parquet")
    path.replace(named)
    return Part(named.name, pq.read_metadata(named).num_rows, named.stat().st_size, sha256, checksum(named))


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a folder."""
    write_atomically(folder / MANIFEST, dump_with_digest(asdict(manifest)))
    sync_directory(folder)


def read_manifest(folder: Path) -> Manifest | None:
    """Read the manifest of a folder. None: there is none.

    Raises:
        StoreError: it is damaged, or a file that it lists is absent or has another size.
    """
    try:
        found = to_dataclass(Manifest, load_with_digest(read_limited(folder / MANIFEST)))
        for part in found.parts:
            checked_file_name(part.file)
            size = (folder / part.file).stat().st_size
            if size != part.bytes:
                raise ValueError(f"{part.file} has {size:,} bytes, and the manifest says {part.bytes:,}")
        if (found.name, f"v{found.version}") != (folder.parent.name, folder.name) and not _is_temporary(folder):
            raise ValueError(f"it is the manifest of {found.name} v{found.version}")
    except FileNotFoundError as error:
        if Path(error.filename).name == MANIFEST:
            return None
        raise damaged(folder, f"{Path(error.filename).name} is missing") from error
    except (ValueError, OSError) as error:
        raise damaged(folder, str(error)) from error
    return found


def check_files(folder: Path, manifest: Manifest, *, thorough: bool = False) -> None:
    """Compare the bytes of the files with their checksums; if `thorough`, with their SHA-256 too.

    Raises:
        StoreError: they differ.
    """
    for part in manifest.parts:
        path = folder / part.file
        if has_changed(path, part.checksum) or (thorough and file_digest(path) != part.sha256):
            raise damaged(folder, f"the bytes of {part.file} are not those that were written")


def damaged(folder: Path, why: str) -> StoreError:
    """Return the error of a damaged version."""
    name, version = folder.parent.name, folder.name[1:]
    return StoreError(
        f"Training set {name} {folder.name} is damaged: {why}.",
        "the files that its manifest describes",
        f"restore it from a backup, or features training-set remove {name} --version {version} and create it again",
    )


def _is_temporary(folder: Path) -> bool:
    return folder.name.startswith(".")
