"""Align faces: cut an upright chip of fixed size with eyes and mouth at fixed positions.

The transform is the weighted least-squares similarity (rotation, scale, translation) from three of the detector's
keypoints to their positions in the encoder's training data. A face larger than the chip is first reduced with
anti-aliasing, then sampled bilinearly.

Source: the least-squares similarity of Umeyama 1991, in complex numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import Image
from photogenic.features.images.resize import resize

__all__ = ["DLIB", "FACENET", "ChipRule", "chip", "shrinkage", "similarity"]


@dataclass(frozen=True, slots=True)
class ChipRule:
    """Position of a face in an encoder's input.

    Attributes:
        size: side of the chip in pixels.
        anchors: x, y of right eye, left eye (from the person's view) and mouth, in chip pixels.
        weights: weight of each anchor.
    """

    size: int
    anchors: tuple[tuple[float, float], ...]
    weights: tuple[float, ...] = (1.0, 1.0, 0.5)


DLIB = ChipRule(150, ((47.85, 48.79), (101.88, 48.08), (75.24, 106.46)))
"""Means of BlazeFace's keypoints over 200 faces in the chips of dlib's own aligner."""

FACENET = ChipRule(160, ((58.0, 66.0), (102.0, 66.0), (80.0, 112.0)))
"""MTCNN's mean landmarks in a crop with the margin of FaceNet's training (44 of 182 px)."""

_KEYPOINTS = (0, 1, 3)
"""Right eye, left eye and mouth, of BlazeFace's six keypoints: those that move least when the head turns."""


def similarity(
    anchors: NDArray[np.float64], points: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.complex128]:
    """Fit (a, b) of z -> a z + b, per face, that best maps `anchors` (k, 2) onto `points` (n, k, 2). complex (n, 2)."""
    source = anchors[:, 0] + 1j * anchors[:, 1]
    target = points[..., 0] + 1j * points[..., 1]
    shares = weights / weights.sum()
    source_mean, target_mean = source @ shares, target @ shares
    centered = source - source_mean
    a = ((target - target_mean[:, None]) @ (shares * centered.conj())) / (shares @ np.abs(centered) ** 2)
    return np.stack([a, target_mean - a * source_mean], axis=1)


def shrinkage(keypoints: NDArray[np.float64], rule: ChipRule) -> float:
    """Photo pixels per chip pixel."""
    return float(abs(_transform(keypoints, rule)[0]))


def chip(pixels: NDArray[np.uint8], keypoints: NDArray[np.float64], rule: ChipRule) -> NDArray[np.uint8]:
    """Cut the aligned face, uint8 (size, size, 3); pixels outside the photo are black.

    Args:
        pixels: uint8 (h, w, 3).
        keypoints: float64 (6, 2), x and y in pixels of `pixels`.
        rule: position of eyes and mouth in the chip.
    """
    a, b = _transform(keypoints, rule)
    x0, y0, x1, y1 = _bounds(pixels.shape, a, b, rule.size)
    if x0 >= x1 or y0 >= y1:
        return np.zeros((rule.size, rule.size, 3), np.uint8)
    region, b = pixels[y0:y1, x0:x1], b - complex(x0, y0)
    fx = fy = 1.0
    if abs(a) > 1:
        height, width = region.shape[:2]
        region = resize(region, max(round(width / abs(a)), 1), max(round(height / abs(a)), 1))
        fx, fy = region.shape[1] / width, region.shape[0] / height
    # The transform maps pixel centers; Pillow maps corners, which are half a pixel up and left of them.
    b += 0.5 + 0.5j - a * (0.5 + 0.5j)
    matrix = (a.real * fx, -a.imag * fx, b.real * fx, a.imag * fy, a.real * fy, b.imag * fy)
    image = Image.fromarray(region)
    return np.asarray(
        image.transform((rule.size, rule.size), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    )


def _transform(keypoints: NDArray[np.float64], rule: ChipRule) -> tuple[complex, complex]:
    a, b = similarity(np.array(rule.anchors), keypoints[None, _KEYPOINTS, :], np.array(rule.weights))[0]
    return complex(a), complex(b)


def _bounds(shape: tuple[int, ...], a: complex, b: complex, size: int) -> tuple[int, int, int, int]:
    """Region of the photo that the chip covers, with a border for the filters: x0, y0, x1, y1 in pixels, clipped."""
    corners = np.array([0, size - 1, 1j * (size - 1), (1 + 1j) * (size - 1)]) * a + b
    border = 2 + 2 * abs(a)
    height, width = shape[:2]
    x0, y0 = max(int(corners.real.min() - border), 0), max(int(corners.imag.min() - border), 0)
    x1, y1 = min(int(corners.real.max() + border) + 1, width), min(int(corners.imag.max() + border) + 1, height)
    return x0, y0, x1, y1
