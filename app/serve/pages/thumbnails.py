"""Thumbnails of photos, each made once: upright, re-encoded, without the metadata of the camera.

They are kept in `thumbnails/` of the store, named by the digest of the original file. Digests come from the snapshot
and never from a request, so that no request can name a file. Thumbnails of removed photos are deleted.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import os
from concurrent.futures import Executor
from pathlib import Path

from photogenic._lazy import Image, ImageOps
from photogenic.app.serve.snapshot import Snapshot
from photogenic.features.images.decode import decode
from photogenic.warehouse import Layout

__all__ = ["SIDES", "Pictures"]

SIDES = {"thumb": 240, "picture": 1080}
"""Kind -> side in pixels of the square thumbnail, or of the box that a picture fits in."""


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
        path = self._layout.thumbnails / kind / sha256[:2] / f"{sha256}.jpg"
        with contextlib.suppress(OSError):
            if (held := _whole(path.read_bytes())) is not None:
                return held
        try:
            data = self._layout.photo(sha256).read_bytes()
        except OSError:
            return None
        if hashlib.sha256(data).hexdigest() != sha256:
            return None
        made = _small(data, kind)
        if made is not None:
            self.n_made += 1
            with contextlib.suppress(OSError):  # full or read-only disk: the thumbnail is made again next time
                _write(path, made)
                if not self._layout.photo(sha256).exists():  # erased meanwhile
                    path.unlink()
        return made


def _small(data: bytes, kind: str) -> bytes | None:

    side = SIDES[kind]
    found = decode(data, min_side=side)
    if found.pixels is None:
        return None
    picture = Image.fromarray(found.pixels)
    if kind == "thumb":
        # The face is in the upper part of a portrait.
        picture = ImageOps.fit(picture, (side, side), centering=(0.5, 0.3))
    else:
        picture.thumbnail((side, side))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=82)
    return buffer.getvalue()


def _write(path: Path, data: bytes) -> None:
    """Write a file atomically. It is not synced, because it is a cache."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(data + hashlib.sha256(data).digest())
    temporary.replace(path)


def _whole(data: bytes) -> bytes | None:
    """Return the picture without the digest that follows it, or None if the digest does not match."""
    picture, digest = data[:-32], data[-32:]
    return picture if hashlib.sha256(picture).digest() == digest else None
