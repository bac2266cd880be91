"""Faces in a photo: boxes, six keypoints and a confidence each, by BlazeFace through mediapipe.

The detector runs at a low threshold (`FLOOR`) and keeps everything above it; a stricter threshold is a
filter over what was kept, so changing it costs no second look at the pictures.

Source: Bazarevsky et al. 2019, "BlazeFace: sub-millisecond neural face detection on mobile GPUs".
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import queue
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from features import weights
from warehouse import InputError, MissingPartError

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["FLOOR", "Detector", "Face", "FaceSettings"]

FLOOR = 0.5
"""The confidence at which BlazeFace was tuned; what scores less is seldom a face."""

_SUPPRESSION = 0.3
"""Boxes that overlap more than this are one face."""


@dataclass(frozen=True, slots=True)
class FaceSettings:
    """Which faces count.

    Attributes:
        model: `short` for portraits and selfies (within 2 m), `full` for small faces in wide pictures.
        confidence: faces that score less do not count, 0 to 1.
    """

    model: Literal["short", "full"] = "short"
    confidence: float = 0.5

    def __post_init__(self) -> None:
        if self.model not in ("short", "full"):
            raise InputError(f"No face model is called {self.model!r}.", "short or full", "--face-model short")
        if not 0 < self.confidence < 1:
            raise InputError(
                f"A face confidence of {self.confidence} cannot be.", "above 0, below 1", "--face-confidence 0.5"
            )

    @property
    def floor(self) -> float:
        """The threshold at which the detector itself runs."""
        return min(self.confidence, FLOOR)

    @property
    def weights(self) -> weights.Weights:
        return weights.weights(f"blazeface_{self.model}")

    @property
    def digest(self) -> str:
        """Names everything that decides which faces are found, in 16 hex digits."""
        text = f"blazeface 1 {self.weights.sha256} {self.floor:g} {_SUPPRESSION:g}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]


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


class Detector:
    """BlazeFace. Call it from any thread; close it, or use it in a `with`.

    Args:
        settings: which model, which threshold.
        n: how many threads may look at once; mediapipe gives each instance one.

    Raises:
        MissingPartError: a system library of mediapipe is absent.
        WeightsError: the model cannot be found.
    """

    def __init__(self, settings: FaceSettings, n: int = 1) -> None:
        require_libraries()
        model = weights.resolve(settings.weights).read_bytes()
        with _quiet() as said:
            from mediapipe import Image, ImageFormat
            from mediapipe.tasks.python.core.base_options import BaseOptions
            from mediapipe.tasks.python.vision import FaceDetector, FaceDetectorOptions

            options = FaceDetectorOptions(
                base_options=BaseOptions(model_asset_buffer=model),
                min_detection_confidence=settings.floor,
                min_suppression_threshold=_SUPPRESSION,
            )
            self._image = functools.partial(Image, image_format=ImageFormat.SRGB)
            self._all = [FaceDetector.create_from_options(options) for _ in range(n)]
            self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
            for one in self._all:
                one.detect(self._image(data=np.zeros((128, 128, 3), np.uint8)))
                self._free.put(one)
            self._warn_now(said)

    def _warn_now(self, said: Callable[[], bytes]) -> None:
        """Have mediapipe complain here of how its own tensors lie in memory, not in the middle of the work.

        It does so once in a process, at whatever call the allocator first hands out an odd address to. Blocks of
        growing size, held meanwhile, move the address: the second call is nearly always the one at the latest.
        """
        held = []
        for n in range(0 if _warned.is_set() else 64):
            if b"not aligned" in said():
                break
            held.append(np.empty(128 * 128 * 3 * 4 + 16 * n, np.uint8))
            self._all[0].detect(self._image(data=np.zeros((128, 128, 3), np.uint8)))
        _warned.set()

    def __call__(self, pixels: NDArray[np.uint8]) -> list[Face]:
        """Faces in uint8 (h, w, 3), RGB; the most confident first."""
        height, width = pixels.shape[:2]
        one = self._free.get()
        try:
            found = one.detect(self._image(data=np.ascontiguousarray(pixels))).detections
        finally:
            self._free.put(one)
        scale = np.array([width, height], np.float64)
        faces = []
        for detection in found:
            box = detection.bounding_box
            x0, y0 = float(box.origin_x), float(box.origin_y)
            keypoints = np.array([(point.x, point.y) for point in detection.keypoints or ()], np.float64) * scale
            score = float(detection.categories[0].score)
            faces.append(Face(x0, y0, x0 + box.width, y0 + box.height, score, keypoints))
        return sorted(faces, key=lambda face: (-face.confidence, face.x0, face.y0))

    def close(self) -> None:
        """Needed: mediapipe's own finaliser fails when the interpreter ends."""
        with _quiet():
            for one in self._all:
                one.close()

    def __enter__(self) -> Detector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


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


_redirecting = threading.Lock()
_warned = threading.Event()


@contextlib.contextmanager
def _quiet() -> Iterator[Callable[[], bytes]]:
    """Keep what mediapipe's C++ writes to stderr, bypassing every logging setting, out of our output.

    Yields:
        A function that gives what was written so far.
    """
    with _redirecting, tempfile.TemporaryFile() as heap:
        sys.stderr.flush()
        kept = os.dup(2)
        try:
            os.dup2(heap.fileno(), 2)
            yield lambda: os.pread(heap.fileno(), 1 << 20, 0)
        finally:
            os.dup2(kept, 2)
            os.close(kept)
