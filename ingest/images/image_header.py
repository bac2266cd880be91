"""What a picture file is, by its own bytes: magic number, decodable header, and whether its end is there.

Nothing is believed of names and content types, and no pixel is decoded while the file's end marker
stands where it should. Only a file without its marker needs `decode` (many phones append data after it),
and that decides. Pillow reads the headers, some 60 microseconds each; the plain JPEGs that photo services
send out (no EXIF, one scan header after another) are read here in 5, and anything unusual goes to Pillow.
"""

from __future__ import annotations

import io
import struct
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Literal

from photogenic._lazy import Image
from photogenic.ingest.images import image_format

__all__ = [
    "MAX_PIXELS",
    "MAX_SIDE",
    "Header",
    "decode",
    "is_bomb",
    "look",
    "look_at",
    "orientation",
    "too_large",
    "upright_size",
]

MAX_PIXELS = 89_478_485
"""Width times height of the largest picture taken in: Pillow's own line against decompression bombs."""

MAX_SIDE = 65_500
"""Pixels of the longest side of a picture taken in: that of the largest JPEG that libjpeg decodes."""

# Pillow warns about odd metadata, file by file; what matters of it is in the status.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

_ORIENTATION = 0x0112
_TELLING = {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"}
"""What may say how a picture is turned, as Pillow calls it."""
_TAIL = 64
_SOS, _DQT = 0xDA, 0xDB
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
"""Frames that every decoder knows: baseline, extended, progressive."""
_PLAIN = frozenset({0xC4, 0xDD, 0xE0, 0xFE})
"""Segments that decide nothing here: Huffman tables, restart interval, JFIF, comment."""
_MALFORMED = (OSError, SyntaxError, ValueError, IndexError, TypeError, struct.error, EOFError)
"""What Pillow's plugins raise for malformed files, and for those cut short."""


@dataclass(frozen=True, slots=True)
class Header:
    """What was found in a file.

    Attributes:
        status: as `photos.status`.
        detail: why it is not ok.
        width: pixels, upright (after EXIF orientation); None where there is no readable header.
        height: likewise.
        ended: the end marker is where it should be; if not, an ok is to be confirmed by `decode`.
    """

    status: Literal[
        "ok", "empty", "not_an_image", "unsupported_format", "erased", "truncated", "unreadable", "too_large"
    ]
    detail: str = ""
    width: int | None = None
    height: int | None = None
    ended: bool = True


def look(file: IO[bytes], *, max_pixels: int = MAX_PIXELS) -> Header:
    """Judge a picture by its first and last bytes. Its state is an answer, never an exception."""
    head = file.read(image_format.HEAD)
    if not head:
        return Header("empty")
    kind = image_format.sniffed(head)
    if kind is None:
        return Header("not_an_image", f"begins with {head[:8].hex(' ')}")
    if kind not in image_format.READ:
        return Header("unsupported_format", image_format.unsupported(kind))
    ended = _ended(file, kind)
    try:
        return _look(file, kind, max_pixels, ended)
    except _MALFORMED as error:
        return Header("unreadable" if ended else "truncated", f"{kind}: {error}")
    except Exception as error:
        if not is_bomb(error):
            raise
        return Header("too_large", str(error))


def too_large(width: int, height: int, max_pixels: int = MAX_PIXELS) -> str:
    """Why a picture of that size is not taken in, by side or by area; empty if it is. Every reader asks here."""
    if width * height > max_pixels:
        return f"{width} x {height} pixels"
    return f"{width} x {height} pixels: a side of more than {MAX_SIDE:,}" if max(width, height) > MAX_SIDE else ""


def is_bomb(error: Exception) -> bool:
    """Whether Pillow refused a size by itself, as some of its plugins do before the size can be asked for."""
    return isinstance(error, Image.DecompressionBombError)


def look_at(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Header:
    """As `look`, of bytes in memory."""
    size = _plain_jpeg(data)
    if size is None:
        return look(io.BytesIO(data), max_pixels=max_pixels)
    width, height = size
    if why := too_large(width, height, max_pixels):
        return Header("too_large", why, width, height)
    return Header("ok", "", width, height, data[-_TAIL:].rstrip(b"\0").endswith(b"\xff\xd9"))


def decode(path: Path, header: Header) -> Header:
    """Decode all pixels of a file whose header is ok, to see whether it is whole. May take a second."""
    with path.open("rb") as file:
        try:
            data = file.read()
            with image_format.opened(
                data, image_format.sniffed(data[: image_format.HEAD]) or image_format.READ[0]
            ) as image:
                image.load()
        except _MALFORMED as error:
            return replace(header, status="truncated", detail=str(error))
        except Exception as error:
            if not is_bomb(error):
                raise
            return replace(header, status="too_large", detail=str(error))
    return replace(header, ended=True)


def _plain_jpeg(data: bytes) -> tuple[int, int] | None:
    """Width and height of a JPEG that leaves no question before its first scan; None: let Pillow see.

    Source: ITU-T T.81, annex B; segments are FF, marker, two bytes of length, content.
    """
    if data[:3] != b"\xff\xd8\xff":
        return None
    at, size = 2, None
    while len(data) >= at + 4 and data[at] == 0xFF:
        marker, n = data[at + 1], data[at + 2] << 8 | data[at + 3]
        content = data[at + 4 : at + 2 + n]
        if len(content) != n - 2:
            return None
        if marker == _SOS:
            return size
        if marker in _FRAMES:
            if size is not None or n < 8 or content[0] != 8 or n != 8 + 3 * content[5] or content[5] not in (1, 3):
                return None
            height, width = struct.unpack(">HH", content[1:5])
            if not (height and width):
                return None
            size = width, height
        elif marker == _DQT:
            if len(content) % 65 or any(content[at] > 3 for at in range(0, len(content), 65)):
                return None
        elif marker not in _PLAIN:
            return None
        at += 2 + n
    return None


def _look(file: IO[bytes], kind: str, max_pixels: int, ended: bool) -> Header:
    file.seek(0)
    with image_format.opened(file.read(), kind) as image:
        if image_format.is_raw(image):
            return Header("unsupported_format", image_format.unsupported("RAW"))
        width, height = upright_size(image)
        if why := too_large(width, height, max_pixels):
            return Header("too_large", why, width, height)
    return Header("ok", "", width, height, ended)


def orientation(image: Image.Image) -> int:
    """How the pixels are to be turned once they are loaded, as in EXIF: 1 to 8. No pixel is decoded for it."""
    return 1 if image.format == "TIFF" else _told(image)  # Pillow turns a TIFF itself, when it loads it


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height once it stands upright; to be asked before the pixels are loaded."""
    width, height = image.size
    turned_already = _ORIENTATION in getattr(image, "tag_v2", ())
    return (height, width) if _told(image) >= 5 and not turned_already else (width, height)


def _told(image: Image.Image) -> int:

    if not (_TELLING & image.info.keys() or hasattr(image, "tag_v2")):
        return 1
    value = Image.Image.getexif(image).get(_ORIENTATION, 1)  # that of PNG's own class would decode all pixels
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _ended(file: IO[bytes], kind: str) -> bool:
    """Whether the format's end marker closes the file."""
    n_bytes = file.seek(0, 2)
    file.seek(max(n_bytes - _TAIL, 0))
    tail = file.read()
    if kind == "JPEG":
        return tail.rstrip(b"\0").endswith(b"\xff\xd9")
    if kind == "PNG":
        return b"IEND\xaeB`\x82" in tail
    if kind == "GIF":
        return tail.rstrip(b"\0").endswith(b";")
    if kind == "WEBP":
        file.seek(4)
        return bool(struct.unpack("<I", file.read(4))[0] + 8 <= n_bytes)
    return False
