"""Call functions at the instant of a signal. Python's own handlers run only after native code returns.

The C-level handler of a signal writes its number to a socket at once, even while the main thread is in a statement of
DuckDB or an update of torch; one thread of this process reads it and calls the functions.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable

__all__ = ["ENDS", "call_on_signal"]

ENDS: set[int] = {signal.SIGINT}
"""Signals that end the work: those for which this process raises KeyboardInterrupt."""


class _Watcher:
    """The thread that reads the numbers of signals, and the functions that it calls."""

    def __init__(self) -> None:
        self._lock, self._calls = threading.Lock(), list[Callable[[int], None]]()
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self.pid, self.fd = os.getpid(), self._writer.fileno()
        threading.Thread(target=self._watch, name="signals", daemon=True).start()

    def add(self, call: Callable[[int], None]) -> None:
        with self._lock:
            self._calls.append(call)

    def remove(self, call: Callable[[int], None]) -> None:
        """Remove a function; afterwards it does not run any more."""
        with self._lock:
            self._calls.remove(call)

    def _watch(self) -> None:
        while received := self._reader.recv(64):
            for number in received:
                with self._lock:
                    for call in self._calls if number in ENDS else ():
                        call(number)


_watcher: _Watcher | None = None


def call_on_signal(call: Callable[[int], None]) -> Callable[[], None]:
    """Call a function with the number of each signal of `ENDS`, in a thread of its own; return what ends this.

    Only the main thread receives signals; in any other thread this does nothing.
    """
    global _watcher  # noqa: PLW0603
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    if _watcher is None or _watcher.pid != os.getpid():
        _watcher = _Watcher()
    watcher = _watcher
    watcher.add(call)
    former = signal.set_wakeup_fd(watcher.fd, warn_on_full_buffer=False)

    def end() -> None:
        signal.set_wakeup_fd(former)
        watcher.remove(call)

    return end
