"""Stop downloads and crawls and merge what they wrote, so that the warehouse is complete before people are erased."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator

from photogenic.ingest.download import attempts
from photogenic.ingest.download.image_store import is_stored
from photogenic.ingest.instagram import cursors
from photogenic.ingest.journal.journal import drain, segments
from photogenic.warehouse import Database
from photogenic.warehouse.storage.lock import locked

__all__ = ["merge_journals", "pause_network_runs"]


@contextlib.contextmanager
def pause_network_runs(db: Database) -> Iterator[None]:
    """Keep downloads and crawls from running while the context is open.

    Raises:
        LockedError: a download or crawl is running and did not end in time.
    """
    with contextlib.ExitStack() as held:
        for folder in (db.layout.fetch, db.layout.crawl):
            held.enter_context(locked(folder / "lock", "features erase", db.settings.lock_timeout_s))
        yield


def merge_journals(db: Database) -> None:
    """Merge the journals that killed runs left, and remove unfinished pictures. Needs `pause_network_runs`."""
    layout = db.layout
    drain(
        db,
        "features erase",
        segments(layout.fetch),
        lambda con, path: attempts.merge(con, path, layout),
        lambda record: is_stored(layout, record["sha256"]),
    )
    drain(db, "features erase", segments(layout.crawl), lambda con, path: cursors.merge(con, path, layout))
    for name in (".incoming", ".taken"):
        shutil.rmtree(layout.photos / name, ignore_errors=True)
