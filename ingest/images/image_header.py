"""Inspect a picture file by its bytes: magic number, decodable header, and end marker.

File names and content types are not used, and no pixel is decoded if the end marker is in its place. Only a file
without its marker needs `decode`, which then decides: many phones append data after the marker. Pillow reads a header
in some 60 microseconds; the plain JPEGs of photo services (no EXIF, standard segments only) are read here in 5, and
anything unusual goes to Pillow.
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
    "inspect_bytes",
    "inspect_file",
    "is_bomb",
    "orientation",
    "too_large",
    "upright_size",
]

MAX_PIXELS = 89_478_485
"""Largest area of a picture, in pixels: Pillow's own limit against decompression bombs."""

MAX_SIDE = 65_500
"""Largest side of a picture, in pixels: that of the largest JPEG that libjpeg decodes."""

# Pillow warns about odd metadata of each file; the status holds what is important.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

_ORIENTATION = 0x0112
_ORIENTATION_KEYS = {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"}
"""Pillow's names of the metadata that can hold an orientation."""
_TAIL = 64
_SOS, _DQT = 0xDA, 0xDB
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
"""Frames that every decoder reads: baseline, extended, progressive."""
_PLAIN = frozenset({0xC4, 0xDD, 0xE0, 0xFE})
"""Segments that do not matter here: Huffman tables, restart interval, JFIF, comment."""
_MALFORMED = (OSError, SyntaxError, ValueError, IndexError, TypeError, struct.error, EOFError)
"""Exceptions that Pillow's plugins raise for malformed and truncated files."""


@dataclass(frozen=True, slots=True)
class Header:
    """Result of inspecting a file.

    Attributes:
        status: `photos.status`.
        detail: reason why the status is not ok.
        width: width in pixels, upright (after EXIF orientation). None without a readable header.
        height: height in pixels, upright. None without a readable header.
        ended: whether the end marker is in its place. If not, `decode` must confirm an ok.
    """

    status: Literal[
        "ok", "empty", "not_an_image", "unsupported_format", "erased", "truncated", "unreadable", "too_large"
    ]
    detail: str = ""
    width: int | None = None
    height: int | None = None
    ended: bool = True


def inspect_file(file: IO[bytes], *, max_pixels: int = MAX_PIXELS) -> Header:
    """Inspect a picture by its first and last bytes. A bad picture is a status, never an exception."""
    head = file.read(image_format.HEAD)
    if not head:
        return Header("empty")
    kind = image_format.detect_format(head)
    if kind is None:
        return Header("not_an_image", f"begins with {head[:8].hex(' ')}")
    if kind not in image_format.READ:
        return Header("unsupported_format", image_format.unsupported_detail(kind))
    ended = _has_end_marker(file, kind)
    try:
        return _inspect(file, kind, max_pixels, ended)
    except _MALFORMED as error:
        return Header("unreadable" if ended else "truncated", f"{kind}: {error}")
    except Exception as error:
        if not is_bomb(error):
            raise
        return Header("too_large", str(error))


def too_large(width: int, height: int, max_pixels: int = MAX_PIXELS) -> str:
    """The reason why a picture of that size is refused, by side or by area; empty if it is accepted."""
    if width * height > max_pixels:
        return f"{width} x {height} pixels"
    return f"{width} x {height} pixels: a side of more than {MAX_SIDE:,}" if max(width, height) > MAX_SIDE else ""


def is_bomb(error: Exception) -> bool:
    """Whether Pillow refused a size by itself, as some of its plugins do before the size can be read."""
    return isinstance(error, Image.DecompressionBombError)


def inspect_bytes(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Header:
    """Do the same as `inspect_file`, for bytes in memory."""
    size = _plain_jpeg(data)
    if size is None:
        return inspect_file(io.BytesIO(data), max_pixels=max_pixels)
    width, height = size
    if why := too_large(width, height, max_pixels):
        return Header("too_large", why, width, height)
    return Header("ok", "", width, height, data[-_TAIL:].rstrip(b"\0").endswith(b"\xff\xd9"))


def decode(path: Path, header: Header) -> Header:
    """Decode all pixels of a file whose header is ok, to check that it is complete. May take a second."""
    with path.open("rb") as file:
        try:
            data = file.read()
            with image_format.open_image(
                data, image_format.detect_format(data[: image_format.HEAD]) or image_format.READ[0]
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
    """Width and height of a plain JPEG, read up to its first scan. None: Pillow must read it.

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


def _inspect(file: IO[bytes], kind: str, max_pixels: int, ended: bool) -> Header:
    file.seek(0)
    with image_format.open_image(file.read(), kind) as image:
        if image_format.is_raw(image):
            return Header("unsupported_format", image_format.unsupported_detail("RAW"))
        width, height = upright_size(image)
        if why := too_large(width, height, max_pixels):
            return Header("too_large", why, width, height)
    return Header("ok", "", width, height, ended)


def orientation(image: Image.Image) -> int:
    """The EXIF orientation to apply to the loaded pixels, 1 to 8. No pixel is decoded."""
    return 1 if image.format == "TIFF" else _exif_orientation(image)  # Pillow turns a TIFF itself, when it loads it


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of the upright picture. Call this before the pixels are loaded."""
    width, height = image.size
    turned_already = _ORIENTATION in getattr(image, "tag_v2", ())
    return (height, width) if _exif_orientation(image) >= 5 and not turned_already else (width, height)


def _exif_orientation(image: Image.Image) -> int:

    if not (_ORIENTATION_KEYS & image.info.keys() or hasattr(image, "tag_v2")):
        return 1
    value = Image.Image.getexif(image).get(_ORIENTATION, 1)  # that of PNG's own class would decode all pixels
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _has_end_marker(file: IO[bytes], kind: str) -> bool:
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
