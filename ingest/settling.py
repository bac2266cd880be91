"""Nothing of a network run outside of the warehouse: what an erase needs before it looks for somebody."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator

from ingest import ledger, walks
from ingest.journal import drain, segments
from ingest.shelf import holds
from warehouse import Database
from warehouse.lock import locked

__all__ = ["settle", "settled"]


@contextlib.contextmanager
def settled(db: Database) -> Iterator[None]:
    """Keep downloads and crawls from running.

    Raises:
        LockedError: one runs, and did not end in time.
    """
    with contextlib.ExitStack() as held:
        for folder in (db.layout.fetch, db.layout.crawl):
            held.enter_context(locked(folder / "lock", "features erase", db.settings.lock_timeout_s))
        yield


def settle(db: Database) -> None:
    """Merge the journals that killed runs left, and remove pictures that were never finished. Within `settled`."""
    layout = db.layout
    drain(
        db,
        "features erase",
        segments(layout.fetch),
        lambda con, path: ledger.merge(con, path, layout),
        lambda record: holds(layout, record["sha256"]),
    )
    drain(db, "features erase", segments(layout.crawl), lambda con, path: walks.merge(con, path, layout))
    for name in (".incoming", ".taken"):
        shutil.rmtree(layout.photos / name, ignore_errors=True)
