"""Small pictures of known photos, each made once: upright, re-encoded, without what a camera wrote into the file.

They lie in the store's `thumbnails/`, named by the digest of the original's bytes. A digest comes from the snapshot,
never from a request, so no request names a file. Those of photos that are gone are removed.
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
"""kind -> pixels: of the square that a thumbnail is, of the box that a picture fits in."""


class Pictures:
    """May be asked for the same picture by many at once; it is made once."""

    def __init__(self, layout: Layout, work: Executor) -> None:
        self._layout, self._work = layout, work
        self._making: dict[tuple[str, str], asyncio.Future[bytes | None]] = {}
        self.n_made = 0

    async def of(self, sha256: str, kind: str) -> bytes | None:
        """A JPEG; None where the bytes are gone or broken."""
        key = (sha256, kind)
        made = self._making.get(key)
        if made is None:
            loop = asyncio.get_running_loop()
            made = self._making[key] = loop.run_in_executor(self._work, self._read_or_make, sha256, kind)
            made.add_done_callback(lambda _: self._making.pop(key, None))
        return await asyncio.shield(made)

    def prune(self, snapshot: Snapshot) -> None:
        """Remove those of photos that the store no longer has."""
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
            with contextlib.suppress(OSError):  # a full or read-only disk: it is made again next time
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
        # The upper part of a portrait is where the face is.
        picture = ImageOps.fit(picture, (side, side), centering=(0.5, 0.3))
    else:
        picture.thumbnail((side, side))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=82)
    return buffer.getvalue()


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all; not synced, for it is a cache."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(data + hashlib.sha256(data).digest())
    temporary.replace(path)


def _whole(data: bytes) -> bytes | None:
    """What was written, less the digest that follows the picture; None: something else is there."""
    picture, digest = data[:-32], data[-32:]
    return picture if hashlib.sha256(picture).digest() == digest else None
