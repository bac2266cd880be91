"""Download the photos that are known by URL and not yet held.

The story of `fetch`:
1. merge what a crash left in the journal; 2. see how many downloads the machine allows;
3. feed pending photos, a bucket at a time, into one lane per host; 4. per free slot, make one attempt;
5. write what became of it to the journal, and put back what can heal; 6. every second make the group
durable, every few minutes merge the journal into the warehouse; 7. report.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

from photogenic.ingest.config import Limits
from photogenic.ingest.download import attempts
from photogenic.ingest.download.downloader import Downloads, FetchReport
from photogenic.ingest.download.file_limits import affordable
from photogenic.ingest.download.image_store import holds
from photogenic.ingest.download.statuses import retryable
from photogenic.ingest.journal.clock import Clock, SystemClock
from photogenic.ingest.journal.writer import Scribe
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
    """Download every photo that has a URL and no bytes yet. May be killed and started again at any time.

    Args:
        store: the open store.
        retry: settled statuses to try once more (`ingest.download.statuses`), or `healable`.
        limits: concurrency, pace, timeouts, sizes.
        clock: what waiting goes by.
        rng: of the jitter.

    Raises:
        InputError: an unknown status in `retry`, or no room for a single download.
        StoreError: there is no store, another fetch runs, or the disk is full.
    """
    limits, again = limits or Limits(), retryable(retry)
    with locked(store.layout.fetch / "lock", "fetch", store.database.settings.lock_timeout_s):
        store.database.refuse_unfinished_erase()
        limits = replace(limits, concurrency=affordable(limits.concurrency, store.progress))
        scribe = _scribe(store, limits)
        scribe.drain()
        pending = attempts.Pending(store.database, again)
        downloads = Downloads(store, scribe, limits, clock=clock or SystemClock(), rng=rng or random.Random())
        try:
            report = asyncio.run(downloads.run(pending))
        except OSError as error:
            raise StoreError(
                f"The store {store.layout.root} takes no more pictures: {error.strerror or error}.",
                "a writable folder with free disk",
                f"df -h {store.layout.root}   (what was downloaded is kept, `features fetch` goes on)",
            ) from error
        except KeyboardInterrupt:
            scribe.drain()
            raise
        scribe.drain()
        return report


def _scribe(store: Store, limits: Limits) -> Scribe:
    return Scribe(
        store,
        store.layout.fetch,
        "fetch",
        merge=lambda con, path: attempts.merge(con, path, store.layout),
        holds=lambda record: holds(store.layout, record["sha256"]),
        sync_every_s=limits.sync_every_s,
        merge_every_s=limits.merge_every_s,
    )
