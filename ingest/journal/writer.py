"""Write the journal of one network run: sync it every second, merge it into the warehouse every few minutes.

journal = JournalWriter(store, folder, "fetch", merge=...)
journal.drain()                 # merge what a crash left
async with journal:
    journal.append({...})       # at any time, from any task
journal.drain()
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

__all__ = ["JournalWriter"]


class JournalWriter:
    """The journal of one run.

    Args:
        store: the open store.
        folder: folder of the journal's segments.
        command: name of the writing command, for the lock.
        merge: function that loads a segment's rows into the base tables.
        is_valid: whether a record that was not synced is valid, by the files it names. None: all are.
        sync_every_s: time between two syncs to disk, in seconds.
        merge_every_s: time between two merges, in seconds.
    """

    def __init__(
        self,
        store: Store,
        folder: Path,
        command: str,
        *,
        merge: Merge,
        is_valid: Callable[[Record], bool] | None = None,
        sync_every_s: float = 1.0,
        merge_every_s: float = 300.0,
    ) -> None:
        self.store, self.folder, self.command = store, folder, command
        self.sync_every_s, self.merge_every_s = sync_every_s, merge_every_s
        self._merge, self._is_valid = merge, is_valid
        self._journal: Journal | None = None
        self._ended = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def drain(self) -> None:
        """Merge all segments except the current one."""
        current = self._journal.path if self._journal else None
        closed = [path for path in segments(self.folder) if path != current]
        drain(self.store.database, self.command, closed, self._merge, self._is_valid)

    def append(self, record: Mapping[str, Any]) -> None:
        """Write a record. It survives the death of the process."""
        if self._journal is None:
            raise RuntimeError("the context of the journal writer was not entered")
        self._journal.append(record)

    async def __aenter__(self) -> JournalWriter:
        self._journal = Journal(self.folder)
        self.task = asyncio.create_task(self._sync_and_merge(self._journal))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._ended.set()
        if self.task is not None:
            await self.task
        if self._journal is not None:
            closed, self._journal = self._journal, None
            await asyncio.to_thread(closed.close)

    async def _sync_and_merge(self, journal: Journal) -> None:
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
