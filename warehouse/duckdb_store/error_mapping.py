"""Map errors of the machine to ours: a damaged file, a full or read-only disk, too little memory.

DuckDB and the operating system raise these as their own exceptions. `map_engine_errors` is the context manager around
every read and write of a store. The program passes any other exception to `classify_unhandled`.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from photogenic._lazy import duckdb
from photogenic.warehouse.errors import InputError, PhotogenicError, ResourceError, StoreError

if TYPE_CHECKING:
    from photogenic.warehouse.storage.layout import Layout

__all__ = [
    "blames_machine",
    "classify_error",
    "classify_unhandled",
    "corruption_error",
    "is_memory_error",
    "map_engine_errors",
    "resource_error",
]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM}
_BROKEN = {errno.EIO}
_NAMES = {errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENOENT}

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


_NO_MEMORY = (
    *("bad_alloc", "annot allocate memory", "can't allocate memory", "ut of memory", "Out of Memory"),
    *("malloc of size", "realloc of size", "ailed to allocate", "failed to map segment"),
)
"""Messages of glibc, DuckDB, torch, Arrow and FAISS for lack of memory; the types of these errors do not show it."""
_NO_THREADS = (
    *("start new thread", "Resource temporarily unavailable", "Failed to create thread"),
    *("thread constructor failed", "could not spawn threads", "ThreadPoolBuildError"),
)


@contextlib.contextmanager
def map_engine_errors(layout: Layout) -> Iterator[None]:
    """Context manager around every read or write of a store.

    Raises:
        StoreError: in place of an error of DuckDB or the operating system that the machine causes and not a bug.
        ResourceError: in place of an error for lack of memory, threads or open files.
    """
    try:
        yield
    except Exception as error:
        found = classify_error(error, layout)
        if found is None:
            raise
        raise found from error


def classify_error(error: BaseException, layout: Layout) -> StoreError | ResourceError | None:
    """Return the error to raise for an exception, or for its cause, that the machine caused; None: it did not."""
    seen: BaseException | None = error
    ours = isinstance(error, PhotogenicError)
    while seen is not None and not isinstance(seen, StoreError):
        if ours:  # said already, unless it blames the query for the file
            if (found := corruption_error(seen, layout)) is not None and isinstance(seen, duckdb.Error):
                return found
        elif not isinstance(seen, duckdb.Error) and (short := resource_error(seen)) is not None:
            return short
        elif isinstance(seen, OSError) and not isinstance(seen, duckdb.Error):
            if seen.errno in _FULL | _BROKEN or (seen.errno in _CLOSED and _inside(layout, seen.filename)):
                return _disk(layout, f"{seen.strerror}: {seen.filename}" if seen.filename else str(seen.strerror))
        elif isinstance(seen, duckdb.OutOfMemoryException):
            return _memory(layout, seen)
        elif isinstance(seen, duckdb.Error):
            if (said := resource_error(seen) or corruption_error(seen, layout)) is not None:
                return said
            if _has(seen, _UNWRITTEN):
                return _disk(layout, _short(seen))
        seen = seen.__cause__ or seen.__context__
    return None


def is_memory_error(error: BaseException) -> bool:
    """Whether an error of a library is about too little memory, address space or threads, not about its input."""
    if isinstance(error, (MemoryError, duckdb.OutOfMemoryException)):
        return True
    kinds = (duckdb.Error, OSError, RuntimeError, ImportError)
    return isinstance(error, kinds) and _has(error, _NO_MEMORY + _NO_THREADS)


def resource_error(error: BaseException) -> ResourceError | None:
    """Return the error for lack of memory, threads or open files; None: the exception has another cause.

    Code that takes read errors of a file for damage must call this first.
    """
    code = error.errno if isinstance(error, OSError) else None
    is_plain = not isinstance(error, PhotogenicError)
    if code == errno.EAGAIN or (is_plain and code is None and _has(error, _NO_THREADS)):
        return ResourceError(
            f"The machine allows no more threads or processes: {_short(error)}",
            "room for some threads per core in `ulimit -u`, `ulimit -v` and the container; finished work is kept",
            "FEATURES_THREADS=1 and the same command again, or higher limits",
        )
    if code in (errno.EMFILE, errno.ENFILE) or (is_plain and _has(error, ("Too many open files",))):
        return ResourceError(
            f"The machine allows no more open files: {_short(error)}",
            "about 1,000 open files; finished work is kept",
            "ulimit -n 4096, and the same command again",
        )
    if code == errno.ENOMEM or isinstance(error, MemoryError) or (is_plain and _has(error, _NO_MEMORY)):
        return ResourceError(
            f"There is too little memory for this: {_short(error)}",
            "free memory of about 1 GB above FEATURES_MEMORY_LIMIT, in `ulimit -v` and in the container too; "
            "finished work is kept",
            "FEATURES_MEMORY_LIMIT=500MB FEATURES_THREADS=1, and the same command again; or a machine with more memory",
        )
    return None


def classify_unhandled(error: BaseException) -> PhotogenicError | None:
    """Return our error for an unhandled exception that the machine or a given name caused; None: it is a bug."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, PhotogenicError):
            return None
        if (short := resource_error(seen)) is not None:
            return short
        if isinstance(seen, UnicodeEncodeError) and seen.reason == "surrogates not allowed":
            return InputError(
                f"A name or text that was given is not UTF-8: {str(seen.object)[:100]!a}.", "text in UTF-8"
            )
        if isinstance(seen, OSError) and seen.errno in _FULL | _CLOSED | _BROKEN | _NAMES:
            if seen.filename is None and seen.errno == errno.ENOENT:
                return InputError(
                    "The working folder does not exist any more.", "a folder that exists", "cd, and the same command"
                )
            named = ascii(seen.filename)[:200] if seen.filename is not None else "A file"
            return InputError(
                f"{named} cannot be used: {seen.strerror}.",
                "a file or folder that exists, has a name of this file system, and may be read or written",
                "ls -ld PATH shows its permissions and type",
            )
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return None


