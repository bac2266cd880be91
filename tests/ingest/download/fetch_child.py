"""A fetch in a process of its own, to be killed or starved.

python -m tests.ingest.download.fetch_child STORE [JSON limits]
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from photogenic.ingest.download.fetch import fetch
from photogenic.warehouse import Database, Layout, Settings, Store
from tests.ingest.network_store import QUICK


class Said:
    """A progress that prints its notes."""

    def __init__(self) -> None:
        from photogenic.warehouse import no_progress

        self.stage = no_progress.stage

    def note(self, text: str) -> None:
        print(text, flush=True)


if __name__ == "__main__":
    options = json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
    db = Database(Layout(Path(sys.argv[1])), Settings(memory_limit="500MB", threads=1, lock_timeout_s=5))
    report = fetch(Store(db, Said()), limits=replace(QUICK, **options))
    print(json.dumps(report.statuses), flush=True)
