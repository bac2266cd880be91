"""Nothing of a network run outside of the warehouse: what an erase needs before it looks for somebody."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator

from photogenic.ingest.download import attempts
from photogenic.ingest.download.image_store import holds
from photogenic.ingest.instagram import cursors
from photogenic.ingest.journal.journal import drain, segments
from photogenic.warehouse import Database
from photogenic.warehouse.storage.lock import locked

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
        lambda con, path: attempts.merge(con, path, layout),
        lambda record: holds(layout, record["sha256"]),
    )
    drain(db, "features erase", segments(layout.crawl), lambda con, path: cursors.merge(con, path, layout))
    for name in (".incoming", ".taken"):
        shutil.rmtree(layout.photos / name, ignore_errors=True)
