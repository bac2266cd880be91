"""Run the downloads: fill all slots, respect the limits of each host, and write every attempt to the journal.

The dispatcher starts one worker per free slot. A worker takes one photo after another for as long as the scheduler
has one that may be requested now, and then ends. The dispatcher waits until a worker ends, the next bucket of pending
photos is read, or the pause of a host or photo is over.
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
from photogenic.ingest.download.image_store import ImageStore
from photogenic.ingest.download.no_silent_retry import send_once
from photogenic.ingest.download.request import HEADERS, Outcome, download
from photogenic.ingest.download.scheduler import HostQueue, HostScheduler, Item
from photogenic.ingest.download.statuses import STATUSES
from photogenic.ingest.journal.clock import Clock, retry_after_s
from photogenic.ingest.journal.writer import JournalWriter
from photogenic.warehouse import Store

__all__ = ["Downloads", "FetchReport"]

_UNREACHABLE = frozenset({"dns", "dns_unavailable", "connect", "tls", "timeout"})
_MOST_QUEUED = 100_000
_LEAST_FOR_PROCESS = 500
"""Number of pending photos from which a second process saves more time than its start costs."""


@dataclass(slots=True)
class FetchReport:
    """Result of a run.

    Attributes:
        n_pending: number of photos to download.
        n_attempts: number of attempts made.
        n_bytes: bytes received in pictures that are now in the store.
        statuses: number of photos by final status.
        hosts_down: hosts that could not be reached and were given up.
        n_left: number of photos left for the next run.
        duration_s: duration of the run, in seconds.
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

    def __init__(
        self, store: Store, journal: JournalWriter, limits: Limits, *, clock: Clock, rng: random.Random
    ) -> None:
        self.store, self.journal, self.limits = store, journal, limits
        self.clock, self.rng = clock, rng
        self.report = FetchReport()
        self.scheduler = HostScheduler(per_host=limits.per_host, rate=limits.rate, give_up_after=limits.give_up_after)
        self.slots = limits.concurrency
        self.tasks: set[asyncio.Task[None]] = set()
        self.error: BaseException | None = None
        self.changed = asyncio.Event()
        self.advance: Callable[[int], None] = lambda _: None

    async def run(self, pending: attempts.Pending) -> FetchReport:
        """Download all pending photos. No request is open and the journal is closed when this returns or raises."""
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
            middlewares=(send_once,),
        )
        use_process = pending.total >= _LEAST_FOR_PROCESS and (os.cpu_count() or 1) > 1
        images = ImageStore(
            self.store.layout, max_bytes=limits.max_bytes, max_pixels=limits.max_pixels, use_process=use_process
        )
        stage = self.store.progress.stage("download photos", pending.total, "photos")
        with stage as self.advance, images:
            async with self.journal as journal, session:
                if journal.task is not None:
                    journal.task.add_done_callback(self.task_ended)
                try:
                    await self.dispatch(session, images, pending)
                finally:
                    for task in self.tasks:
                        task.cancel()
                    await asyncio.gather(*self.tasks, return_exceptions=True)
        self.report.n_left = self.scheduler.n_left
        self.report.duration_s = time.perf_counter() - began
        return self.report

    async def dispatch(self, session: aiohttp.ClientSession, images: ImageStore, pending: attempts.Pending) -> None:
        """Fill all slots until no photo is left."""
        buckets = iter(range(pending.n_buckets))
        feeding: asyncio.Task[list[tuple[str | None, Item]]] | None = None
        fed = False
        while True:
            self.changed.clear()
            if self.error is not None:
                raise self.error
            if feeding is not None and feeding.done():
                for host, item in feeding.result():
                    self.enqueue(host, item)
                feeding = None
            now = self.clock.now()
            while self.scheduler.n_active < self.slots and (picked := self.scheduler.pick(now)):
                task = asyncio.create_task(self.work(session, images, *picked))
                self.tasks.add(task)
                task.add_done_callback(self.task_ended)
            idle = self.scheduler.n_active < self.slots
            wanted = _MOST_QUEUED if idle else 4 * self.slots
            if feeding is None and not fed and self.scheduler.n_queued < wanted:
                number = next(buckets, None)
                if number is None:
                    fed = True
                else:
                    feeding = asyncio.create_task(asyncio.to_thread(pending.bucket, number))
                    feeding.add_done_callback(lambda _: self.changed.set())
            if fed and not self.scheduler.n_queued and not self.scheduler.n_active:
                return
            await self.clock.wait(self.scheduler.next_due() if idle else None, self.changed)

    def enqueue(self, host: str | None, item: Item) -> None:
        """Queue a pending photo. One without a usable URL gets its final status at once."""
        if host is None:
            item.started_at = self.clock.now()
            self.finish_attempt(item, Outcome("bad_url"))
        else:
            self.scheduler.add(host, item)

    def task_ended(self, task: asyncio.Task[None]) -> None:
        """Handle the end of a task: store the first error, and wake the dispatcher."""
        self.tasks.discard(task)
        if not task.cancelled() and self.error is None:
            self.error = task.exception()
        self.changed.set()

    async def work(self, session: aiohttp.ClientSession, images: ImageStore, queue: HostQueue, item: Item) -> None:
        """Fill one slot: attempt `item`, then the next item that may be requested, until there is none for now."""
        picked: tuple[HostQueue, Item] | None = (queue, item)
        while picked is not None:
            await self.attempt(session, images, *picked)
            if self.scheduler.n_queued < 4 * self.slots:
                self.changed.set()
            free = self.scheduler.n_active < self.slots and self.error is None
            picked = self.scheduler.pick(self.clock.now()) if free else None

    async def attempt(self, session: aiohttp.ClientSession, images: ImageStore, queue: HostQueue, item: Item) -> None:
        """Make one request for `item`; its host's queue has counted it as active."""
        try:
            if queue.limiter is not None:
                await queue.limiter.acquire()
            url = item.target or URL(item.url, encoded=item.url.isascii())
            if item.started_at is None:
                item.started_at = self.clock.now()
            began = time.perf_counter()
            outcome = await download(session, url, images, honour_opt_out=self.limits.honour_opt_out)
            item.spent_s += time.perf_counter() - began
        except OSError as error:
            if error.errno not in {errno.EMFILE, errno.ENFILE}:
                raise
            self.halve_slots(queue, item)
            return
        finally:
            self.scheduler.release(queue)
        if outcome.redirect is not None:
            item.hops += 1
            if item.hops <= self.limits.redirects:
                item.target = outcome.redirect
                self.scheduler.add(outcome.redirect.raw_host or "", item, first=True)
                return
            outcome = Outcome("redirects", f"more than {self.limits.redirects}")
        if self.scheduler.record_response(queue, answered=outcome.status not in _UNREACHABLE):
            self.report.hosts_down.append(queue.host)
            self.store.progress.note(
                f"{queue.host} does not answer ({outcome.status}); its photos are left for the next run."
            )
        self.finish_attempt(item, outcome, queue)

    def finish_attempt(self, item: Item, outcome: Outcome, queue: HostQueue | None = None) -> None:
        """Write the attempt to the journal, and schedule the next one after a temporary failure."""
        item.tries += 1
        again = STATUSES[outcome.status].is_temporary and item.tries < self.limits.backoff.attempts
        self.journal.append(attempts.record(item, outcome, settled=not again))
        self.report.n_attempts += 1
        if again or outcome.status == "http_429" or outcome.retry_after is not None:
            self.schedule_retry(item, outcome, queue, again=again)
        if not again:
            self.report.statuses[outcome.status] += 1
            if outcome.sha256 is not None:
                self.report.n_bytes += outcome.n_bytes
            self.advance(1)

    def schedule_retry(self, item: Item, outcome: Outcome, queue: HostQueue | None, *, again: bool) -> None:
        """Schedule the next attempt after its back-off. A host that asked for a pause is paused."""
        now = self.clock.now()
        due = now + self.limits.backoff.delay_s(item.tries, self.rng)
        asked = retry_after_s(outcome.retry_after, now)
        if queue is not None and (asked is not None or outcome.status == "http_429"):
            due = max(due, now + min(asked or 0.0, self.limits.longest_park_s))
            self.scheduler.pause(queue, due)
        if again:
            host = URL(item.url, encoded=item.url.isascii()).raw_host or ""
            self.scheduler.add_later(host, Item(item.photo_id, item.url, item.attempt + 1, item.tries), due)
            self.changed.set()

    def halve_slots(self, queue: HostQueue, item: Item) -> None:
        """Continue with half the slots after the process ran out of open files. This is no failure of the host."""
        if self.slots > 1:
            self.slots = max(self.slots // 2, 1)
            self.store.progress.note(f"Out of open files: on with {self.slots} downloads at a time.")
        self.scheduler.add_later(queue.host, item, self.clock.now() + self.limits.backoff.base_s)
