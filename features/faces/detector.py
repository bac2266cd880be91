"""Faces in a photo: boxes, six keypoints and a confidence each, by BlazeFace through mediapipe.

The detector runs at a low threshold (`FLOOR`) and keeps everything above it; a stricter threshold is a
filter over what was kept, so changing it costs no second look at the pictures.

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
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from photogenic.features.encoders import weights
from photogenic.features.faces.blazeface import Box
from photogenic.features.faces.detector_process import DetectorProcess
from photogenic.features.faces.settings import FLOOR, FaceSettings
from photogenic.features.images.resize import resized
from photogenic.warehouse import MissingPartError, StoreError
from photogenic.warehouse.processes.child import ChildDiedError

__all__ = [
    "FLOOR",
    "LONGEST",
    "Detector",
    "DetectorFailed",
    "Face",
    "FaceSettings",
    "looked",
    "nobody",
    "require_libraries",
]

LONGEST = 32_766
"""Pixels of a side: OpenCV counts them in 16 bits, and aborts the process at one more."""


@dataclass(frozen=True, slots=True)
class Face:
    """One face, in pixels of the image it was found in; the box may reach beyond it.

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
        """The same face in an image of `factor` times the size."""
        box = (self.x0 * factor, self.y0 * factor, self.x1 * factor, self.y1 * factor)
        return Face(*box, self.confidence, self.keypoints * factor)


class DetectorFailed(Exception):  # noqa: N818  # not an error of the program: the photo gets it as its status
    """The detector died of this picture, twice. `str` of it: of what."""


class Detector:
    """BlazeFace, in a process of its own. Call it from any thread; close it, or use it in a `with`.

    A process that dies is started again, and the picture that it was given is tried once more with no other beside
    it: so the one that kills it is known.

    Args:
        settings: which model, which threshold.
        n: how many threads may look at once; mediapipe gives each instance one.

    Raises:
        MissingPartError: a system library of mediapipe is absent, or mediapipe does not start.
        WeightsError: the model cannot be found.
    """

    def __init__(self, settings: FaceSettings, n: int = 1) -> None:
        require_libraries()
        self._setup = weights.resolve(settings.weights).read_bytes(), settings.floor
        self._n = n
        self._starting = threading.Lock()
        self._turn = threading.Condition()
        self._n_inside = self._n_alone = 0
        self._dead: list[DetectorProcess] = []
        self._child: DetectorProcess | None = DetectorProcess(self._setup, n)

    def __call__(self, pixels: NDArray[np.uint8]) -> list[Face]:
        """Faces in uint8 (h, w, 3), RGB; the most confident first.

        Raises:
            DetectorFailed: the detector died of this picture.
            StoreError: something else ended it, twice: the system, for want of memory.
        """
        return looked(self._found, pixels)

    def close(self) -> None:
        """End the process."""
        for child in (self._child, *self._dead):
            if child is not None:
                child.close()
        self._child, self._dead = None, []

    def __enter__(self) -> Detector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _found(self, pixels: NDArray[np.uint8]) -> list[Box]:
        try:
            return self._asked(pixels, alone=False)
        except ChildDiedError:
            pass  # of this picture or of one beside it
        try:
            return self._asked(pixels, alone=True)
        except ChildDiedError as died:
            if died.killed:
                raise StoreError(
                    "The process that finds faces was killed, twice.",
                    "enough memory for it, some 0.5 GB",
                    "free some memory, then run the same command again",
                ) from died
            raise DetectorFailed(str(died)) from died

    def _asked(self, pixels: NDArray[np.uint8], *, alone: bool) -> list[Box]:
        with self._inside(alone=alone):
            with self._starting:
                if alone:
                    while self._dead:
                        self._dead.pop().close()
                if self._child is None:
                    self._child = DetectorProcess(self._setup, self._n)
                child = self._child
            try:
                return child(pixels)
            except ChildDiedError:
                with self._starting:
                    if self._child is child:
                        self._child = None
                        self._dead.append(child)
                raise

    @contextlib.contextmanager
    def _inside(self, *, alone: bool) -> Iterator[None]:
        """Any number of threads at a time, or one alone; who wants to be alone goes first."""
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


def looked(detect: Callable[[NDArray[np.uint8]], list[Box]], pixels: NDArray[np.uint8]) -> list[Face]:
    """The faces of a picture by a `BlazeFace`, the most confident first."""
    height, width = pixels.shape[:2]
    shown = _within(pixels)
    fx, fy = width / shown.shape[1], height / shown.shape[0]
    scale = np.array([width, height], np.float64)
    faces = [
        Face(x * fx, y * fy, (x + w) * fx, (y + h) * fy, score, np.array(keypoints, np.float64) * scale)
        for x, y, w, h, score, keypoints in detect(shown)
    ]
    return sorted(faces, key=lambda face: (-face.confidence, face.x0, face.y0))


def nobody(_: NDArray[np.uint8]) -> list[Face]:
    """The detector of encoders of whole photos, which is never to be asked."""
    raise AssertionError("an encoder of whole photos asked for faces")


def _within(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture that OpenCV takes: smaller where a side is too long for it, else as it is."""
    height, width = pixels.shape[:2]
    if max(height, width) <= LONGEST:
        return pixels
    share = LONGEST / max(height, width)
    return np.ascontiguousarray(resized(pixels, max(round(width * share), 1), max(round(height * share), 1)))


@functools.cache
def require_libraries() -> None:
    """Check once that the system libraries are there which mediapipe loads without asking.

    Raises:
        MissingPartError: with the command that installs them.
    """
    if sys.platform != "linux":
        return
    absent = []
    for name in ("libGL.so.1", "libEGL.so.1", "libGLESv2.so.2"):
        try:
            ctypes.CDLL(name)
        except OSError:
            absent.append(name)
    if absent:
        raise MissingPartError(
            f"mediapipe, which finds faces, needs {', '.join(absent)}: not on this machine.",
            "the OpenGL libraries of the system (no graphics card needed)",
            "sudo apt-get install --yes libgl1 libegl1 libgles2",
        )
