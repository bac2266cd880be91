"""BlazeFace finds drawn faces and their positions, and writes nothing to stderr."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from photogenic.features.faces import detector as faces
from photogenic.features.faces.detector import Detector, FaceSettings
from photogenic.features.images.decode import decode
from photogenic.warehouse import InputError, MissingPartError
from tests.features.gallery import portrait


@pytest.fixture(scope="module")
def detector():
    with Detector(FaceSettings()) as detector:
        yield detector


def _pixels(seed: int, people: int = 1, size: int = 256) -> np.ndarray:
    pixels = decode(portrait(seed, people, size)).pixels
    assert pixels is not None
    return pixels


@pytest.mark.parametrize("people", [0, 1, 2, 3])
def test_as_many_faces_as_people(detector, people):
    counts = [len(detector(_pixels(seed, people))) for seed in range(4)]
    assert sum(n == people for n in counts) >= 3


def test_a_face_is_in_pixels_and_its_parts_are_where_they_belong(detector):
    (face,) = detector(_pixels(1, size=256))
    right_eye, left_eye, nose, mouth, right_ear, left_ear = face.keypoints
    assert 0.5 <= face.confidence <= 1
    assert 0 < face.x0 < right_eye[0] < nose[0] < left_eye[0] < face.x1 < 256
    assert 0 < face.y0 < right_eye[1] < nose[1] < mouth[1] < face.y1 < 256
    assert right_ear[0] < right_eye[0] < left_eye[0] < left_ear[0]
    (twice,) = detector(_pixels(1, size=512))
    assert np.abs(face.scaled(2).keypoints - twice.keypoints).max() < 12


def test_the_most_confident_face_comes_first(detector):
    found = detector(_pixels(2, people=3))
    assert [face.confidence for face in found] == sorted((face.confidence for face in found), reverse=True)


def test_two_threads_may_detect_at_once():
    with Detector(FaceSettings(), n=2) as both, ThreadPoolExecutor(2) as pool:
        found = list(pool.map(both, [_pixels(seed) for seed in range(6)]))
    assert [len(faces) for faces in found] == [1] * 6


def test_a_stricter_threshold_keeps_the_detector_digest():
    assert FaceSettings(confidence=0.8).digest == FaceSettings().digest
    assert FaceSettings(confidence=0.3).digest != FaceSettings().digest
    assert FaceSettings(model="full").digest != FaceSettings().digest


def test_invalid_settings_are_refused():
    with pytest.raises(InputError, match=r"--face-confidence is 1\.5"):
        FaceSettings(confidence=1.5)
    with pytest.raises(InputError, match="'tiny'"):
        FaceSettings(model="tiny")  # type: ignore[arg-type]


def test_the_full_range_model_finds_a_smaller_face(detector):
    wide = np.full((480, 640, 3), 190, np.uint8)
    wide[240:340, 280:380] = _pixels(1, size=100)
    with Detector(FaceSettings(model="full")) as full:
        found = full(wide)
    assert (len(found), detector(wide)) == (1, [])
    assert 270 < found[0].x0 < found[0].x1 < 390


@pytest.mark.parametrize("seed", range(4))
def test_stderr_stays_empty_and_the_exit_code_is_zero(seed):
    """mediapipe warns once for an unaligned address, so many pictures are tried, in several memory layouts."""
    program = """
import numpy as np
from photogenic.features.faces.detector import Detector, FaceSettings
with Detector(FaceSettings()) as detector:
    for n in range(30):
        detector(np.zeros((300 + 7 * n, 200 + n, 3), np.uint8))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"MALLOC_PERTURB_": str(seed)},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_missing_system_library_comes_with_its_command(monkeypatch):
    def load(name: str) -> None:
        if name == "libEGL.so.1":
            raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr("ctypes.CDLL", load)
    monkeypatch.setattr(sys, "platform", "linux")
    faces.require_libraries.cache_clear()
    with pytest.raises(MissingPartError, match="apt-get install --yes libgl1 libegl1 libgles2 libglib2") as caught:
        Detector(FaceSettings())
    assert "needs libEGL.so.1, which" in caught.value.what
    faces.require_libraries.cache_clear()
