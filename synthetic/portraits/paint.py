"""Painting functions for portraits: closed curves, tapered strokes and soft shading on a canvas of twice the size.

Shapes are float arrays (n, 2) in the coordinates of a `Pose`: one head, upright, its center at (0, 0), its
chin at (0, 1), x to the right. Colors are RGB, 0-255.
"""

from __future__ import annotations

import colorsys
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

__all__ = [
    "PAGE",
    "Canvas",
    "Colour",
    "Pose",
    "Shape",
    "along",
    "ellipse",
    "hsv",
    "mirrored",
    "mix",
    "shade",
    "smooth",
    "stroke",
]

Shape = NDArray[np.float64]
Colour = tuple[int, int, int]
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Pose:
    """Position, size and tilt of a head, in fractions of the side of the image; `tilt` in radians, clockwise."""

    x: float
    y: float
    unit: float  # half the height of the head
    tilt: float = 0.0


PAGE = Pose(0.0, 0.0, 1.0)
"""Coordinates of the image: (0, 0) top left, (1, 1) bottom right."""


class Canvas:
    """A square image, painted at twice its size so that halving it smooths the edges.

    Args:
        size: side of the finished image, in pixels.
        top, bottom: colors between which the background changes.
        glow: position of a broad light in the background, in `PAGE` coordinates.
    """

    def __init__(self, size: int, top: Colour, bottom: Colour, glow: tuple[float, float]) -> None:
        ramp = Image.new("RGB", (1, 2))
        ramp.putpixel((0, 0), top)
        ramp.putpixel((0, 1), bottom)
        # Enlargement interpolates between the centers of two pixels.
        self._start(ramp.resize((size, size), Image.Resampling.BILINEAR, box=(0, 0.5, 1, 1.5)))
        self.soften(glow, (0.55, 0.45), mix(top, (255, 255, 255), 0.6), 0.5)
        # The background has no edges, so it is painted at the final size and doubled here.
        self._start(self._image.resize((2 * size, 2 * size), Image.Resampling.NEAREST))

    def _start(self, image: Image.Image) -> None:
        self._image, self._side, self._draw = image, image.width, ImageDraw.Draw(image)

    def fill(self, shape: Shape, colour: Colour, pose: Pose = PAGE) -> None:
        """Fill a closed curve."""
        self._draw.polygon(self._points(shape, pose), fill=colour)

    def soften(
        self, at: tuple[float, float], radii: tuple[float, float], colour: Colour, strength: float, pose: Pose = PAGE
    ) -> None:
        """Paint a soft ellipse, strongest at its center and transparent at its edge; `strength` in [0, 1]."""
        ((x, y),) = self._points(np.array([at]), pose)
        w, h = (max(2, round(2 * radius * pose.unit * self._side)) for radius in radii)
        mask = _halo(round(strength * 32)).resize((w, h), Image.Resampling.BILINEAR)
        self._image.paste(colour, (round(x - w / 2), round(y - h / 2)), mask)

    def finished(self, gain: NDArray[np.float32], grain: float, seed: int) -> Image.Image:
        """Return the image at its size, with a `gain` per channel and sensor noise of `grain` levels."""
        pixels = np.asarray(self._image.reduce(2)).astype(np.float32)
        pixels *= _vignette(len(pixels))
        pixels *= gain
        pixels += _grain(len(pixels), seed) * np.float32(grain)
        return Image.fromarray(np.clip(pixels, 0, 255, out=pixels).astype(np.uint8))

    def _points(self, shape: Shape, pose: Pose) -> list[tuple[float, float]]:
        cos, sin = math.cos(pose.tilt) * pose.unit, math.sin(pose.tilt) * pose.unit
        x = (pose.x + shape[:, 0] * cos - shape[:, 1] * sin) * self._side
        y = (pose.y + shape[:, 0] * sin + shape[:, 1] * cos) * self._side
        return list(zip(x.tolist(), y.tolist(), strict=True))


def ellipse(x: float, y: float, rx: float, ry: float, *, n: int = 28) -> Shape:
    """Return an ellipse of `n` points."""
    turn = np.linspace(0, 2 * np.pi, n)
    return np.column_stack([x + rx * np.cos(turn), y + ry * np.sin(turn)])


def smooth(points: Points, *, closed: bool = True, steps: int = 6) -> Shape:
    """Return a Catmull-Rom curve through the points."""
    p = np.array(points)
    p = np.concatenate([p[-1:], p, p[:2]]) if closed else np.concatenate([p[:1], p, p[-1:]])
    windows = np.stack([p[:-3], p[1:-2], p[2:-1], p[3:]], axis=1)  # (segments, 4, 2)
    return np.concatenate([(_spline(steps) @ windows).reshape(-1, 2), p[-2:-1]])


def stroke(points: Points, width: float, ends: float = 0.2) -> Shape:
    """Return a stroke along an open curve, with `width` at its middle and `ends` times that at its ends."""
    line = smooth(points, closed=False)
    ahead = np.gradient(line, axis=0)
    normal = np.column_stack([-ahead[:, 1], ahead[:, 0]]) / np.maximum(np.linalg.norm(ahead, axis=1), 1e-9)[:, None]
    half = width / 2 * (ends + (1 - ends) * np.sin(np.linspace(0, np.pi, len(line))))[:, None]
    return np.concatenate([line + normal * half, (line - normal * half)[::-1]])


def mirrored(right: Points) -> list[tuple[float, float]]:
    """Close a right half, listed from top to bottom, with its mirror image."""
    return [*right, *((-x, y) for x, y in reversed(right) if x > 1e-6)]


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """Convert HSV in [0, 1] to RGB; the hue wraps."""
    r, g, b = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return round(r * 255), round(g * 255), round(b * 255)


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """Mix two colors, with `share` of the second one."""
    share = min(max(share, 0.0), 1.0)
    r, g, b = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return r, g, b


def shade(colour: Colour, factor: float) -> Colour:
    """Darken a color with a factor below 1, lighten it above."""
    r, g, b = (min(255, round(c * factor)) for c in colour)
    return r, g, b


def along(ramp: Sequence[Colour], t: float) -> Colour:
    """Return the color at `t` in [0, 1] of a ramp."""
    at = min(max(t, 0.0), 1.0) * (len(ramp) - 1)
    i = min(int(at), len(ramp) - 2)
    return mix(ramp[i], ramp[i + 1], at - i)


@functools.cache
def _spline(steps: int) -> Shape:
    """Return the Catmull-Rom weights (steps, 4) of the four points around a segment."""
    t = np.arange(steps)[:, None] / steps
    return np.hstack([-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3]) / 2


@functools.cache
def _halo(strength: int) -> Image.Image:
    """Return a disc of 64 px that fades toward its edge; strength in 1/32."""
    axis = np.linspace(-1, 1, 64)
    radius = np.hypot(axis[:, None], axis)
    return Image.fromarray((np.clip(1 - radius**2, 0, 1) ** 1.5 * (255 * strength / 32)).astype(np.uint8))


@functools.cache
def _vignette(size: int) -> NDArray[np.float32]:
    axis = np.linspace(-1, 1, size)
    return (1.02 - 0.10 * (axis[:, None] ** 2 + axis**2)).astype(np.float32)[:, :, None]


@functools.cache
def _grain_sheet(size: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((size, size, 3), dtype=np.float32)


def _grain(size: int, seed: int) -> NDArray[np.float32]:
    """Return noise of unit strength: a window of one sheet, placed by the seed, which is faster than new noise."""
    dy, dx = divmod(seed % (61 * 61), 61)
    return _grain_sheet(size + 61)[dy : dy + size, dx : dx + size]
