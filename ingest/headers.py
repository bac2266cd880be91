"""What a picture file is, by its own bytes: magic number, decodable header, and whether its end is there.

Nothing is believed of names and content types, and no pixel is decoded while the file's end marker
stands where it should: some 20 microseconds a picture. Only a file without its marker is decoded whole
(many phones append data after it), and that decides.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

__all__ = ["MAX_PIXELS", "Header", "examine"]

MAX_PIXELS = 89_478_485
"""Width times height of the largest picture taken in: Pillow's own line against decompression bombs."""

_ORIENTATION = 0x0112
_TAIL = 64


@dataclass(frozen=True, slots=True)
class Header:
    """What was found in a file.

    Attributes:
        status: as `photos.status`.
        detail: why it is not ok.
        width: pixels, upright (after EXIF orientation); None where there is no readable header.
        height: likewise.
    """

    status: Literal["ok", "empty", "not_an_image", "truncated", "unreadable", "too_large"]
    detail: str = ""
    width: int | None = None
    height: int | None = None


def examine(path: Path, *, max_pixels: int = MAX_PIXELS) -> Header:
    """Look at a file. Its state is an answer, never an exception; only disk errors are raised."""
    n_bytes = path.stat().st_size
    if not n_bytes:
        return Header("empty")
    with path.open("rb") as file:
        magic = file.read(16)
        kind = _format(magic)
        if kind is None:
            return Header("not_an_image", f"begins with {magic[:8].hex(' ')}")
        try:
            return _examine(file, kind, n_bytes, max_pixels)
        except (OSError, SyntaxError, ValueError, IndexError, TypeError, struct.error, EOFError) as error:
            # Pillow's plugins raise any of these for malformed headers, and for those cut short.
            status: Literal["unreadable", "truncated"] = "unreadable" if _ended(file, kind, n_bytes) else "truncated"
            return Header(status, f"{kind}: {error}")


def _examine(file: IO[bytes], kind: str, n_bytes: int, max_pixels: int) -> Header:
    from PIL import Image

    if kind not in Image.OPEN:
        Image.init()
    file.seek(0)
    # As Image.open does after it has chosen the plugin, less its warning between one and two times the limit.
    factory, _ = Image.OPEN[kind]
    with factory(file, "") as image:
        width, height = image.size
        if width * height > max_pixels:
            return Header("too_large", f"{width} x {height} pixels", width, height)
        if "exif" in image.info and image.getexif().get(_ORIENTATION, 1) >= 5:
            width, height = height, width
        if not _ended(file, kind, n_bytes):
            try:
                image.load()
            except (OSError, SyntaxError, ValueError, IndexError, struct.error, EOFError) as error:
                return Header("truncated", str(error), width, height)
    return Header("ok", "", width, height)


def _format(magic: bytes) -> str | None:
    """Pillow's name of the format, by magic number."""
    if magic.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if magic.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if magic.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if magic.startswith(b"RIFF") and magic[8:12] == b"WEBP":
        return "WEBP"
    if magic.startswith((b"II*\0", b"MM\0*")):
        return "TIFF"
    if magic.startswith(b"BM"):
        return "BMP"
    if magic[4:12] in {b"ftypavif", b"ftypavis"}:
        return "AVIF"
    return None


def _ended(file: IO[bytes], kind: str, n_bytes: int) -> bool:
    """Whether the format's end marker closes the file."""
    start = max(n_bytes - _TAIL, 0)
    tail = os.pread(file.fileno(), _TAIL, start)
    if kind == "JPEG":
        return tail.rstrip(b"\0").endswith(b"\xff\xd9")
    if kind == "PNG":
        return b"IEND\xaeB`\x82" in tail
    if kind == "GIF":
        return tail.rstrip(b"\0").endswith(b";")
    if kind == "WEBP":
        size = struct.unpack("<I", os.pread(file.fileno(), 4, 4))[0]
        return bool(size + 8 <= n_bytes)
    return False
