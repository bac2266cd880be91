"""Damaged files, as a broken disk, a faulty network or an attacker would make them, drawn at random."""

from __future__ import annotations

import io
import random
import struct
import zlib

__all__ = ["FORMATS", "bomb", "drawn", "mutated"]

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")


def drawn(form: str, rng: random.Random, side: int = 40, **options: object) -> bytes:
    """Return a small image of colored squares."""
    from PIL import Image

    squares = Image.frombytes("RGB", (5, 5), rng.randbytes(75)).resize((side, side), Image.Resampling.NEAREST)
    target = io.BytesIO()
    squares.save(target, form, **options)
    return target.getvalue()


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Flip bits, cut, double, exchange or zero pieces, or make numbers extreme; mostly in the header."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        if not out:
            break
        at = rng.randrange(min(len(out), 200)) if rng.random() < 0.6 else rng.randrange(len(out))
        what = rng.randrange(7)
        if what == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif what == 1:
            del out[at : at + rng.choice((1, 4, 100))]
        elif what == 2:
            out[at:at] = out[at : at + rng.randrange(1, 40)]
        elif what == 3:
            out[at : at + 4] = rng.choice((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\x80\0\0\0"))[: len(out) - at]
        elif what == 4:
            out = out[: at + 1]
        elif what == 5:
            out[at : at + 8] = rng.randbytes(8)
        else:
            out += rng.randbytes(rng.randrange(1, 200))
    return bytes(out)


def bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """Return a PNG of a few kilobytes that has gigapixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(4_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
