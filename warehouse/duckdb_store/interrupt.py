"""Ctrl-C stops what DuckDB computes. Python alone cannot: its handlers wait until the engine returns."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["ENDS", "interruptible"]

ENDS: set[int] = {signal.SIGINT}
"""Signals that stop a statement: those on which this process raises KeyboardInterrupt."""


@contextlib.contextmanager
def interruptible(con: DuckDBPyConnection) -> Iterator[None]:
    """While open, Ctrl-C ends the running statement of `con` with KeyboardInterrupt.

    Only the main thread receives signals; in another one this does nothing.
    """
    import duckdb

    try:
        with _watching(con):
            yield
    except duckdb.InterruptException:
        raise KeyboardInterrupt from None
    except RuntimeError as error:
        if str(error) != "Query interrupted":  # how DuckDB says it when it noticed by itself
            raise
        raise KeyboardInterrupt from None


@contextlib.contextmanager
def _watching(con: DuckDBPyConnection) -> Iterator[None]:
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
    # The C-level handler writes each signal's number here at once, whatever the main thread is doing.
    former = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(former)
        writer.close()
        watcher.join()
        reader.close()
