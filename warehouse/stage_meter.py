"""The facts of a running stage: how much is done, how fast, since when, and how much time is left.

Bars on a terminal and lines in a file print the same facts from here.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

__all__ = ["StageMeter"]

_WINDOW_S = 30.0
"""Seconds over which the rate is measured. A stage whose last units took longer is measured since the unit before."""

_SAMPLE_S = 0.25
"""Least seconds between two samples of the count."""

_START_S = 0.05
"""Seconds after the start within which units count as done before, as after `Continuing from update 300`."""


class StageMeter:
    """The count of one stage. It may be advanced and read in different threads.

    Args:
        name: Name of the stage.
        total: Number of units; None if unknown.
        unit: Name of the units.
        at_most: Whether the total is an upper bound.
        clock: Clock in seconds.

    Attributes:
        done: Number of units done.
    """

    def __init__(
        self,
        name: str,
        total: int | None = None,
        unit: str = "",
        *,
        at_most: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name, self.total, self.unit, self.at_most = name, total, unit, at_most
        self.done, self._clock = 0, clock
        self.since = clock()
        self._samples = deque([(self.since, 0)])
        self._last = self._samples[0]

    def advance(self, n: int) -> None:
        """Count n more units."""
        now = self._clock()
        self.done += n
        self._last = (now, self.done)
        if now - self.since < _START_S:
            self._samples[0] = self._last
        elif now - self._samples[-1][0] >= _SAMPLE_S:
            self._samples.append(self._last)
            while len(self._samples) > 2 and self._samples[1][0] <= now - _WINDOW_S:
                self._samples.popleft()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return self._clock() - self.since

    @property
    def per_s(self) -> float | None:
        """Units per second of late; None if nothing was counted yet."""
        (began, before), (at, done) = self._samples[0], self._last
        return (done - before) / (at - began) if done > before and at > began else None

    @property
    def left_s(self) -> float | None:
        """Estimated seconds until the end, at most if the total is an upper bound; None if unknown."""
        rate = self.per_s
        if rate is None or self.total is None or self.done >= self.total:
            return None
        at, done = self._last
        return max((self.total - done) / rate - (self._clock() - at), 0.0)

    def amount(self) -> str:
        """Return the count as text: `192 of 2,596 photos`."""
        of = "" if self.total is None else f" of {'up to ' if self.at_most else ''}{self.total:,}"
        return f"{self.done:,}{of} {self.unit}".rstrip() if self.done or self.total is not None else ""

    def rate(self) -> str:
        """Return the rate as text: `6.4/s`, or `4.2/min` if it is low."""
        rate = self.per_s
        if rate is None:
            return ""
        if rate < 0.2:
            return f"{60 * rate:.2g}/min"
        return f"{rate:,.0f}/s" if rate >= 100 else f"{rate:.3g}/s" if rate >= 10 else f"{rate:.2g}/s"

    def left(self) -> str:
        """Return the remaining time as text: `6:16 left`."""
        left_s = self.left_s
        return "" if left_s is None else f"{'at most ' if self.at_most else ''}{clock_time(left_s)} left"


def clock_time(seconds: float) -> str:
    """Return seconds as `0:07`, `6:16` or `1:02:03`."""
    minutes, s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{s:02}" if hours else f"{minutes}:{s:02}"
