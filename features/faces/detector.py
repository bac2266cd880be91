"""Detect faces with BlazeFace from mediapipe: a box, six keypoints and a confidence for each.

The detector runs at a low threshold (`FLOOR`) and stores every face above it. A stricter threshold filters the stored
faces, so a change of it decodes no photo again.

Source: Bazarevsky et al. 2019, "BlazeFace: sub-millisecond neural face detection on mobile GPUs".
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from photogenic.features.encoders import weights
from photogenic.features.faces.blazeface import Box
from photogenic.features.faces.detector_process import DetectorProcess
from photogenic.features.faces.settings import FLOOR, FaceSettings
from photogenic.features.images.resize import resize
from photogenic.warehouse import MissingPartError, StoreError
from photogenic.warehouse.closing import Closing
from photogenic.warehouse.processes.child import ChildDiedError

__all__ = [
    "FLOOR",
    "LIBRARIES",
    "LONGEST",
    "Detector",
    "DetectorFailed",
    "Face",
    "FaceSettings",
    "detect_faces",
    "refuse_detection",
    "require_libraries",
]

LIBRARIES = ("libGL.so.1", "libEGL.so.1", "libGLESv2.so.2", "libgthread-2.0.so.0")
"""System libraries that mediapipe and OpenCV, which it requires, load on Linux."""

LONGEST = 32_766
"""Largest side in pixels: OpenCV counts them in 16 bits and aborts the process above this."""


@dataclass(frozen=True, slots=True)
class Face:
    """One face, in pixels of its image; the box may extend beyond the image.

    Attributes:
        keypoints: float64 (6, 2): the person's right eye, left eye, nose, mouth, right ear, left ear.
    """

    x0: float
    y0: float
    x1: float
    y1: float
    confidence: float
    keypoints: NDArray[np.float64]

    def scaled(self, factor: float) -> Face:
        """The same face in an image scaled by `factor`."""
        box = (self.x0 * factor, self.y0 * factor, self.x1 * factor, self.y1 * factor)
        return Face(*box, self.confidence, self.keypoints * factor)


class DetectorFailed(Exception):  # noqa: N818  # not an error of the program: the photo gets it as its status
    """The detector process ended twice on this picture; `str` gives the reason."""


class Detector(Closing):
    """BlazeFace in a child process. It is thread-safe. Close it, or use it in a `with` statement.

    If the process ends unexpectedly, a new one is started and each affected picture is tried once more alone, which
    identifies the picture that ends it.

    Args:
        settings: model and threshold.
        n: number of threads that may detect at once; the child has one mediapipe instance for each.

    Raises:
        MissingPartError: a system library of mediapipe is missing, or mediapipe does not start.
        WeightsError: the model file is not found.
    """

    def __init__(self, settings: FaceSettings, n: int = 1) -> None:
        require_libraries()
        self._setup = weights.resolve(settings.weights).read_bytes(), settings.floor
        self._n = n
        self._starting = threading.Lock()
        self._turn = threading.Condition()
        self._n_inside = self._n_alone = 0
        self._ended: list[DetectorProcess] = []
        self._child: DetectorProcess | None = DetectorProcess(self._setup, n)

    def __call__(self, pixels: NDArray[np.uint8]) -> list[Face]:
        """Find the faces in uint8 (h, w, 3), RGB, sorted by descending confidence.

        Raises:
            DetectorFailed: the detector process ended twice on this picture.
            StoreError: the system killed the process twice, probably because memory ran out.
        """
        return detect_faces(self._detect_with_retry, pixels)

    def close(self) -> None:
        """End the process."""
        for child in (self._child, *self._ended):
            if child is not None:
                child.close()
        self._child, self._ended = None, []

    def _detect_with_retry(self, pixels: NDArray[np.uint8]) -> list[Box]:
        try:
            return self._request(pixels, alone=False)
        except ChildDiedError:
            pass  # this picture or one in another thread was the cause
        try:
            return self._request(pixels, alone=True)
        except ChildDiedError as error:
            if error.killed:
                raise StoreError(
                    "The process that finds faces was killed twice.",
                    "enough memory for it, some 0.5 GB",
                    "free some memory, then run the same command again",
                ) from error
            raise DetectorFailed(str(error)) from error

    def _request(self, pixels: NDArray[np.uint8], *, alone: bool) -> list[Box]:
        with self._inside(alone=alone):
            with self._starting:
                if alone:
                    while self._ended:
                        self._ended.pop().close()
                if self._child is None:
                    self._child = DetectorProcess(self._setup, self._n)
                child = self._child
            try:
                return child(pixels)
            except ChildDiedError:
                with self._starting:
                    if self._child is child:
                        self._child = None
                        self._ended.append(child)
                raise

    @contextlib.contextmanager
    def _inside(self, *, alone: bool) -> Iterator[None]:
        """Allow any number of threads at a time, or one thread alone; a thread that waits to be alone goes first."""
        with self._turn:
            self._n_alone += alone
            self._turn.wait_for(lambda: not self._n_inside if alone else not self._n_alone)
            self._n_inside += 1
        try:
            yield
        finally:
            with self._turn:
                self._n_inside -= 1
                self._n_alone -= alone
                self._turn.notify_all()


def detect_faces(detect: Callable[[NDArray[np.uint8]], list[Box]], pixels: NDArray[np.uint8]) -> list[Face]:
    """Find the faces of a picture with `detect`, such as a `BlazeFace`, sorted by descending confidence."""
    height, width = pixels.shape[:2]
    limited = _shrink_to_limit(pixels)
    fx, fy = width / limited.shape[1], height / limited.shape[0]
    scale = np.array([width, height], np.float64)
    faces = [
        Face(x * fx, y * fy, (x + w) * fx, (y + h) * fy, score, np.array(keypoints, np.float64) * scale)
        for x, y, w, h, score, keypoints in detect(limited)
    ]
    return sorted(faces, key=lambda face: (-face.confidence, face.x0, face.y0))


def refuse_detection(_: NDArray[np.uint8]) -> list[Face]:
    """Placeholder detector for encoders of whole photos, which must not be called."""
    raise AssertionError("An encoder of whole photos called the face detector.")


def _shrink_to_limit(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Shrink a picture with a side that is too long for OpenCV; return others unchanged."""
    height, width = pixels.shape[:2]
    if max(height, width) <= LONGEST:
        return pixels
    scale_by = LONGEST / max(height, width)
    return np.ascontiguousarray(resize(pixels, max(round(width * scale_by), 1), max(round(height * scale_by), 1)))


@functools.cache
def require_libraries() -> None:
    """Check once that the system libraries that mediapipe loads are installed.

    Raises:
        MissingPartError: a library is missing; the message has the command that installs it.
    """
    if sys.platform != "linux":
        return
    absent = []
    for name in LIBRARIES:
        try:
            ctypes.CDLL(name)
        except OSError:
            absent.append(name)
    if absent:
        raise MissingPartError(
            f"mediapipe, which finds faces, needs {', '.join(absent)}, which this machine does not have.",
            "the OpenGL and GLib libraries of the system (no graphics card needed)",
            "sudo apt-get install --yes libgl1 libegl1 libgles2 libglib2.0-0",
        )
