"""Stop a running DuckDB statement on Ctrl-C. Python's own signal handlers run only after the engine returns."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from photogenic._lazy import duckdb
from photogenic.warehouse.processes.signal_watch import call_on_signal

__all__ = ["interruptible", "is_interrupt"]


def is_interrupt(error: Exception) -> bool:
    """Whether an error says that a statement was stopped: of DuckDB, of Arrow, which reads its rows, or of Python.

    DuckDB's client, when it notices a signal itself, has the RuntimeError in place of the KeyboardInterrupt.
    """
    if isinstance(error, OSError):
        return str(error).startswith("INTERRUPT Error")
    if type(error) is RuntimeError:
        return str(error) == "Query interrupted"
    return isinstance(error, duckdb.InterruptException)


@contextlib.contextmanager
def interruptible(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Context manager in which Ctrl-C ends the running statement of `con` with KeyboardInterrupt.

    Only the main thread receives signals; in any other thread this does nothing.
    """
    asked = False

    def stop(number: int) -> None:  # noqa: ARG001
        nonlocal asked
        asked = True
        with contextlib.suppress(duckdb.Error):  # it is closed
            con.interrupt()

    try:
        end = call_on_signal(stop)
        try:
            yield
        finally:
            end()
    except (duckdb.Error, OSError, RuntimeError) as error:
        # A KeyboardInterrupt in a reader that DuckDB calls becomes an error of DuckDB.
        if is_interrupt(error) or (asked and isinstance(error, duckdb.Error)):
            raise KeyboardInterrupt from None
        raise
