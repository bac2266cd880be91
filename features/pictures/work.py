"""Compute the wanted features of a batch while its photos are decoded."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photogenic.features.faces.detector import Face
from photogenic.features.pictures.definition import PhotoInfo, PictureFeature
from photogenic.features.pictures.evaluate import Answer, Picture
from photogenic.features.pictures.runner import Runner

__all__ = ["FeatureRow", "PictureWork", "failed_rows", "feature_step"]

_AT_ONCE = 16
"""Most pictures in the list of a batch function, and in a message to the process of a function."""

_MOST_BYTES = 1 << 25
"""Bytes of pictures from which a list is computed before it is full."""


@dataclass(frozen=True, slots=True)
class FeatureRow:
    """The values of one picture, or of one of its faces; without a face, the status `no_face` and no number."""

    feature: str
    sha256: str
    face_no: int | None
    status: str
    detail: str
    values: tuple[Any, ...]


class PictureWork:
    """The features of one batch.

    Args:
        features: features by name.
        run: function that calls them.

    Attributes:
        seconds: step -> seconds of work.
        counts: step -> pictures.
    """

    def __init__(self, features: Mapping[str, PictureFeature], run: Runner) -> None:
        self._features, self._run = features, run
        self._elsewhere = {name for name, feature in features.items() if run.uses_process(feature)}
        self._waiting: dict[str, list[tuple[str, int | None, Picture]]] = {}
        self._rows: list[FeatureRow] = []
        self.seconds: dict[str, float] = {}
        self.counts: dict[str, int] = {}

    def add(
        self,
        sha256: str,
        wanted: Iterable[str],
        pixels: NDArray[np.uint8],
        size: tuple[int, int],
        faces: Sequence[Face],
    ) -> None:
        """Compute the wanted features of one photo, or keep its pixels until a list is full.

        Args:
            sha256: digest of the photo.
            wanted: names of features.
            pixels: uint8 (h, w, 3).
            size: width and height of the original.
            faces: its faces in coordinates of the pixels.
        """
        for name in wanted:
            feature = self._features[name]
            shown: list[tuple[int | None, Picture]]
            if feature.input == "face":
                shown = [(at, _face(pixels, size, face)) for at, face in enumerate(faces)]
                if not shown:
                    none = (None,) * len(feature.columns)
                    self._rows.append(FeatureRow(name, sha256, None, "no_face", "", none))
            else:
                shown = [(None, (pixels, PhotoInfo(*size, tuple(faces))))]
            if shown and name in self._elsewhere and name not in self._waiting:
                self._run.start()
            waiting = self._waiting.setdefault(name, [])
            waiting += [(sha256, at, picture) for at, picture in shown]
            n_bytes = sum(picture[0].size for _, _, picture in waiting)
            if len(waiting) >= self._most(name) or n_bytes >= _MOST_BYTES:
                self._flush(name)

    def finish(self) -> list[FeatureRow]:
        """Compute what still waits, and return all rows."""
        for name in list(self._waiting):
            self._flush(name)
        return self._rows

    def _most(self, name: str) -> int:
        """Most pictures of a feature that are kept and computed together."""
        return _AT_ONCE if self._features[name].is_batch or name in self._elsewhere else 1

    def _flush(self, name: str) -> None:
        feature, waiting = self._features[name], self._waiting.pop(name, [])
        n = self._most(name)
        for at in range(0, len(waiting), n):
            some = waiting[at : at + n]
            start, step = time.perf_counter(), feature_step(name)
            answers = self._run(feature, [picture for _, _, picture in some])
            self.seconds[step] = self.seconds.get(step, 0.0) + time.perf_counter() - start
            self.counts[step] = self.counts.get(step, 0) + len(some)
            self._rows += [
                _row(name, sha256, face_no, answer) for (sha256, face_no, _), answer in zip(some, answers, strict=True)
            ]


def feature_step(name: str) -> str:
    """Name of the step that computes a feature, among those of a build."""
    return f"feature {name}"


def failed_rows(features: Iterable[PictureFeature], sha256: str, status: str, detail: str) -> list[FeatureRow]:
    """Rows of a photo for which none of these features could be computed."""
    return [_row(one.name, sha256, None, Answer.failed(one, status, detail)) for one in features]


def _row(name: str, sha256: str, face_no: int | None, answer: Answer) -> FeatureRow:
    return FeatureRow(name, sha256, face_no, answer.status, answer.detail, answer.values)


def _face(pixels: NDArray[np.uint8], size: tuple[int, int], face: Face) -> Picture:
    """The pixels inside the box of a face, at least one, and the face in coordinates of these."""
    height, width = pixels.shape[:2]
    x0, x1 = _span(face.x0, face.x1, width)
    y0, y1 = _span(face.y0, face.y1, height)
    origin = np.array([x0, y0], np.float64)
    moved = Face(face.x0 - x0, face.y0 - y0, face.x1 - x0, face.y1 - y0, face.confidence, face.keypoints - origin)
    return np.ascontiguousarray(pixels[y0:y1, x0:x1]), PhotoInfo(*size, (moved,))


def _span(low: float, high: float, side: int) -> tuple[int, int]:
    start = min(max(math.floor(low), 0), side - 1)
    return start, min(max(math.ceil(high), start + 1), side)
