"""The feature `photo_quality`: measures of how a photo looks, from its pixels and its faces.

All measures are of the picture reduced to about `_SIDE` pixels on its long side, by the mean of whole blocks, except
noise, which is of rows of the picture in full resolution. So they cost a few milliseconds and compare between photos
of different sizes. sql/photo_quality.sql describes each column.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photogenic.features.pictures.definition import PhotoInfo, PictureColumn, PictureFeature

__all__ = ["PHOTO_QUALITY", "photo_quality"]

_SIDE = 256
"""Long side of the reduced picture in pixels, at least; at most twice as much."""

_NOISE_ROWS = 192
"""Rows of the picture that noise is measured on, in groups of three."""

_CHANNELS = np.array([[0.299, 0.587, 0.114], [1, -1, 0], [0.5, 0.5, -1]], np.float32)
"""Rows: luma (ITU-R BT.601), red - green, yellow - blue."""

_RIGHT_EYE, _LEFT_EYE = 0, 1


def photo_quality(pixels: NDArray[np.uint8], photo: PhotoInfo) -> dict[str, Any]:
    """Compute all columns of one photo."""
    values, shape = _reduced(pixels)
    means = values.mean(axis=1, dtype=np.float64)
    luma = values[0].reshape(shape)
    shares = np.bincount((values[0] + np.float32(0.5)).astype(np.uint8), minlength=256) / luma.size
    shares = shares[shares > 0]
    values = values - means[:, None].astype(np.float32)
    deviations = [math.sqrt(float(np.dot(row, row)) / row.size) for row in values]
    return {
        "width": photo.width,
        "height": photo.height,
        "aspect": photo.width / photo.height,
        "megapixels": photo.width * photo.height / 1e6,
        "sharpness": _sharpness(luma),
        "brightness": float(means[0]) / 255,
        "contrast": deviations[0] / 255,
        "colourfulness": math.hypot(*deviations[1:]) + 0.3 * math.hypot(*means[1:]),
        "entropy": max(-float((shares * np.log2(shares)).sum()), 0.0),
        "noise": _noise(pixels),
        **_of_face(pixels, photo),
    }


def _reduced(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """Means of square blocks, as rows of `_CHANNELS`, with the shape of a row as a picture.

    Pixels of the last rows and columns that fill no block are left out.
    """
    height, width = pixels.shape[:2]
    by = min(max(max(height, width) // _SIDE, 1), height, width)
    shape: tuple[int, int] = height // by, width // by
    cut = pixels[: shape[0] * by, : shape[1] * by]
    rows = cut[::by].astype(np.uint16)
    for at in range(1, by):
        rows += cut[at::by]
    # One product of matrices adds the columns of each block and converts the channels.
    blocks = rows.astype(np.float32).reshape(-1, by * 3)
    weights = (np.tile(_CHANNELS, by) / (by * by)).astype(np.float32)
    values: NDArray[np.float32] = weights @ blocks.T
    return values, shape


def _sharpness(luma: NDArray[np.float32]) -> float | None:
    """Variance of the Laplacian."""
    if min(luma.shape) < 3:
        return None
    laplacian = luma[:-2, 1:-1] + luma[2:, 1:-1]
    laplacian += luma[1:-1, :-2]
    laplacian += luma[1:-1, 2:]
    laplacian -= 4 * luma[1:-1, 1:-1]
    flat = laplacian.ravel()
    flat -= flat.mean(dtype=np.float64).astype(np.float32)
    return float(np.dot(flat, flat)) / flat.size


def _noise(pixels: NDArray[np.uint8]) -> float | None:
    """Immerkaer's estimate, on evenly spaced groups of three rows."""
    height, width = pixels.shape[:2]
    if min(height, width) < 3:
        return None
    n = min(_NOISE_ROWS // 3, height - 2)
    tops = np.linspace(0, height - 3, n).astype(np.intp)
    # The difference of two Laplacians: [1 -2 1] down, then the same across. Green is half of what a camera measures.
    green = [pixels[tops + at, :, 1].astype(np.int16) for at in range(3)]
    down = green[0] - 2 * green[1] + green[2]
    both = down[:, :-2] - 2 * down[:, 1:-1] + down[:, 2:]
    return float(np.abs(both).mean(dtype=np.float64)) * math.sqrt(math.pi / 2) / 6


def _of_face(pixels: NDArray[np.uint8], photo: PhotoInfo) -> dict[str, float | None]:
    """Measures of the face with the largest box; None where there is no face."""
    if not photo.faces:
        return dict.fromkeys(("face_share", "face_offset", "tilt"))
    height, width = pixels.shape[:2]
    shown = [(_inside(f.x0, f.x1, width) * _inside(f.y0, f.y1, height), -at) for at, f in enumerate(photo.faces)]
    area, at = max(shown)
    face = photo.faces[-at]
    across, down = (face.x0 + face.x1 - width) / 2, (face.y0 + face.y1 - height) / 2
    right, left = face.keypoints[_RIGHT_EYE], face.keypoints[_LEFT_EYE]
    dx, dy = float(left[0] - right[0]), float(left[1] - right[1])
    return {
        "face_share": area / (height * width),
        "face_offset": math.hypot(across, down) / (math.hypot(width, height) / 2),
        "tilt": math.degrees(math.atan2(dy, dx)) if dx or dy else None,
    }


def _inside(low: float, high: float, side: int) -> float:
    return max(min(high, side) - max(low, 0), 0)


_COLUMNS = (
    ("width", "bigint", "width of the upright original in pixels"),
    ("height", "bigint", "height of the upright original in pixels"),
    ("aspect", "double", "width over height: above 1 is wide"),
    ("megapixels", "double", "width times height in millions of pixels"),
    ("sharpness", "double", "variance of the Laplacian of luma in the reduced picture, from 0"),
    ("brightness", "double", "mean luma, 0 (black) to 1 (white)"),
    ("contrast", "double", "standard deviation of luma, 0 to 0.5"),
    ("colourfulness", "double", "measure M of Hasler and Suesstrunk 2003, from 0 (gray)"),
    ("entropy", "double", "entropy of the 256 levels of luma in bits, 0 to 8"),
    ("noise", "double", "standard deviation of the noise in levels of 255, from 0"),
    ("face_share", "double", "share of the frame inside the box of the largest face, 0 to 1"),
    ("face_offset", "double", "distance of that face from the middle over half the diagonal"),
    ("tilt", "double", "angle of the line between its eyes in degrees, -180 to 180"),
)

PHOTO_QUALITY = PictureFeature(
    name="photo_quality",
    input="photo",
    columns=tuple(PictureColumn(*column) for column in _COLUMNS),
    version=1,
    summary="how each photo looks, measured on its pixels and its largest face.",
    function=photo_quality,
    code="photo_quality",
    takes_photo=True,
    is_ours=True,
)
