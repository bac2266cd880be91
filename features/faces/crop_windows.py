"""Propose crops of a photo: rectangles of one aspect ratio that contain every face.

    candidates(1200, 900, (4, 5), keep=[(500, 100, 700, 350)])   -> boxes, the largest first

Boxes are in pixels of the upright photo; x1 and y1 are exclusive.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from photogenic.features.faces.detector import Face

__all__ = ["MARGIN", "Box", "box_with_margin", "candidates"]

MARGIN = 0.25
"""Margin on every side, as a share of a face's box: the detector's box leaves out hair and chin."""

_SHRINK, _STRIDE = 0.1, 0.1
"""Step of the crop size, as a share of the largest; largest step of the position, as a share of the shorter side."""


class Box(NamedTuple):
    """A rectangle of whole pixels."""

    x0: int
    y0: int
    x1: int
    y1: int


def box_with_margin(face: Face, width: int, height: int) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 of a face with its margin, clipped to the photo."""
    dx, dy = MARGIN * (face.x1 - face.x0), MARGIN * (face.y1 - face.y0)
    return max(face.x0 - dx, 0), max(face.y0 - dy, 0), min(face.x1 + dx, width), min(face.y1 + dy, height)


def candidates(
    width: int,
    height: int,
    aspect: tuple[float, float] | None,
    keep: Sequence[tuple[float, float, float, float]] = (),
    *,
    smallest: float = 0.5,
) -> list[Box]:
    """List distinct crops of a photo, the largest first; empty where no crop of that shape contains all of `keep`.

    Args:
        width: width of the photo in pixels.
        height: height of the photo in pixels.
        aspect: width and height of the shape; None takes the photo's own.
        keep: x0, y0, x1, y1 of the regions that a crop must contain.
        smallest: side of the smallest crop as a share of the largest, above 0, at most 1.
    """
    across, down = aspect or (width, height)
    largest = min(width / across, height / down)
    n_sizes = max(math.floor((1 - smallest) / _SHRINK + 1e-9), 0)
    found: dict[Box, None] = {}
    for size in range(n_sizes + 1):
        unit = largest * (1 - _SHRINK * size)
        w, h = (max(min(round(side * unit), most), 1) for side, most in ((across, width), (down, height)))
        stride = _STRIDE * min(w, h)
        xs = list(_positions(width - w, stride, w, [(x0, x1) for x0, _, x1, _ in keep]))
        ys = list(_positions(height - h, stride, h, [(y0, y1) for _, y0, _, y1 in keep]))
        found.update(dict.fromkeys(Box(x, y, x + w, y + h) for y in ys for x in xs))
    return list(found)


def _positions(free: int, stride: float, length: int, keep: Sequence[tuple[float, float]]) -> Iterator[int]:
    """Start positions of a side of that length: a grid over the free range, with its middle and both ends."""
    least = max([0, *(math.ceil(high) - length for _, high in keep)])
    most = min([free, *(math.floor(low) for low, _ in keep)])
    if least > most:
        return
    n = math.ceil((most - least) / max(stride, 1))
    n += n % 2
    for at in range(n + 1):
        yield least + round(at * (most - least) / max(n, 1))
