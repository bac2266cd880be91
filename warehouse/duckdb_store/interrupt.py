"""Stop a running DuckDB statement on Ctrl-C. Python's own signal handlers run only after the engine returns."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Iterator

from photogenic._lazy import duckdb

__all__ = ["ENDS", "interruptible"]

ENDS: set[int] = {signal.SIGINT}
"""Signals that stop a statement: those for which this process raises KeyboardInterrupt."""


@contextlib.contextmanager
def interruptible(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Context manager in which Ctrl-C ends the running statement of `con` with KeyboardInterrupt.

    Only the main thread receives signals; in any other thread this does nothing.
    """
    try:
        with _watching(con):
            yield
    except duckdb.InterruptException:
        raise KeyboardInterrupt from None
    except RuntimeError as error:
        if str(error) != "Query interrupted":  # DuckDB's message when it noticed the signal itself
            raise
        raise KeyboardInterrupt from None


@contextlib.contextmanager
def _watching(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def watch() -> None:
        while received := reader.recv(64):
            if ENDS.intersection(received):
                con.interrupt()

    watcher = threading.Thread(target=watch, name="interrupt", daemon=True)
    watcher.start()
    # The C-level handler writes the number of each signal here at once, even while the main thread is busy.
    former = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(former)
        writer.close()
        watcher.join()
        reader.close()
