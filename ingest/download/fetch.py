"""Download the photos that have a URL and are not in the store yet.

Steps of `fetch`:
1. merge the journal that a killed run left; 2. limit the concurrency to the open-file limit of the process;
3. read pending photos, one bucket at a time, into one queue per host; 4. make one attempt per free slot;
5. write its result to the journal, and queue the photo again after a temporary failure; 6. sync the journal and the
pictures every second, and merge the journal into the warehouse every few minutes; 7. report.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

from photogenic.ingest.config import Limits
from photogenic.ingest.download import attempts
from photogenic.ingest.download.downloader import Downloads, FetchReport
from photogenic.ingest.download.file_limits import limit_concurrency
from photogenic.ingest.download.image_store import is_stored
from photogenic.ingest.download.statuses import retryable
from photogenic.ingest.journal.clock import Clock, SystemClock
from photogenic.ingest.journal.writer import JournalWriter
from photogenic.warehouse import Store, StoreError
from photogenic.warehouse.storage.lock import locked

__all__ = ["FetchReport", "fetch"]


def fetch(
    store: Store,
    *,
    retry: tuple[str, ...] = (),
    limits: Limits | None = None,
    clock: Clock | None = None,
    rng: random.Random | None = None,
) -> FetchReport:
    """Download every photo that has a URL and is not in the store. May be killed and started again at any time.

    Args:
        store: the open store.
        retry: final statuses to try once more (`ingest.download.statuses`), or `healable` for all temporary ones.
        limits: concurrency, rate, timeouts, sizes.
        clock: clock used for waiting.
        rng: random generator of the jitter.

    Raises:
        InputError: `retry` has an unknown status, or the open-file limit allows no download.
        StoreError: there is no store, another fetch is running, or the disk is full.
    """
    limits, again = limits or Limits(), retryable(retry)
    with locked(store.layout.fetch / "lock", "fetch", store.database.settings.lock_timeout_s):
        store.database.refuse_unfinished_erase()
        limits = replace(limits, concurrency=limit_concurrency(limits.concurrency, store.progress))
        journal = _journal_writer(store, limits)
        journal.drain()
        pending = attempts.Pending(store.database, again)
        downloads = Downloads(store, journal, limits, clock=clock or SystemClock(), rng=rng or random.Random())
        try:
            report = asyncio.run(downloads.run(pending))
        except OSError as error:
            raise StoreError(
                f"The store {store.layout.root} takes no more pictures: {error.strerror or error}.",
                "a writable folder with free disk",
                f"df -h {store.layout.root}   (downloaded pictures are kept; `features fetch` continues)",
            ) from error
        except KeyboardInterrupt:
            journal.drain()
            raise
        journal.drain()
        return report


def _journal_writer(store: Store, limits: Limits) -> JournalWriter:
    return JournalWriter(
        store,
        store.layout.fetch,
        "fetch",
        merge=lambda con, path: attempts.merge(con, path, store.layout),
        is_valid=lambda record: is_stored(store.layout, record["sha256"]),
        sync_every_s=limits.sync_every_s,
        merge_every_s=limits.merge_every_s,
    )
