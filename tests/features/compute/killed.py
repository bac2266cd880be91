"""Any call that kills its process before the N-th change of a file.

python -m tests.features.compute.killed N CALL FOLDER...

With N = 0 it runs through, and prints how many changes there are.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from photogenic import FeatureStore
from tests.features.toy import SETTINGS

ROOT = Path(__file__).parents[3]
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.truncate", "shutil.rmtree"}
CALLS = {
    "backup": lambda store, folder: FeatureStore(store, settings=SETTINGS).backup(folder),
    "restore": lambda store, folder: FeatureStore(store, settings=SETTINGS).restore(folder),
    "replace": lambda store, folder: FeatureStore(store, settings=SETTINGS).restore(folder, replace=True),
}


def killed(moment: int, call: str, *folders: Path) -> subprocess.CompletedProcess[str]:
    """Run the call in a child process."""
    command = [sys.executable, "-m", "tests.features.compute.killed", str(moment), call, *map(str, folders)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


class _Changes:
    def __init__(self, last: int, folders: list[str]) -> None:
        self.last, self.n = last, 0
        self.folders = [str(Path(folder).parent) for folder in folders]

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        writes = event in CHANGES or (event == "open" and "w" in str(arguments[1]))
        if writes and any(folder in str(arguments[0]) for folder in self.folders):
            self.n += 1
            if self.n == self.last:
                os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    moment, call, *folders = sys.argv[1:]
    changes = _Changes(int(moment), folders)
    sys.addaudithook(changes)
    CALLS[call](*folders)
    print(changes.n)