def blames_machine(error: BaseException) -> bool:
    """Whether an error of DuckDB is about a damaged file, a full or read-only disk, or threads and open files."""
    return _has(error, _DAMAGED + _UNWRITTEN + _NO_THREADS + ("Too many open files",))


def corruption_error(error: BaseException, layout: Layout) -> StoreError | None:
    """Return the error for a damaged database file; None: the exception has another cause."""
    if not _has(error, _DAMAGED):
        return None
    return StoreError(
        f"A database file of the store {layout.root} is damaged: {_short(error)}",
        "warehouse.duckdb and snapshot.duckdb as they were written",
        f"features doctor --thorough --fix --store {layout.root}",
    )


def _inside(layout: Layout, path: object) -> bool:
    """Whether a file that cannot be written is part of the store, or a folder on the path to it."""
    root = layout.root.resolve()
    return isinstance(path, (str, Path)) and (
        root.is_relative_to(found := Path(path).resolve()) or found.is_relative_to(root)
    )


def _disk(layout: Layout, why: str) -> StoreError:
    return StoreError(
        f"The store {layout.root} cannot be written: {why}",
        "a writable folder with free disk; finished work is kept",
        f"df -h {layout.root}, make room, and run the same command again",
    )


def _memory(layout: Layout, error: Exception) -> StoreError:
    return StoreError(
        f"SQL needs more memory than it may take: {_short(error)}",
        "a sufficient memory limit; finished work is kept",
        f"FEATURES_MEMORY_LIMIT=8GB, and the same command again; free disk at {layout.spill} helps too",
    )


def _has(error: BaseException, signs: tuple[str, ...]) -> bool:
    text = str(error)
    return any(sign in text for sign in signs)


def _short(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0][:300] if text else type(error).__name__
