"""Too little memory, told as that: libraries say it in many ways, some of which look like a damaged file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from photogenic._lazy import duckdb
from photogenic.warehouse import StoreError
from photogenic.warehouse.duckdb_store.error_mapping import is_shortage

__all__ = ["is_over_the_limit", "is_shortage", "shortage", "shortage_told"]


def is_over_the_limit(error: BaseException) -> bool:
    """Whether DuckDB keeps to its own limit, which is told with its remedy elsewhere, and the machine has memory."""
    return isinstance(error, duckdb.OutOfMemoryException) and "used)" in str(error)


def shortage(error: BaseException, name: str) -> StoreError:
    """The error to raise.

    Args:
        error: what a library said.
        name: of the file.
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    why = lines[-1] if isinstance(error, ImportError) else lines[0]
    return StoreError(
        f"{name} needs more memory than there is: {why}",
        "enough memory and address space for the process (ulimit -v). Nothing of the file was taken in",
        "a higher ulimit -v, or FEATURES_THREADS=1 FEATURES_MEMORY_LIMIT=500MB and the same command again",
    )


@contextlib.contextmanager
def shortage_told(name: str) -> Iterator[None]:
    """Around the reading of a file.

    Raises:
        StoreError: in place of an error that tells of too little memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError, ImportError, duckdb.Error) as error:
        if is_over_the_limit(error) or not is_shortage(error):
            raise
        raise shortage(error, name) from error
