"""The downloads of one run: every slot busy, no host asked too hard, every attempt written down.

The dispatcher starts a worker per free slot; a worker goes on with whatever its lanes allow and ends when
there is nothing to do for now. The dispatcher then waits for whichever comes first: a worker's end, the
next bucket of pending photos, or the instant at which a host or a photo is due again.
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from photogenic.ingest.config import Limits
from photogenic.ingest.download import attempts
from photogenic.ingest.download.address_guard import guarded_connector
from photogenic.ingest.download.image_store import Shelf
from photogenic.ingest.download.no_silent_retry import once
from photogenic.ingest.download.request import HEADERS, Outcome, download
from photogenic.ingest.download.scheduler import Item, Lane, Lanes
from photogenic.ingest.download.statuses import STATUSES
from photogenic.ingest.journal.clock import Clock, retry_after_s
from photogenic.ingest.journal.writer import Scribe
from photogenic.warehouse import Store

__all__ = ["Downloads", "FetchReport"]

_AT_THE_DOOR = frozenset({"dns", "dns_unavailable", "connect", "tls", "timeout"})
_MOST_QUEUED = 100_000
_WORTH_HELP = 500
"""Pending photos from which on the start of a second process is worth its while."""


@dataclass(slots=True)
class FetchReport:
    """What a run did.

    Attributes:
        n_pending: photos that were to be downloaded.
        n_attempts: attempts made.
        n_bytes: bytes received in pictures that are now held.
        statuses: photos by the status they were settled with.
        hosts_down: hosts that could not be reached and were given up.
        n_left: photos left for the next run.
        duration_s: seconds.
    """

    n_pending: int = 0
    n_attempts: int = 0
    n_bytes: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    hosts_down: list[str] = field(default_factory=list)
    n_left: int = 0
    duration_s: float = 0.0


class Downloads:
    """The state of one run."""

    def __init__(self, store: Store, scribe: Scribe, limits: Limits, *, clock: Clock, rng: random.Random) -> None:
        self.store, self.scribe, self.limits = store, scribe, limits
        self.clock, self.rng = clock, rng
        self.report = FetchReport()
        self.lanes = Lanes(per_host=limits.per_host, rate=limits.rate, give_up_after=limits.give_up_after)
        self.slots = limits.concurrency
        self.tasks: set[asyncio.Task[None]] = set()
        self.error: BaseException | None = None
        self.changed = asyncio.Event()
        self.advance: Callable[[int], None] = lambda _: None

    async def run(self, pending: attempts.Pending) -> FetchReport:
        """Download everything; leave with nothing under way and the journal closed."""
        limits, began = self.limits, time.perf_counter()
        self.report.n_pending = pending.total
        session = aiohttp.ClientSession(
            connector=guarded_connector(allow_private=limits.allow_private),
            timeout=aiohttp.ClientTimeout(
                total=limits.total_s, sock_connect=limits.connect_s, sock_read=limits.read_s, connect=None
            ),
            headers=HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            middlewares=(once,),
        )
        helped = pending.total >= _WORTH_HELP and (os.cpu_count() or 1) > 1
        shelf = Shelf(self.store.layout, max_bytes=limits.max_bytes, max_pixels=limits.max_pixels, helped=helped)
        stage = self.store.progress.stage("download photos", pending.total, "photos")
        with stage as self.advance, shelf:
            async with self.scribe as scribe, session:
                if scribe.keeper is not None:
                    scribe.keeper.add_done_callback(self.through)
                try:
                    await self.dispatch(session, shelf, pending)
                finally:
                    for task in self.tasks:
                        task.cancel()
                    await asyncio.gather(*self.tasks, return_exceptions=True)
        self.report.n_left = self.lanes.n_left
        self.report.duration_s = time.perf_counter() - began
        return self.report

    async def dispatch(self, session: aiohttp.ClientSession, shelf: Shelf, pending: attempts.Pending) -> None:
        """Keep all slots busy until nothing is left."""
        buckets = iter(range(pending.n_buckets))
        feeding: asyncio.Task[list[tuple[str | None, Item]]] | None = None
        fed = False
        while True:
            self.changed.clear()
            if self.error is not None:
                raise self.error
            if feeding is not None and feeding.done():
                for host, item in feeding.result():
                    self.enter(host, item)
                feeding = None
            now = self.clock.now()
            while self.lanes.n_active < self.slots and (picked := self.lanes.pick(now)):
                task = asyncio.create_task(self.work(session, shelf, *picked))
                self.tasks.add(task)
                task.add_done_callback(self.through)
            idle = self.lanes.n_active < self.slots
            wanted = _MOST_QUEUED if idle else 4 * self.slots
            if feeding is None and not fed and self.lanes.n_queued < wanted:
                number = next(buckets, None)
                if number is None:
                    fed = True
                else:
                    feeding = asyncio.create_task(asyncio.to_thread(pending.bucket, number))
                    feeding.add_done_callback(lambda _: self.changed.set())
            if fed and not self.lanes.n_queued and not self.lanes.n_active:
                return
            await self.clock.wait(self.lanes.next_due() if idle else None, self.changed)

    def enter(self, host: str | None, item: Item) -> None:
        """Queue a pending photo; one without a usable address is settled on the spot."""
        if host is None:
            item.started_at = self.clock.now()
            self.settle(item, Outcome("bad_url"))
        else:
            self.lanes.add(host, item)

    def through(self, task: asyncio.Task[None]) -> None:
        """A task ended: remember the first error, wake the dispatcher."""
        self.tasks.discard(task)
        if not task.cancelled() and self.error is None:
            self.error = task.exception()
        self.changed.set()

    async def work(self, session: aiohttp.ClientSession, shelf: Shelf, lane: Lane, item: Item) -> None:
        """Fill one slot: attempt `item`, then whatever is next, until nothing may be asked for now."""
        picked: tuple[Lane, Item] | None = (lane, item)
        while picked is not None:
            await self.attempt(session, shelf, *picked)
            if self.lanes.n_queued < 4 * self.slots:
                self.changed.set()
            free = self.lanes.n_active < self.slots and self.error is None
            picked = self.lanes.pick(self.clock.now()) if free else None

    async def attempt(self, session: aiohttp.ClientSession, shelf: Shelf, lane: Lane, item: Item) -> None:
        """Make one request for `item`, in the turn that its host's lane has given it."""
        try:
            if lane.limiter is not None:
                await lane.limiter.acquire()
            url = item.target or URL(item.url, encoded=item.url.isascii())
            if item.started_at is None:
                item.started_at = self.clock.now()
            began = time.perf_counter()
            outcome = await download(session, url, shelf, honour_opt_out=self.limits.honour_opt_out)
            item.spent_s += time.perf_counter() - began
        except OSError as error:
            if error.errno not in {errno.EMFILE, errno.ENFILE}:
                raise
            self.narrow(lane, item)
            return
        finally:
            self.lanes.release(lane)
        if outcome.redirect is not None:
            item.hops += 1
            if item.hops <= self.limits.redirects:
                item.target = outcome.redirect
                self.lanes.add(outcome.redirect.raw_host or "", item, first=True)
                return
            outcome = Outcome("redirects", f"more than {self.limits.redirects}")
        if self.lanes.knock(lane, answered=outcome.status not in _AT_THE_DOOR):
            self.report.hosts_down.append(lane.host)
            self.store.progress.note(
                f"{lane.host} does not answer ({outcome.status}); its photos are left for the next run."
            )
        self.settle(item, outcome, lane)

    def settle(self, item: Item, outcome: Outcome, lane: Lane | None = None) -> None:
        """Write the attempt down, and queue the next one where it may heal."""
        item.tries += 1
        again = STATUSES[outcome.status].heals and item.tries < self.limits.backoff.attempts
        self.scribe.append(attempts.record(item, outcome, settled=not again))
        self.report.n_attempts += 1
        if again or outcome.status == "http_429" or outcome.retry_after is not None:
            self.rest(item, outcome, lane, again=again)
        if not again:
            self.report.statuses[outcome.status] += 1
            if outcome.sha256 is not None:
                self.report.n_bytes += outcome.n_bytes
            self.advance(1)

    def rest(self, item: Item, outcome: Outcome, lane: Lane | None, *, again: bool) -> None:
        """Queue the next attempt after its rest; a host that asked for rest gets it as a whole."""
        now = self.clock.now()
        due = now + self.limits.backoff.delay_s(item.tries, self.rng)
        asked = retry_after_s(outcome.retry_after, now)
        if lane is not None and (asked is not None or outcome.status == "http_429"):
            due = max(due, now + min(asked or 0.0, self.limits.longest_park_s))
            self.lanes.park(lane, due)
        if again:
            host = URL(item.url, encoded=item.url.isascii()).raw_host or ""
            self.lanes.add_later(host, Item(item.photo_id, item.url, item.attempt + 1, item.tries), due)
            self.changed.set()

    def narrow(self, lane: Lane, item: Item) -> None:
        """The process ran out of open files: go on with half the slots; the host is not to blame."""
        if self.slots > 1:
            self.slots = max(self.slots // 2, 1)
            self.store.progress.note(f"Out of open files: on with {self.slots} downloads at a time.")
        self.lanes.add_later(lane.host, item, self.clock.now() + self.limits.backoff.base_s)
