"""Run BlazeFace in a child process, because a crash of its native code ends the process.

    parent (detector_process.py)             child (this file)
    picture into shared memory, its size  -> the faces in it: x, y, width, height, confidence, keypoints

The child has one thread and one detector per connection. It ends when the connections close, so with its parent.
"""

from __future__ import annotations

import mmap
import os
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import mediapipe
from photogenic.features.faces.settings import SUPPRESSION

__all__ = ["BlazeFace", "Box", "serve"]

Box = tuple[float, float, float, float, float, list[tuple[float, float]]]
"""x, y, width and height in pixels, the confidence, and the keypoints as shares of width and height."""

_FAILED = 70
"""Exit code after an exception in mediapipe; EX_SOFTWARE of sysexits.h."""


class BlazeFace:
    """The detector in this process. It is not thread-safe.

    Args:
        model: bytes of the .tflite file.
        floor: lowest confidence of a returned face, 0 to 1.
    """

    def __init__(self, model: bytes, floor: float) -> None:
        from mediapipe.tasks.python.core.base_options import BaseOptions
        from mediapipe.tasks.python.vision import FaceDetector, FaceDetectorOptions

        options = FaceDetectorOptions(
            base_options=BaseOptions(model_asset_buffer=model),
            min_detection_confidence=floor,
            min_suppression_threshold=SUPPRESSION,
        )
        self._image, self._format = mediapipe.Image, mediapipe.ImageFormat.SRGB
        self._detector: Any = FaceDetector.create_from_options(options)
        self(np.zeros((128, 128, 3), np.uint8))

    def __call__(self, pixels: NDArray[np.uint8]) -> list[Box]:
        """Find the faces in uint8 (h, w, 3), RGB, C-contiguous."""
        found = self._detector.detect(self._image(image_format=self._format, data=pixels)).detections
        boxes = []
        for one in found:
            box, score = one.bounding_box, float(one.categories[0].score)
            keypoints = [(float(point.x), float(point.y)) for point in one.keypoints or ()]
            place = float(box.origin_x), float(box.origin_y), float(box.width), float(box.height)
            boxes.append((*place, score, keypoints))
        return boxes


def serve() -> None:
    """Answer requests until the connections close; never return.

    `sys.argv` holds file descriptors, alternately of a connection and of the shared memory for its pictures.
    """
    handles = [int(word) for word in sys.argv[1:]]
    for asked in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asked, signal.SIG_IGN)  # the parent receives it too, and closes the connections
    lines = [Connection(handle) for handle in handles[::2]]
    try:
        model, floor = lines[0].recv()
        detectors = [BlazeFace(model, floor) for _ in lines]
        lines[0].send("ready")
    except EOFError:
        os._exit(0)
    threads = [
        threading.Thread(target=_answer, args=(line, memory, detector))
        for line, memory, detector in zip(lines, handles[1::2], detectors, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os._exit(0)  # mediapipe's finalizers fail when the interpreter ends


def _answer(line: Connection, memory: int, detector: BlazeFace) -> None:
    held = mmap.mmap(-1, 1)
    try:
        while True:
            height, width = line.recv()
            size = height * width * 3
            if len(held) != os.fstat(memory).st_size:
                held = mmap.mmap(memory, 0)
            line.send(detector(np.frombuffer(held, np.uint8, size).reshape(height, width, 3)))
    except (EOFError, ConnectionError):
        return
    except BaseException:  # any exception of mediapipe ends the detector, as an abort would
        traceback.print_exc()
        os._exit(_FAILED)
