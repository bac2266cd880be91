"""Detect the format of a picture by its first bytes: formats that are read, and picture formats that are not.

Ingest and build both use this module, so a build can open what ingest takes in.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator

from photogenic._lazy import Image

__all__ = ["HEAD", "READ", "detect_format", "is_raw", "open_image", "tidy_png", "unsupported_detail"]

HEAD = 4096
"""Number of bytes that decide the format."""

READ = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""Pillow's names of the formats that are opened. Pillow reads more, and starts Ghostscript for one of them."""

_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\0\0\0\x0cJXL \r\n\x87\n": "JPEG XL",
    b"\xff\x0a": "JPEG XL",
    b"II\xbc": "JPEG XR",
    b"8BPS": "PSD",
    b"gimp xcf": "XCF",
    b"IIRO": "RAW",
    b"IIRS": "RAW",
    b"MMOR": "RAW",
    b"IIU\0": "RAW",
    b"II\x1a\0\0\0HEAPCCDR": "RAW",
    b"FUJIFILMCCD-RAW": "RAW",
    b"FOVb": "RAW",
    b"\0MRM": "RAW",
    b"\0\0\1\0": "ICO",
    b"\0\0\2\0": "CUR",
    b"icns": "ICNS",
    b"\x76\x2f\x31\x01": "OpenEXR",
    b"#?RADIANCE": "Radiance HDR",
    b"DDS ": "DDS",
    b"qoif": "QOI",
    b"SIMPLE  =": "FITS",
    b"\x8aMNG\r\n\x1a\n": "MNG",
    b"\x8bJNG\r\n\x1a\n": "JNG",
    b"BPG\xfb": "BPG",
    b"FLIF": "FLIF",
    b"AT&TFORM": "DjVu",
    b"\xd7\xcd\xc6\x9a": "WMF",
}
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_SVG = re.compile(rb"(?:<\?xml[^>]*>|<!--.*?-->|<!DOCTYPE svg[^>]*>|\s)*<(?:\w+:)?svg[\s>]", re.DOTALL | re.IGNORECASE)
_NETPBM = re.compile(rb"P[1-7][ \t\r\n]+(?:#|[0-9]|WIDTH)")

_REMEDY = "convert it to JPEG, PNG, WebP, TIFF or AVIF"


def detect_format(head: bytes) -> str | None:
    """The format's name, one of `READ` or of the formats that are not read. None: not a known picture format."""
    if head.startswith(_TIFF):
        return "RAW" if head[8:10] == b"CR" else "TIFF"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        return _format_of_brands(head)
    for start, name in _SIGNATURES.items():
        if head.startswith(start):
            return name
    if _NETPBM.match(head):
        return "Netpbm"
    return "SVG" if _SVG.match(head.removeprefix(b"\xef\xbb\xbf")) else None


def _format_of_brands(head: bytes) -> str | None:
    """The format of a file of ISO boxes, whose first box lists brands; the major brand alone does not decide."""
    end = min(max(struct.unpack(">I", head[:4])[0], 16), len(head))
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))}
    if brands & {b"avif", b"avis"}:
        return "AVIF"
    if brands & _HEIC:
        return "HEIC"
    if brands & {b"mif1", b"msf1", b"mif2"}:
        return "HEIF"
    return "RAW" if b"crx " in brands else None


def unsupported_detail(name: str) -> str:
    """The detail of a picture in a format that is not read."""
    return f"{name} is not read: {_REMEDY}"


def is_raw(image: Image.Image) -> bool:
    """Whether a TIFF is a camera's raw file, of which Pillow opens only a small preview."""
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return False
    kind = tags.get(254, 0)
    return 50706 in tags or (isinstance(kind, int) and bool(kind & 1) and 330 in tags)  # DNGVersion; SubIFDs


def open_image(data: bytes, name: str) -> Image.Image:
    """Open an image of a known format. Image.open would warn about large sizes, which the callers check themselves."""
    Image.preinit()
    if name not in Image.OPEN:
        Image.init()
    return Image.OPEN[name][0](io.BytesIO(tidy_png(data) if name == "PNG" else data), "")


_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_ORIENTATION_KEYWORDS = (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0")
"""Keywords of the texts that can hold the picture's orientation."""

_MAX_TEXT = 1 << 20
"""Largest size of such a text, unpacked, in bytes; longer ones are left out."""


def tidy_png(data: bytes) -> bytes:
    """Remove texts and color profile from a PNG, and move EXIF before the pixels.

    Pillow refuses a picture for a text over 1 MB, and finds EXIF behind the pixels only by decoding them.
    """
    kept: list[memoryview] = []
    early: list[memoryview] = []
    left_out = pixels = False
    view, end = memoryview(data), 8
    for at, end in _chunks(data):
        kind = data[at + 4 : at + 8]
        if kind == b"iCCP" or (kind in _TEXTS and not _can_hold_orientation(kind, data[at + 8 : end - 4])):
            left_out = True
        elif pixels and kind in (b"eXIf", *_TEXTS):
            early.append(view[at:end])
        else:
            pixels = pixels or kind == b"IDAT"
            kept.append(view[at:end])
    if not (left_out or early) or not kept:
        return data
    return b"".join([data[:8], kept[0], *early, *kept[1:], view[end:]])


def _chunks(data: bytes) -> Iterator[tuple[int, int]]:
    """Start and end of each complete chunk."""
    at, size = 8, len(data)
    while at + 12 <= size:
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if end > size:
            return
        yield at, end
        at = end


def _can_hold_orientation(kind: bytes, text: bytes) -> bool:
    """Whether the text can hold an orientation and is not longer than `_MAX_TEXT`."""
    keyword = next((word for word in _ORIENTATION_KEYWORDS if text.startswith(word)), None)
    if keyword is None or len(text) > _MAX_TEXT:
        return False
    packed: bytes | None = None
    if kind == b"zTXt":
        packed = text[len(keyword) + 1 :]
    elif kind == b"iTXt" and text[len(keyword) : len(keyword) + 1] == b"\1":
        packed = text[len(keyword) + 2 :].split(b"\0", 2)[-1]
    if packed is None:
        return True
    unpacking = zlib.decompressobj()
    try:
        unpacking.decompress(packed, _MAX_TEXT - 1)
    except zlib.error:
        return False
    return not unpacking.unconsumed_tail
