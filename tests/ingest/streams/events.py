"""Swipes as JSON messages, and a listener in a process of its own."""

import json
import os
import subprocess
import sys
import time

from photogenic.ingest.streams.listeners import read_listeners
from photogenic.warehouse import Layout


def swipe(i, **changes):
    """The i-th swipe; each is another event."""
    row = {
        "event_id": f"e{i:08d}",
        "sender_id": f"u{i % 5003}",
        "recipient_id": f"u{i * 7919 % 5003}",
        "liked": i % 3 == 0,
        "swiped_at": f"2026-03-{1 + i // 86400 % 28:02d}T{i // 3600 % 24:02d}:{i // 60 % 60:02d}:{i % 60:02d}Z",
    }
    return json.dumps({**row, **changes}).encode()


def swipes(n, start=0):
    return [swipe(i) for i in range(start, start + n)]


class Listener:
    """`features listen` in a process of its own."""

    def __init__(self, folder, uri, *options):
        self.log = folder / "listener.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-c", "from photogenic.app.cli.main import main; main()", "listen", uri),
                    *("--kind", "swipes", "--store", str(folder / "store"), *options),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )

    def wait_for(self, condition, seconds=60):
        """Wait until a condition holds, while the process runs."""
        until = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, f"it ended: {self.log.read_text()}"
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.02)

    def wait_for_log(self, text, seconds=60):
        self.wait_for(lambda: text in self.log.read_text(), seconds)

    def kill(self):
        self.process.kill()
        return self.process.wait()

    def stop(self):
        """End it by SIGTERM, and return the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(60)


def state(store):
    """The state of the only listener of a store."""
    (one,) = read_listeners(Layout(store))
    return one
