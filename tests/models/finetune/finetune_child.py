"""Fine-tune, and die after a number of updates: python -m tests.models.finetune.finetune_child STORE UPDATES."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

from photogenic import FeatureStore
from tests.models.finetune.test_finetune import QUICK
from tests.models.planted import finetune


class Killer:
    """Progress callback that kills this process after a number of updates."""

    def __init__(self, after):
        self.left = after

    @contextlib.contextmanager
    def stage(self, name, total=None, unit="", *, at_most=False):
        yield self.advance if unit == "updates" else lambda _: None

    def note(self, text):
        pass

    def advance(self, n):
        self.left -= n
        if self.left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    with FeatureStore(sys.argv[1]) as store:
        finetune(store, progress=Killer(int(sys.argv[2])), **QUICK)
