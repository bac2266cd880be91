"""Back-off, and the clock that waiting uses.

Everything that waits uses a `Clock`, so that a test can advance it by hours; only durations are measured with the
machine's own counter. Back-off is exponential with full jitter: the n-th wait is drawn from
[0, min(cap, base * 2^n)], which spreads many retries better than a fixed sequence.
Source: Brooker 2015, "Exponential Backoff And Jitter", AWS Architecture Blog.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import random
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Protocol

__all__ = ["Backoff", "Clock", "SystemClock", "instant", "retry_after_s"]


class Clock(Protocol):
    """The time of day, and a way to wait for it."""

    def now(self) -> float:
        """Seconds since 1970, UTC."""

    async def wait(self, until: float | None, event: asyncio.Event | None = None) -> None:
        """Return at `until` or when `event` is set, whichever is first; None waits for the event alone."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    async def wait(self, until: float | None, event: asyncio.Event | None = None) -> None:
        delay_s = None if until is None else max(until - time.time(), 0.0)
        if event is None:
            await asyncio.sleep(delay_s or 0.0)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await event.wait()


@dataclass(frozen=True, slots=True)
class Backoff:
    """Number of attempts, and the waits between them.

    Attributes:
        attempts: largest number of attempts, at least 1.
        base_s: upper bound of the first wait, in seconds.
        cap_s: upper bound of every wait, in seconds.
    """

    attempts: int = 5
    base_s: float = 0.5
    cap_s: float = 60.0

    def delay_s(self, tries: int, rng: random.Random) -> float:
        """The wait after `tries` failures (from 1), in seconds."""
        return rng.uniform(0.0, min(self.cap_s, self.base_s * 2.0 ** min(tries - 1, 32)))


def retry_after_s(header: str | None, now: float) -> float | None:
    """Seconds that a Retry-After header (a number or a date) asks for; None for an unusable header."""
    if header is None:
        return None
    with contextlib.suppress(ValueError):
        seconds = float(header)
        return seconds if 0.0 <= seconds < float("inf") else None
    with contextlib.suppress(ValueError):
        return max(parsedate_to_datetime(header).timestamp() - now, 0.0)
    return None


def instant(seconds: float) -> dt.datetime:
    """Convert seconds since 1970 to a time of the warehouse: UTC, without a zone."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).replace(tzinfo=None)
