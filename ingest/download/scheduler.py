"""Who is downloaded next: one lane per host, each with its own width, pace and patience.

The scheduler is synchronous and keeps no clock: `pick` gives an item whose host may be asked now,
`next_due` says when that changes by itself. A host that answers 429 is parked as a whole; a host that
fails at the door again and again is given up for this run, and its photos stay pending for the next.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from dataclasses import dataclass, field

from aiolimiter import AsyncLimiter
from yarl import URL

__all__ = ["Item", "Lane", "Lanes"]


@dataclass(slots=True)
class Item:
    """A photo to download.

    Attributes:
        photo_id: whose bytes these are to be.
        url: as the warehouse has it.
        attempt: number of the attempt under way, from 1, over all runs.
        tries: attempts of this run so far.
        target: where the redirects of this attempt have led.
        hops: redirects of this attempt so far.
        started_at: of this attempt, seconds since 1970; None: not begun.
        spent_s: seconds that this attempt has taken so far.
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
class Lane:
    """One host."""

    host: str
    limiter: AsyncLimiter | None
    queue: deque[Item] = field(default_factory=deque)
    active: int = 0
    parked_until: float = 0.0
    failures: int = 0
    down: bool = False
    listed: bool = False  # among the ready or the parked


class Lanes:
    """All hosts.

    Args:
        per_host: connections to one host at a time.
        rate: requests to one host per second; None: as fast as it answers.
        give_up_after: failures at the door in a row after which a host is given up.
    """

    def __init__(self, *, per_host: int, rate: float | None, give_up_after: int) -> None:
        self.per_host, self.rate, self.give_up_after = per_host, rate, give_up_after
        self.n_queued = 0
        self.n_active = 0
        self.n_left = 0
        self._lanes: dict[str, Lane] = {}
        self._ready: deque[Lane] = deque()
        self._parked: list[tuple[float, int, Lane]] = []
        self._later: list[tuple[float, int, str, Item]] = []
        self._order = itertools.count()

    def lane(self, host: str) -> Lane:
        """The lane of `host`, made on first use."""
        lane = self._lanes.get(host)
        if lane is None:
            # One at a time, evenly spaced: a burst of a second's worth is what rate limits are there to prevent.
            limiter = None if self.rate is None else AsyncLimiter(1, 1.0 / self.rate)
            lane = self._lanes[host] = Lane(host, limiter)
        return lane

    def add(self, host: str, item: Item, *, first: bool = False) -> None:
        """Queue an item; `first` puts it before the others of its host."""
        lane = self.lane(host)
        if lane.down:
            self.n_left += 1
            return
        if first:
            lane.queue.appendleft(item)
        else:
            lane.queue.append(item)
        self.n_queued += 1
        self._offer(lane)

    def add_later(self, host: str, item: Item, due: float) -> None:
        """Queue an item at the instant `due`."""
        self.n_queued += 1
        heapq.heappush(self._later, (due, next(self._order), host, item))

    def pick(self, now: float) -> tuple[Lane, Item] | None:
        """The next item whose host may be asked now; the caller hands the lane back with `release`."""
        while self._later and self._later[0][0] <= now:
            _, _, host, item = heapq.heappop(self._later)
            self.n_queued -= 1
            self.add(host, item)
        while self._parked and self._parked[0][0] <= now:
            self._ready.append(heapq.heappop(self._parked)[2])
        while self._ready:
            lane = self._ready.popleft()
            if lane.parked_until > now:
                heapq.heappush(self._parked, (lane.parked_until, next(self._order), lane))
                continue
            lane.listed = False
            if not lane.queue or lane.active >= self.per_host:
                continue
            item = lane.queue.popleft()
            self.n_queued -= 1
            lane.active += 1
            self.n_active += 1
            self._offer(lane)
            return lane, item
        return None

    def release(self, lane: Lane) -> None:
        """An item of this lane is through. A lane with nothing to remember is forgotten: there may be many hosts."""
        lane.active -= 1
        self.n_active -= 1
        self._offer(lane)
        idle = not (lane.active or lane.queue or lane.listed or lane.failures or lane.down or lane.parked_until)
        if idle and (lane.limiter is None or lane.limiter.has_capacity()):
            del self._lanes[lane.host]

    def park(self, lane: Lane, until: float) -> None:
        """Ask this host for nothing before `until`."""
        lane.parked_until = max(lane.parked_until, until)

    def knock(self, lane: Lane, *, answered: bool) -> bool:
        """Note whether the host answered at all; True when it is given up just now."""
        lane.failures = 0 if answered else lane.failures + 1
        if lane.failures < self.give_up_after or lane.down:
            return False
        lane.down = True
        self.n_left += len(lane.queue)
        self.n_queued -= len(lane.queue)
        lane.queue.clear()
        return True

    def next_due(self) -> float | None:
        """When an item or a host becomes available by itself; None: never."""
        return min((heap[0][0] for heap in (self._later, self._parked) if heap), default=None)

    def _offer(self, lane: Lane) -> None:
        if lane.queue and lane.active < self.per_host and not lane.listed:
            lane.listed = True
            self._ready.append(lane)
