"""Schedule downloads: one queue per host, with its own concurrency, rate and back-off.

The scheduler is synchronous and has no clock: `pick` returns an item whose host may be requested now, and `next_due`
the time at which a paused host or item is due again. A host that answers 429 is paused as a whole. A host that cannot
be reached several times in a row is given up for this run; its photos stay pending for the next run.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from dataclasses import dataclass, field

from aiolimiter import AsyncLimiter
from yarl import URL

__all__ = ["HostQueue", "HostScheduler", "Item"]


@dataclass(slots=True)
class Item:
    """A photo to download.

    Attributes:
        photo_id: id of the photo.
        url: URL in the warehouse.
        attempt: number of the current attempt, from 1, over all runs.
        tries: number of attempts in this run so far.
        target: URL to which the redirects of this attempt have led.
        hops: number of redirects of this attempt so far.
        started_at: start of this attempt, in seconds since 1970; None before it.
        spent_s: duration of this attempt so far, in seconds.
    """

    photo_id: str
    url: str
    attempt: int = 1
    tries: int = 0
    target: URL | None = None
    hops: int = 0
    started_at: float | None = None
    spent_s: float = 0.0


@dataclass(slots=True, eq=False)
class HostQueue:
    """The queue of one host."""

    host: str
    limiter: AsyncLimiter | None
    items: deque[Item] = field(default_factory=deque)
    active: int = 0
    paused_until: float = 0.0
    failures: int = 0
    given_up: bool = False
    is_listed: bool = False  # in the list of ready or of paused queues


class HostScheduler:
    """The queues of all hosts.

    Args:
        per_host: largest number of connections to one host at a time.
        rate: largest number of requests per second to one host; None: no limit.
        give_up_after: connection failures in a row after which a host is given up.
    """

    def __init__(self, *, per_host: int, rate: float | None, give_up_after: int) -> None:
        self.per_host, self.rate, self.give_up_after = per_host, rate, give_up_after
        self.n_queued = 0
        self.n_active = 0
        self.n_left = 0
        self._queues: dict[str, HostQueue] = {}
        self._ready: deque[HostQueue] = deque()
        self._paused: list[tuple[float, int, HostQueue]] = []
        self._later: list[tuple[float, int, str, Item]] = []
        self._counter = itertools.count()

    def queue_of(self, host: str) -> HostQueue:
        """The queue of `host`, created on first use."""
        queue = self._queues.get(host)
        if queue is None:
            # One at a time, evenly spaced: a rate limit is there to prevent a burst of a second's worth.
            limiter = None if self.rate is None else AsyncLimiter(1, 1.0 / self.rate)
            queue = self._queues[host] = HostQueue(host, limiter)
        return queue

    def add(self, host: str, item: Item, *, first: bool = False) -> None:
        """Queue an item, with `first` before the other items of its host."""
        queue = self.queue_of(host)
        if queue.given_up:
            self.n_left += 1
            return
        if first:
            queue.items.appendleft(item)
        else:
            queue.items.append(item)
        self.n_queued += 1
        self._offer(queue)

    def add_later(self, host: str, item: Item, due: float) -> None:
        """Queue an item at the time `due`."""
        self.n_queued += 1
        heapq.heappush(self._later, (due, next(self._counter), host, item))

    def pick(self, now: float) -> tuple[HostQueue, Item] | None:
        """Pick the next item whose host may be requested now. The caller returns the queue with `release`."""
        while self._later and self._later[0][0] <= now:
            _, _, host, item = heapq.heappop(self._later)
            self.n_queued -= 1
            self.add(host, item)
        while self._paused and self._paused[0][0] <= now:
            self._ready.append(heapq.heappop(self._paused)[2])
        while self._ready:
            queue = self._ready.popleft()
            if queue.paused_until > now:
                heapq.heappush(self._paused, (queue.paused_until, next(self._counter), queue))
                continue
            queue.is_listed = False
            if not queue.items or queue.active >= self.per_host:
                continue
            item = queue.items.popleft()
            self.n_queued -= 1
            queue.active += 1
            self.n_active += 1
            self._offer(queue)
            return queue, item
        return None

    def release(self, queue: HostQueue) -> None:
        """Count an item of this queue as finished. A queue without state is deleted: there may be many hosts."""
        queue.active -= 1
        self.n_active -= 1
        self._offer(queue)
        idle = not (
            queue.active or queue.items or queue.is_listed or queue.failures or queue.given_up or queue.paused_until
        )
        if idle and (queue.limiter is None or queue.limiter.has_capacity()):
            del self._queues[queue.host]

    def pause(self, queue: HostQueue, until: float) -> None:
        """Make no request to this host before `until`."""
        queue.paused_until = max(queue.paused_until, until)

    def record_response(self, queue: HostQueue, *, answered: bool) -> bool:
        """Count whether the host could be reached. Returns True if the host is given up by this call."""
        queue.failures = 0 if answered else queue.failures + 1
        if queue.failures < self.give_up_after or queue.given_up:
            return False
        queue.given_up = True
        self.n_left += len(queue.items)
        self.n_queued -= len(queue.items)
        queue.items.clear()
        return True

    def next_due(self) -> float | None:
        """The time at which an item or a host becomes available by itself. None: never."""
        return min((heap[0][0] for heap in (self._later, self._paused) if heap), default=None)

    def _offer(self, queue: HostQueue) -> None:
        if queue.items and queue.active < self.per_host and not queue.is_listed:
            queue.is_listed = True
            self._ready.append(queue)
