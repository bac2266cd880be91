"""An erase, or a purge of photos, that kills its process before the N-th change of a file.

python -m tests.maintenance.erase.erase_child STORE N erase|purge ID...

With N = 0 it runs through, and prints how many changes there are and after which of them all is prepared.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from photogenic.maintenance.erase.erase import erase
from photogenic.maintenance.erase.purge import purge
from photogenic.warehouse import Database, Layout, Store
from tests.features.toy import SETTINGS

CHANGES = {
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.mkdir",
    "os.link",
    "os.symlink",
    "shutil.rmtree",
    "shutil.copyfile",
}


class Changes:
    """Counts what the process does to files under a folder."""

    def __init__(self, root: Path, last: int) -> None:
        self.root, self.last, self.n, self.n_before = str(root), last, 0, 0
        self.journal = Layout(root).erase_journal

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if event in CHANGES and any(str(argument).startswith(self.root) for argument in arguments):
            self.n += 1
            if event == "os.rename" and str(arguments[1]) == str(self.journal):
                self.n_before = self.n
            if self.n == self.last:
                os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    store, last, command, *ids = sys.argv[1:]
    changes = Changes(Path(store), int(last))
    sys.addaudithook(changes)
    {"erase": erase, "purge": purge}[command](Store(Database(Layout(Path(store)), SETTINGS)), ids)
    print(changes.n, changes.n_before)
