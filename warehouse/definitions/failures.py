"""Failures of one own relation: which errors are its own, and the limit of its time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from photogenic._lazy import duckdb
from photogenic.warehouse.duckdb_store.error_mapping import blames_machine
from photogenic.warehouse.errors import AuditError, InputError, PhotogenicError, QueryError

__all__ = ["TIME_LIMIT_S", "in_words", "is_of_relation", "limited"]

TIME_LIMIT_S = 600.0
"""Seconds after which the computation of one relation is stopped, unless the setting says otherwise."""


@contextlib.contextmanager
def limited(con: duckdb.DuckDBPyConnection, seconds: float, name: str) -> Iterator[None]:
    """Context manager that stops the statement that runs after some seconds.

    Raises:
        QueryError: the time was over.
    """
    over = threading.Event()

    def stop() -> None:
        over.set()
        con.interrupt()

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    except duckdb.InterruptException as error:
        if not over.is_set():
            raise
        raise QueryError(
            f"{name} was stopped after {seconds:g} seconds.",
            "a SELECT that ends within this time",
            "FEATURES_RELATION_TIMEOUT=7200 features build, or a simpler SELECT",
        ) from error
    finally:
        timer.cancel()
        timer.join()


def is_of_relation(error: Exception) -> bool:
    """Whether a failure is that of one relation, and not of the machine, the store or the user's Ctrl-C."""
    if isinstance(error, duckdb.InterruptException | duckdb.FatalException):
        return False
    if isinstance(error, PhotogenicError):
        return isinstance(error, AuditError | InputError | QueryError)
    if isinstance(error, duckdb.OutOfMemoryException):
        return True
    return isinstance(error, duckdb.Error) and not blames_machine(error)


def in_words(error: Exception, file: str) -> Exception:
    """Return the error with its file and what to do, for errors of DuckDB."""
    if isinstance(error, duckdb.OutOfMemoryException):
        return QueryError(
            f"The relation needs more memory than it may take: {str(error).splitlines()[0]}",
            "a SELECT that fits into the memory limit, with free disk for the rest",
            "FEATURES_MEMORY_LIMIT=8GB features build",
        )
    if isinstance(error, duckdb.Error):
        fact, _, place = str(error).partition("\n")
        expected = "SQL that DuckDB can run" + (f"\n{place.strip(chr(10))}" if place.strip() else "")
        return QueryError(f"{file}: {fact}", expected, f"correct {file}")
    return error
