"""Handling of SIGTERM, which service managers send: the command ends as after Ctrl-C and exits with 143.

Whatever Ctrl-C rolls back, completes or removes, SIGTERM does too. `features serve` handles it by itself. A second
SIGTERM ends the process at once.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType

from photogenic.warehouse.duckdb_store.interrupt import ENDS

__all__ = ["EXIT", "MESSAGE", "Ending"]

EXIT = 128 + signal.SIGTERM
MESSAGE = "Ended by SIGTERM. Finished work is kept; run the same command again to continue."


class Ending:
    """Handles SIGTERM from its creation on.

    Attributes:
        received: whether SIGTERM was received.
    """

    def __init__(self) -> None:
        self.received = False
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._handle)
            ENDS.add(signal.SIGTERM)

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.received = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if callable(signal.getsignal(signal.SIGINT)):
            signal.raise_signal(signal.SIGINT)  # asyncio and other handlers of Ctrl-C run
        else:
            raise KeyboardInterrupt  # a shell in the background ignores Ctrl-C
