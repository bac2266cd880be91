"""Stop a running DuckDB statement on Ctrl-C. Python's own signal handlers run only after the engine returns."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from photogenic._lazy import duckdb
from photogenic.warehouse.processes.signal_watch import call_on_signal

__all__ = ["interruptible"]


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
    except duckdb.Error as error:
        # A KeyboardInterrupt in a reader that DuckDB calls becomes an error of DuckDB.
        if not (asked or isinstance(error, duckdb.InterruptException)):
            raise
        raise KeyboardInterrupt from None
    except RuntimeError as error:
        if str(error) != "Query interrupted":  # DuckDB's message when it noticed the signal itself
            raise
        raise KeyboardInterrupt from None
