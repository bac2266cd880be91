"""Contact sheets: photos with captions in one picture, to use a figure outside the report.

The module also makes the small pictures of galleries: upright squares of one size.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from photogenic._lazy import Image, ImageDraw, ImageFont, ImageOps

__all__ = ["SIDE", "Line", "jpeg", "mosaic", "sheet", "square"]

SIDE = 168
"""Side of a gallery picture in pixels: 1.5 times the displayed side, for high-resolution screens."""

_GAP, _TEXT = 10, 13


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a sheet: a heading, and pictures with their captions."""

    heading: str
    pictures: list[tuple[Image.Image, list[str]]]


def square(path: Path, side: int = SIDE) -> Image.Image | None:
    """Return the central square of a picture as RGB, or None if the file is not a readable picture."""
    try:
        with Image.open(path) as picture:
            picture.draft("RGB", (side * 2, side * 2))
            upright = ImageOps.exif_transpose(picture)
            return ImageOps.fit(upright.convert("RGB"), (side, side))
    except (OSError, Image.DecompressionBombError):
        return None


def jpeg(picture: Image.Image, quality: int = 80) -> bytes:
    """Encode a picture as a small JPEG."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()


def sheet(title: str, lines: Sequence[Line]) -> bytes:
    """Return a PNG with the title and the lines, each with its pictures side by side."""
    side = max((picture.width for line in lines for picture, _ in line.pictures), default=0)
    wide = max((len(line.pictures) for line in lines), default=0)
    tall = [side + _GAP + (_TEXT + 3) * max(len(says) for _, says in line.pictures) for line in lines]
    heads = [_TEXT + _GAP if line.heading else 0 for line in lines]
    size = wide * (side + _GAP) + _GAP, sum(tall) + sum(heads) + _GAP * (len(lines) + 1) + 2 * _TEXT + _GAP
    page = Image.new("RGB", (max(size[0], 640), size[1]), "white")
    draw, y = ImageDraw.Draw(page), _GAP
    draw.text((_GAP, y), _plain(title), "#1f2328", font=_font(_TEXT + 4))
    y += 2 * _TEXT + _GAP
    for line, height, head in zip(lines, tall, heads, strict=True):
        if line.heading:
            draw.text((_GAP, y), _plain(line.heading), "#62676e", font=_font(_TEXT))
            y += head
        for at, (picture, says) in enumerate(line.pictures):
            x = _GAP + at * (side + _GAP)
            page.paste(picture, (x, y))
            for row, text in enumerate(says):
                draw.text((x, y + side + 3 + row * (_TEXT + 3)), _plain(text), "#1f2328", font=_font(_TEXT - 1))
        y += height + _GAP
    return _png(page)


def mosaic(cells: Sequence[tuple[Image.Image, int, int]], columns: int, rows: int, side: int) -> Image.Image:
    """Place pictures, given as (picture, column, row), on a grid. Free cells are gray to suit light and dark pages."""
    page = Image.new("RGB", (columns * side, rows * side), "#8a8f96")
    for picture, column, row in cells:
        page.paste(picture, (column * side, row * side))
    return page


def _png(page: Image.Image) -> bytes:
    buffer = io.BytesIO()
    page.save(buffer, "PNG")
    return buffer.getvalue()


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:

    return ImageFont.load_default(size)


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
