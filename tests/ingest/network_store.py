"""Helpers of the network tests: a clock that waiting advances, and a store whose photos have URLs only."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from photogenic.ingest.config import Limits
from photogenic.warehouse import Database, Layout, Settings

START = 1_700_000_000.0
QUICK = Limits(
    concurrency=32,
    per_host=8,
    total_s=0.4,
    read_s=0.3,
    connect_s=0.3,
    attempts=4,
    allow_private=True,
    sync_every_s=0.05,
)
PATIENT = replace(QUICK, total_s=30, read_s=30, connect_s=30)
"""Limits with long timeouts, so that a busy machine causes none."""


class JumpingClock:
    """A clock that stands still until a task waits and no request is open; then it jumps to the end of the wait."""

    def __init__(self, at: float = START, busy: Callable[[], int] = lambda: 0) -> None:
        self.at, self.busy = at, busy
        self.waits: list[float] = []

    def now(self) -> float:
        return self.at

    async def wait(self, until: float | None, event: asyncio.Event | None = None) -> None:
        if event is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if until is None else 0.01):
                    await event.wait()
                return
        while self.busy():
            await asyncio.sleep(0.001)
        if until is not None and until > self.at:
            self.waits.append(until - self.at)
            self.at = until
        await asyncio.sleep(0)


def make_store(folder: Path, photos: Iterable[tuple[str, str]]) -> Database:
    """Make a store with photos (photo_id, url), all of one user."""
    db = Database(Layout(folder), Settings(memory_limit="500MB", threads=1, lock_timeout_s=5))
    with db.write("test") as con:
        ids, urls = zip(*photos, strict=True)
        con.execute(
            """insert into facts.photos (photo_id, user_id, path, url, posted_at, likes, hashtags, ingested_at)
            select unnest($1), 'u', null, unnest($2), null, null, null, timestamp '2024-01-01'""",
            [list(ids), list(urls)],
        )
    return db


def rows(db: Database, query: str) -> list[tuple[Any, ...]]:
    """Run a query on the newest snapshot."""
    with db.read() as con:
        return con.execute(query).fetchall()
