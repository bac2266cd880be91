"""Keeps the journal of one network run: durable every second, in the warehouse every few minutes.

scribe = Scribe(store, folder, "fetch", merge=...)
scribe.drain()                  # what a crash left behind
async with scribe:
    scribe.append({...})        # at any time, from any task
scribe.drain()
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from photogenic.ingest.journal.journal import Journal, Merge, Record, drain, segments
from photogenic.warehouse import LockedError, Store

__all__ = ["Scribe"]


class Scribe:
    """The journal of one run.

    Args:
        store: the open store.
        folder: where the journal's segments lie.
        command: who writes, for the lock.
        merge: takes a segment's rows into the base tables.
        holds: whether a record that was not yet durable is true, judged by the files it speaks of; None: all are.
        sync_every_s: seconds between two groups made durable.
        merge_every_s: seconds between two merges.
    """

    def __init__(
        self,
        store: Store,
        folder: Path,
        command: str,
        *,
        merge: Merge,
        holds: Callable[[Record], bool] | None = None,
        sync_every_s: float = 1.0,
        merge_every_s: float = 300.0,
    ) -> None:
        self.store, self.folder, self.command = store, folder, command
        self.sync_every_s, self.merge_every_s = sync_every_s, merge_every_s
        self._merge, self._holds = merge, holds
        self._journal: Journal | None = None
        self._ended = asyncio.Event()
        self.keeper: asyncio.Task[None] | None = None

    def drain(self) -> None:
        """Merge all segments that nobody writes any more."""
        current = self._journal.path if self._journal else None
        closed = [path for path in segments(self.folder) if path != current]
        drain(self.store.database, self.command, closed, self._merge, self._holds)

    def append(self, record: Mapping[str, Any]) -> None:
        """Write a record down; a killed process does not lose it."""
        if self._journal is None:
            raise RuntimeError("the scribe's context was not entered")
        self._journal.append(record)

    async def __aenter__(self) -> Scribe:
        self._journal = Journal(self.folder)
        self.keeper = asyncio.create_task(self._keep(self._journal))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._ended.set()
        if self.keeper is not None:
            await self.keeper
        if self._journal is not None:
            closed, self._journal = self._journal, None
            await asyncio.to_thread(closed.close)

    async def _keep(self, journal: Journal) -> None:
        merged = time.monotonic()
        while not self._ended.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.sync_every_s):
                    await self._ended.wait()
            await asyncio.to_thread(journal.sync)
            if time.monotonic() - merged >= self.merge_every_s:
                closed, journal = journal, Journal(self.folder)
                self._journal = journal
                await asyncio.to_thread(closed.close)
                try:
                    await asyncio.to_thread(self.drain)
                except LockedError as error:
                    self.store.progress.note(f"{error.what} The journal is merged later.")
                merged = time.monotonic()
