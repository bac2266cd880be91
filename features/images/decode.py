"""Decode image files to upright RGB pixels, or to a status with the reason why not.

A large JPEG is decoded at 1/2, 1/4 or 1/8 of its size, which is fast, as long as its short side keeps `min_side`
pixels. This rule depends on the photo alone, so its pixels and vectors are the same in every batch.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import Image
from photogenic.ingest.images import image_format
from photogenic.ingest.images.image_header import is_bomb, orientation, too_large, upright_size

__all__ = ["MIN_SIDE", "Decoded", "Status", "decode", "reduction"]

MIN_SIDE = 640
"""Twice the input of every network up to 320 px, so that the later resize hides the method of reduction."""

Status = Literal[
    "ok", "empty", "not_an_image", "unsupported_format", "truncated", "unreadable", "too_large", "detector_failed"
]

_MALFORMED = (
    *(OSError, EOFError, SyntaxError, ValueError, TypeError, IndexError, KeyError),
    *(ArithmeticError, MemoryError, struct.error, zlib.error),
)
"""Exceptions that Pillow's decoders raise for malformed files."""

_UPRIGHT = {2: (0, True), 3: (2, False), 4: (2, True), 5: (3, True), 6: (3, False), 7: (1, True), 8: (1, False)}
"""EXIF orientation -> (quarter turns counter-clockwise, mirror left-right afterwards)."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded photo, or the status of a file that cannot be decoded.

    Attributes:
        pixels: uint8 (h, w, 3), RGB, upright; None unless the status is ok.
        width: width in pixels of the upright original; `pixels` may be smaller, by one factor for both sides.
        height: height in pixels of the upright original.
    """

    status: Status
    detail: str = ""
    pixels: NDArray[np.uint8] | None = None
    width: int = 0
    height: int = 0


def decode(data: bytes, *, min_side: int | None = MIN_SIDE) -> Decoded:
    """Decode the first frame of an image file to RGB; transparency is blended on white, 16 bits are reduced to 8.

    Args:
        data: bytes of the file.
        min_side: smallest short side in pixels to which a JPEG may be reduced; None decodes it at full size.
    """
    if not data:
        return Decoded("empty")
    kind = image_format.detect_format(data[: image_format.HEAD])
    if kind is None:
        return Decoded("not_an_image", f"begins with {data[:8].hex(' ')}")
    if kind not in image_format.READ:
        return Decoded("unsupported_format", image_format.unsupported_detail(kind))
    try:
        image = image_format.open_image(data, kind)
        if image_format.is_raw(image):
            return Decoded("unsupported_format", image_format.unsupported_detail("RAW"))
        width, height = upright_size(image)
        if why := too_large(width, height):
            return Decoded("too_large", why)
        if min_side is not None:
            _draft(image, min_side)
        turns, mirrored = _UPRIGHT.get(orientation(image), (0, False))
        pixels = np.array(_rgb(image))
    except _MALFORMED as error:
        cut = "truncated" in str(error) or "Truncated" in str(error)
        return Decoded("truncated" if cut else "unreadable", f"{type(error).__name__}: {error}"[:200])
    except Exception as error:
        if not is_bomb(error):
            raise
        return Decoded("too_large", str(error)[:200])
    pixels = np.rot90(pixels, turns)
    return Decoded("ok", "", np.ascontiguousarray(pixels[:, ::-1] if mirrored else pixels), width, height)


def reduction(width: int, height: int, size: int) -> int:
    """Factor by which a JPEG of that size is reduced for a network of `size` pixels: 1, 2, 4 or 8."""
    by = min(width, height) // max(MIN_SIDE, 2 * size)
    return next((step for step in (8, 4, 2) if by >= step), 1)


def _draft(image: Image.Image, min_side: int) -> None:
    """Set the JPEG decoder to reduce, if the short side stays at least `min_side`."""
    width, height = image.size
    short = min(width, height)
    if short >= 2 * min_side:
        image.draft(None, (width * min_side // short, height * min_side // short))


def _rgb(image: Image.Image) -> Image.Image:

    if image.mode.startswith(("I", "F")):
        return _eight_bits(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(paper, image).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Convert gray of 16 bits (also mode I, which older Pillow versions use for them) or of floats between 0 and 1."""
    values = np.asarray(image)
    grey = values * 255.0 if image.mode == "F" else values / 257.0
    return Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8)).convert("RGB")
