"""SIGTERM, as service managers send it: a command ends as by Ctrl-C, says one line, and exits with 143.

What Ctrl-C rolls back, finishes or sweeps away, SIGTERM does too; `features serve` answers it by itself. A second
one ends the process at once.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType

from photogenic.warehouse.duckdb_store.interrupt import ENDS

__all__ = ["EXIT", "SAID", "Ending"]

EXIT = 128 + signal.SIGTERM
SAID = "Ended by SIGTERM. What was finished is kept; the same command goes on."


class Ending:
    """Listens from its making on.

    Attributes:
        told: whether SIGTERM has come.
    """

    def __init__(self) -> None:
        self.told = False
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._hear)
            ENDS.add(signal.SIGTERM)

    def _hear(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.told = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if callable(signal.getsignal(signal.SIGINT)):
            signal.raise_signal(signal.SIGINT)  # asyncio, and whoever else has an answer to Ctrl-C, gives it
        else:
            raise KeyboardInterrupt  # a shell in the background ignores Ctrl-C
