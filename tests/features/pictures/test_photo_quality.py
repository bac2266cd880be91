"""The measures on pictures whose values are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from photogenic.features.faces.detector import Face
from photogenic.features.pictures.definition import PhotoInfo
from photogenic.features.pictures.photo_quality import PHOTO_QUALITY, photo_quality
from photogenic.warehouse.catalog import relation


def measure(pixels, faces=()):
    pixels = np.asarray(pixels, np.uint8)
    return photo_quality(pixels, PhotoInfo(pixels.shape[1], pixels.shape[0], tuple(faces)))


def flat(color, shape=(40, 60)):
    return np.broadcast_to(np.array(color, np.uint8), (*shape, 3))


def face(x0, y0, x1, y1, *, right=(0, 0), left=(10, 0), confidence=0.9):
    keypoints = np.zeros((6, 2))
    keypoints[0], keypoints[1] = right, left
    return Face(x0, y0, x1, y1, confidence, keypoints)


def test_a_flat_picture():
    found = measure(flat((100, 100, 100)))
    assert found["brightness"] == pytest.approx(100 / 255)
    for name in ("contrast", "sharpness", "noise", "entropy", "colourfulness"):
        assert found[name] == pytest.approx(0, abs=1e-4), name
    assert (found["width"], found["height"], found["aspect"], found["megapixels"]) == (60, 40, 1.5, 0.0024)
    assert found["face_share"] is found["face_offset"] is found["tilt"] is None


def test_two_halves():
    halves = np.concatenate([flat((0, 0, 0)), flat((255, 255, 255))], axis=1)
    found = measure(halves)
    assert found["brightness"] == pytest.approx(0.5)
    assert found["contrast"] == pytest.approx(0.5)
    assert found["entropy"] == pytest.approx(1)


def test_colourfulness_by_its_formula():
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (50, 70, 3), dtype=np.uint8)
    red, green, blue = pixels.astype(float).transpose(2, 0, 1)
    rg, yb = red - green, (red + green) / 2 - blue
    expected = math.hypot(rg.std(), yb.std()) + 0.3 * math.hypot(rg.mean(), yb.mean())
    assert measure(pixels)["colourfulness"] == pytest.approx(expected, rel=1e-5)
    assert measure(flat((255, 0, 0)))["colourfulness"] == pytest.approx(0.3 * math.hypot(255, 127.5))


@pytest.mark.parametrize("sigma", [2, 5, 10])
def test_noise_is_its_standard_deviation(sigma):
    rng = np.random.default_rng(sigma)
    slope = np.linspace(60, 180, 700)[None, :, None] + np.zeros((500, 1, 3))
    noisy = np.clip(np.rint(slope + rng.normal(0, sigma, slope.shape)), 0, 255)
    assert measure(noisy)["noise"] == pytest.approx(sigma, rel=0.06)


def test_a_blurred_picture_is_less_sharp():
    rng = np.random.default_rng(3)
    sharp = rng.integers(0, 256, (120, 120, 3)).astype(float)
    blurred = (sharp + np.roll(sharp, 1, 0) + np.roll(sharp, 1, 1) + np.roll(sharp, (1, 1), (0, 1))) / 4
    assert measure(blurred)["sharpness"] < measure(sharp)["sharpness"] / 4


def test_large_pictures_are_measured_on_means_of_blocks():
    rng = np.random.default_rng(4)
    small = rng.integers(0, 256, (200, 300, 3), dtype=np.uint8)
    large = small.repeat(4, 0).repeat(4, 1)
    one, other = measure(small), measure(large)
    for name in ("brightness", "contrast", "colourfulness", "entropy", "sharpness"):
        assert other[name] == pytest.approx(one[name], rel=1e-4), name


def test_the_largest_face():
    small, large = face(0, 0, 10, 10, confidence=0.99), face(20, 10, 40, 30, right=(25, 15), left=(35, 15))
    found = measure(flat((9, 9, 9)), [small, large])
    assert found["face_share"] == pytest.approx(400 / 2400)
    assert found["face_offset"] == pytest.approx(0)
    assert found["tilt"] == 0
    cut = measure(flat((9, 9, 9)), [face(50, -10, 70, 10, right=(55, 0), left=(65, 10))])
    assert cut["face_share"] == pytest.approx(100 / 2400)
    assert cut["tilt"] == pytest.approx(45)
    assert cut["face_offset"] == pytest.approx(math.hypot(30, 20) / (math.hypot(60, 40) / 2))


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (2, 2), (3, 1), (3, 3), (5000, 2)])
def test_the_smallest_and_the_longest_pictures(shape):
    found = measure(flat((1, 2, 3), shape))
    assert all(value is None or math.isfinite(value) for value in found.values())


def test_the_relation_describes_every_column():
    held = {column.name: column.type for column in relation("photo_quality").columns}
    ours = {column.name: column.type for column in PHOTO_QUALITY.columns}
    assert held == {"photo_id": "varchar", **ours, "status": "varchar", "detail": "varchar"}
    assert set(measure(flat((1, 2, 3)))) == set(ours)
