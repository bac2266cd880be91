"""A batch of photos through all that comes before a network: read, decode, find faces, cut."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from photogenic.features.encoders.base import InputSpec
from photogenic.features.encoders.device import CPU, Device
from photogenic.features.faces.align import DLIB, FACENET, ChipRule, chip, shrinkage
from photogenic.features.faces.detections import DetectionResult
from photogenic.features.faces.detector import DetectorFailed, Face
from photogenic.features.images.decode import MIN_SIDE, Decoded, decode
from photogenic.features.images.decode_batch import decoded
from photogenic.features.images.resize import centre
from photogenic.warehouse import Layout, StoreError

__all__ = ["BATCH", "PhotoTask", "PreparedBatch", "Preprocessor", "crop_for_encoder", "loader"]

BATCH = 64
"""Photos that a worker takes at a time, and that a killed run may lose per worker; on a GPU, a pass's."""

Pictures = Sequence[NDArray[np.uint8]] | NDArray[np.uint8]

_RULES: Mapping[str, ChipRule] = {"dlib": DLIB, "facenet": FACENET}


@dataclass(frozen=True, slots=True)
class PhotoTask:
    """What is wanted of one photo.

    Attributes:
        look: whether its faces are unknown yet.
        wanted: (encoder, flip) pairs to compute.
    """

    sha256: str
    look: bool
    wanted: frozenset[tuple[str, bool]]


def _nothing() -> None:
    pass


@dataclass(slots=True)
class PreparedBatch:
    """What a batch gives to the networks, and what was seen on the way.

    Attributes:
        pictures: by backbone: digests, and as many pictures uint8 (size, size, 3).
        seconds: by step, and `counts` of the photos that went through it.
        done: to be called when the pictures were used: their memory may be another batch's then.
    """

    detections: list[DetectionResult] = field(default_factory=list)
    pictures: Mapping[str, tuple[list[str], Pictures]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    done: Callable[[], None] = _nothing

    @contextlib.contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Count one photo, and its seconds."""
        start = time.perf_counter()
        yield
        self.seconds[step] += time.perf_counter() - start
        self.counts[step] += 1


class Preprocessor:
    """Turns tasks into pictures; any number of threads may call it.

    Args:
        load: digest -> bytes of the photo.
        detector: finds faces.
        confidence: faces below do not count.
        input_specs: by backbone's name: how its picture is cut, and the encoders that are its layers.
        device: where photos are decoded if it can do that.
    """

    def __init__(
        self,
        load: Callable[[str], bytes],
        detector: Callable[[NDArray[np.uint8]], list[Face]],
        confidence: float,
        input_specs: Mapping[str, tuple[InputSpec, frozenset[str]]],
        device: Device = CPU,
    ) -> None:
        self._load, self._detector, self._confidence = load, detector, confidence
        self._input_specs, self._device = dict(input_specs), device

    def __call__(self, tasks: Sequence[PhotoTask]) -> PreparedBatch:
        # Only the small pictures are kept: the photos themselves live one at a time.
        made = PreparedBatch()
        kept: dict[str, dict[str, NDArray[np.uint8]]] = {name: {} for name in self._input_specs}
        photos = decoded((self._load(task.sha256) for task in tasks), self._device)
        for task in tasks:
            with made.timed("decode"):
                data, photo = next(photos)
            self._take(task, data, photo, made, kept)
        made.pictures = {name: (list(some), list(some.values())) for name, some in kept.items()}
        return made

    def _take(
        self,
        task: PhotoTask,
        data: bytes,
        photo: Decoded,
        made: PreparedBatch,
        kept: Mapping[str, dict[str, NDArray[np.uint8]]],
    ) -> None:
        """Look for one photo's faces, cut the pictures that its networks want."""
        names = {name for name, _ in task.wanted}
        input_specs = {name: spec for name, (spec, encoders) in self._input_specs.items() if names & encoders}
        faces: list[Face] = []
        if photo.pixels is not None and (task.look or any(spec.input == "face" for spec in input_specs.values())):
            with made.timed("faces"):
                try:
                    faces = self._detector(photo.pixels)
                except DetectorFailed as failed:
                    photo = replace(photo, status="detector_failed", detail=str(failed), pixels=None)
        if task.look:
            factor = photo.width / photo.pixels.shape[1] if photo.pixels is not None else 1.0
            found = [face.scaled(factor) for face in faces]
            made.detections.append(
                DetectionResult(task.sha256, photo.status, photo.detail, photo.width, photo.height, found)
            )
        with made.timed("cut"):
            for name, spec in input_specs.items():
                shown = crop_for_encoder(spec, data, photo, [f for f in faces if f.confidence >= self._confidence])
                if shown is not None:
                    kept[name][task.sha256] = shown


def crop_for_encoder(spec: InputSpec, data: bytes, photo: Decoded, faces: Sequence[Face]) -> NDArray[np.uint8] | None:
    """What the network is shown, uint8 (size, size, 3); None without pixels, or without the one face it wants.

    Args:
        spec: the picture that the network takes.
        data: the photo's file.
        photo: as decoded.
        faces: those that count, in `photo.pixels`.
    """
    if photo.pixels is None:
        return None
    pixels = photo.pixels
    if spec.input == "photo":
        if spec.size > MIN_SIDE // 2 and pixels.shape[1] < photo.width:
            pixels = _whole(data, spec.size * 2)
        return centre(pixels, spec.size, spec.crop_pct)
    if len(faces) != 1:
        return None
    keypoints, rule = faces[0].keypoints, _RULES[spec.crop]
    if pixels.shape[1] < photo.width and shrinkage(keypoints, rule) < 1:
        # The photo was reduced while decoding, and its face is too small for that.
        pixels = _whole(data, None)
        keypoints = faces[0].scaled(photo.width / photo.pixels.shape[1]).keypoints
    return chip(pixels, keypoints, rule)


def _whole(data: bytes, min_side: int | None) -> NDArray[np.uint8]:
    """A photo that was decoded before, larger."""
    pixels = decode(data, min_side=min_side).pixels
    assert pixels is not None
    return pixels


def loader(layout: Layout) -> Callable[[str], bytes]:
    """Gives the bytes of a photo of the store by their digest; refuses others."""

    def load(digest: str) -> bytes:
        try:
            data = layout.photo(digest).read_bytes()
        except FileNotFoundError:
            raise StoreError(
                f"{layout.photo(digest)} is not there, and the warehouse says it is.",
                "the bytes of every photo whose status is ok",
                "features ingest photos FILE --images DIR",
            ) from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise StoreError(
                f"{layout.photo(digest)} is damaged: it is not what was received.",
                "bytes with the SHA-256 that is their name",
                f"rm {layout.photo(digest)}, then features ingest photos FILE --images DIR takes it in again",
            )
        return data

    return load
