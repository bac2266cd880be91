"""Thumbnails of photos for the pages (features/images/thumbnails). Those of removed photos are deleted."""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import Executor

from photogenic.app.serve.snapshot import Snapshot
from photogenic.features.images.thumbnails import read_or_make
from photogenic.warehouse import Layout

__all__ = ["Pictures"]


class Pictures:
    """Thumbnails and pictures of a store. Concurrent requests for the same picture make it once."""

    def __init__(self, layout: Layout, work: Executor) -> None:
        self._layout, self._work = layout, work
        self._making: dict[tuple[str, str], asyncio.Future[bytes | None]] = {}
        self.n_made = 0

    async def of(self, sha256: str, kind: str) -> bytes | None:
        """Return a JPEG, or None if the file is missing or damaged."""
        key = (sha256, kind)
        made = self._making.get(key)
        if made is None:
            loop = asyncio.get_running_loop()
            made = self._making[key] = loop.run_in_executor(self._work, self._read_or_make, sha256, kind)
            made.add_done_callback(lambda _: self._making.pop(key, None))
        return await asyncio.shield(made)

    def prune(self, snapshot: Snapshot) -> None:
        """Delete the thumbnails of photos that are not in the snapshot."""
        known = set(snapshot.photos["sha256"].drop_nulls())
        for path in self._layout.thumbnails.glob("*/*/*"):
            if path.stem not in known:
                with contextlib.suppress(OSError):
                    path.unlink()

    def _read_or_make(self, sha256: str, kind: str) -> bytes | None:
        found, is_new = read_or_make(self._layout, sha256, kind)
        self.n_made += is_new
        return found
