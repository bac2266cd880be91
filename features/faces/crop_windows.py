"""Which parts of a photo might be shown instead of the whole: rectangles of one shape that keep every face.

    candidates(1200, 900, (4, 5), keep=[(500, 100, 700, 350)])   -> boxes, the largest first

Pixels of the upright photo; x1 and y1 are the first beyond.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from photogenic.features.faces.detector import Face

__all__ = ["MARGIN", "Box", "candidates", "room_of"]

MARGIN = 0.25
"""Of a face's box, kept around it on every side: the detector's box leaves out hair and chin."""

_SHRINK, _STRIDE = 0.1, 0.1
"""Steps of size, as a share of the largest; of place, at most so much of the crop's shorter side."""


class Box(NamedTuple):
    """A rectangle of whole pixels."""

    x0: int
    y0: int
    x1: int
    y1: int


def room_of(face: Face, width: int, height: int) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 of a face with its margin, as far as the photo reaches."""
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
    """Crops of a photo, the largest first, each once; none where no crop of that shape holds all of `keep`.

    Args:
        width: of the photo.
        height: likewise.
        aspect: width to height; None: the photo's own.
        keep: x0, y0, x1, y1 of what must lie inside.
        smallest: side of the smallest crop over that of the largest, above 0 to 1.
    """
    across, down = aspect or (width, height)
    largest = min(width / across, height / down)
    n_sizes = max(math.floor((1 - smallest) / _SHRINK + 1e-9), 0)
    found: dict[Box, None] = {}
    for size in range(n_sizes + 1):
        unit = largest * (1 - _SHRINK * size)
        w, h = (max(min(round(side * unit), most), 1) for side, most in ((across, width), (down, height)))
        stride = _STRIDE * min(w, h)
        xs = list(_places(width - w, stride, w, [(x0, x1) for x0, _, x1, _ in keep]))
        ys = list(_places(height - h, stride, h, [(y0, y1) for _, y0, _, y1 in keep]))
        found.update(dict.fromkeys(Box(x, y, x + w, y + h) for y in ys for x in xs))
    return list(found)


def _places(free: int, stride: float, length: int, keep: Sequence[tuple[float, float]]) -> Iterator[int]:
    """Where a side of that length may begin: a grid over what `keep` leaves free, its middle and both ends included."""
    least = max([0, *(math.ceil(high) - length for _, high in keep)])
    most = min([free, *(math.floor(low) for low, _ in keep)])
    if least > most:
        return
    n = math.ceil((most - least) / max(stride, 1))
    n += n % 2
    for at in range(n + 1):
        yield least + round(at * (most - least) / max(n, 1))
