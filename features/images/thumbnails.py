"""Thumbnails of photos, each made once: upright, re-encoded, without the metadata of the camera.

They are kept in `thumbnails/` of the store, named by the digest of the original file. Digests come from the snapshot
and never from a request, so that no request can name a file.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from pathlib import Path

from photogenic._lazy import Image, ImageOps
from photogenic.features.images.decode import decode
from photogenic.warehouse import Layout

__all__ = ["SIDES", "read_or_make"]

SIDES = {"thumb": 240, "picture": 1080}
"""Kind -> side in pixels of the square thumbnail, or of the box that a picture fits in."""


def read_or_make(layout: Layout, sha256: str, kind: str) -> tuple[bytes | None, bool]:
    """Return a JPEG, or None if the file is missing or damaged; and whether it was made now.

    Args:
        layout: paths of the store.
        sha256: digest of the photo, from the snapshot.
        kind: one of `SIDES`.
    """
    path = layout.thumbnails / kind / sha256[:2] / f"{sha256}.jpg"
    with contextlib.suppress(OSError):
        if (held := _whole(path.read_bytes())) is not None:
            return held, False
    try:
        data = layout.photo(sha256).read_bytes()
    except OSError:
        return None, False
    if hashlib.sha256(data).hexdigest() != sha256:
        return None, False
    made = _small(data, kind)
    if made is not None:
        with contextlib.suppress(OSError):  # full or read-only disk: the thumbnail is made again next time
            _write(path, made)
            if not layout.photo(sha256).exists():  # erased meanwhile
                path.unlink()
    return made, made is not None


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
