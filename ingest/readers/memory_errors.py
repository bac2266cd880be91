"""Recognize errors of too little memory. Libraries report it in many ways; some look like a damaged file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from photogenic._lazy import duckdb
from photogenic.warehouse import StoreError
from photogenic.warehouse.duckdb_store.error_mapping import is_memory_error

__all__ = ["is_over_duckdb_limit", "memory_error", "memory_errors_as_ours"]


def is_over_duckdb_limit(error: BaseException) -> bool:
    """Whether DuckDB reached its own memory limit, which has an error of its own elsewhere."""
    return isinstance(error, duckdb.OutOfMemoryException) and "used)" in str(error)


def memory_error(error: BaseException, name: str) -> StoreError:
    """Make the error to raise.

    Args:
        error: error of a library.
        name: name of the file.
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    why = lines[-1] if isinstance(error, ImportError) else lines[0]
    return StoreError(
        f"{name} needs more memory than there is: {why}",
        "enough memory and address space for the process (ulimit -v). Nothing of the file was taken in",
        "a higher ulimit -v, or FEATURES_THREADS=1 FEATURES_MEMORY_LIMIT=500MB and the same command again",
    )


@contextlib.contextmanager
def memory_errors_as_ours(name: str) -> Iterator[None]:
    """Replace errors of too little memory while a file is read.

    Raises:
        StoreError: there is too little memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError, ImportError, duckdb.Error) as error:
        if is_over_duckdb_limit(error) or not is_memory_error(error):
            raise
        raise memory_error(error, name) from error
