"""The end of the process: Ctrl-C, SIGTERM, and the way out.

SIGTERM, which service managers send, ends a command as Ctrl-C does, with exit code 143. Whatever Ctrl-C rolls back,
completes or removes, SIGTERM does too. `features serve` handles both by itself. A command that shows its progress says
at the instant of the signal that it stops; a second Ctrl-C or SIGTERM then ends the process at once. That is as safe
as a power failure: the next call continues.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
from types import FrameType
from typing import TYPE_CHECKING

from photogenic.warehouse.errors import OutputError
from photogenic.warehouse.processes.signal_watch import ENDS, call_on_signal

if TYPE_CHECKING:
    from photogenic.app.terminal.progress import Display

__all__ = ["EXIT", "INTERRUPTED", "MESSAGE", "Ending"]

EXIT = 128 + signal.SIGTERM
INTERRUPTED = 128 + signal.SIGINT
MESSAGE = "Ended by SIGTERM. Finished work is kept; run the same command again to continue."


class Ending:
    """Handles the signals that end the program, and the end of the process, from its creation on.

    Attributes:
        received: whether SIGTERM was received.
        code: exit code of the process, set at the end of `main`; None: the interpreter ends in its own way.
    """

    def __init__(self) -> None:
        self.received = False
        self.code: int | None = None
        self._asked, self._raises_next = 0, False
        self._said, self._lock = False, threading.Lock()
        # Registered first, and so called last, when threads have ended and all other functions have run.
        atexit.register(self._leave, os.getpid())
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._handle)
            ENDS.add(signal.SIGTERM)
        with contextlib.suppress(RuntimeError):  # the machine allows no more threads
            call_on_signal(self._announce)

    @property
    def is_stopping(self) -> bool:
        """Whether work that shows its progress was asked to stop."""
        return self._asked > 0

    def say_stop(self) -> None:
        """Say that the work stops, if it has ended before the thread of the signals could say so."""
        from photogenic.app.terminal.progress import shown_progress

        if (shown := shown_progress()) is not None:
            self._say(shown)

    def _say(self, shown: Display) -> None:
        with self._lock:
            if not self._said:
                self._said = True
                shown.stop()

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.received = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if callable(signal.getsignal(signal.SIGINT)):
            signal.raise_signal(signal.SIGINT)  # asyncio and other handlers of Ctrl-C run
        else:
            raise KeyboardInterrupt  # a shell in the background ignores Ctrl-C

    def _announce(self, number: int) -> None:
        """Say that the work stops, in the thread of the signals; end the process at the second Ctrl-C."""
        from photogenic.app.terminal.progress import Bars, shown_progress

        shown, is_ours = shown_progress(), number == signal.SIGINT and self._raises_next
        self._raises_next = number == signal.SIGTERM
        if shown is None or is_ours:
            return
        self._asked += 1
        if self._asked == 1:
            self._say(shown)
            return
        if isinstance(shown, Bars):
            shown.clear()
        os._exit(number + 128)

    def _leave(self, pid: int) -> None:
        """End the process before the destructors of native libraries, which print noise and take time.

        Nothing is lost: the streams are flushed and all files are closed.
        """
        if self.code is None or os.getpid() != pid:
            return
        for stream in filter(None, (sys.stdout, sys.stderr)):
            with contextlib.suppress(OSError, ValueError, SystemExit, OutputError):
                stream.flush()
        os._exit(self.code)
