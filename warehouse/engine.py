"""What the machine does to a store, said in three beats: a damaged file, a full or read-only disk, too little memory.

DuckDB and the operating system raise these as errors of their own, from wherever they are met; around everything that
reads or writes stands `told`, which turns them into ours.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from warehouse.errors import PhotogenicError, StoreError

if TYPE_CHECKING:
    from warehouse.layout import Layout

__all__ = ["damage", "told", "trouble"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM}
_BROKEN = {errno.EIO}

_DAMAGED = (
    "Corrupt database file",
    "not a valid DuckDB database file",
    "Could not read enough bytes",
    "Failed to deserialize",
    "different version or corrupt",
)
_UNWRITTEN = (
    *("No space left on device", "File too large", "Disk quota exceeded", "Read-only file system"),
    *("Could not write", "Could not sync", "Could not truncate", "Input/output error", "Permission denied"),
)


@contextlib.contextmanager
def told(layout: Layout) -> Iterator[None]:
    """Around what reads or writes a store.

    Raises:
        StoreError: in place of an error of DuckDB or the operating system that tells of the machine, not of a bug.
    """
    try:
        yield
    except Exception as error:
        found = trouble(error, layout)
        if found is None:
            raise
        raise found from error


def trouble(error: BaseException, layout: Layout) -> StoreError | None:
    """What an error, or the one that led to it, says about the machine; None: nothing."""
    import duckdb

    seen: BaseException | None = error
    ours = isinstance(error, PhotogenicError)
    while seen is not None and not isinstance(seen, StoreError):
        if ours:  # said already, unless it blames the query for the file
            if (found := damage(seen, layout)) is not None and isinstance(seen, duckdb.Error):
                return found
        elif isinstance(seen, OSError) and not isinstance(seen, duckdb.Error):
            if seen.errno in _FULL | _BROKEN or (seen.errno in _CLOSED and _inside(layout, seen.filename)):
                return _disk(layout, f"{seen.strerror}: {seen.filename}" if seen.filename else str(seen.strerror))
        elif isinstance(seen, duckdb.OutOfMemoryException):
            return _memory(layout, seen)
        elif isinstance(seen, duckdb.Error):
            found = damage(seen, layout) or (_disk(layout, _short(seen)) if _has(seen, _UNWRITTEN) else None)
            if found is not None:
                return found
        seen = seen.__cause__ or seen.__context__
    return None


def damage(error: BaseException, layout: Layout) -> StoreError | None:
    """The error of a database file that is not what DuckDB wrote; None: it tells of something else."""
    if not _has(error, _DAMAGED):
        return None
    return StoreError(
        f"A database file of the store {layout.root} is damaged: {_short(error)}",
        "warehouse.duckdb and snapshot.duckdb as they were written",
        f"features doctor --thorough --fix --store {layout.root}",
    )


def _inside(layout: Layout, path: object) -> bool:
    """Whether a file that may not be written is one of the store's, or the way to it: others are not its trouble."""
    root = layout.root.resolve()
    return isinstance(path, (str, Path)) and (
        root.is_relative_to(found := Path(path).resolve()) or found.is_relative_to(root)
    )


def _disk(layout: Layout, why: str) -> StoreError:
    return StoreError(
        f"The store {layout.root} cannot be written: {why}",
        "a writable folder with free disk; what was finished before stands",
        f"df -h {layout.root}, make room, and run the same command again",
    )


def _memory(layout: Layout, error: Exception) -> StoreError:
    return StoreError(
        f"SQL needs more memory than it may take: {_short(error)}",
        "a memory limit that suffices; what was finished before stands",
        f"FEATURES_MEMORY_LIMIT=8GB, and the same command again; free disk at {layout.spill} helps too",
    )


def _has(error: BaseException, signs: tuple[str, ...]) -> bool:
    text = str(error)
    return any(sign in text for sign in signs)


def _short(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0][:300] if text else type(error).__name__
