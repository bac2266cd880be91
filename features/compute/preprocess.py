"""Preprocess a batch of photos for the networks: read, decode, detect faces, crop; compute features of the pixels."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from photogenic.features.decoded.reader import DecodedPictures
from photogenic.features.decoded.rule import PictureRule
from photogenic.features.encoders.base import InputSpec
from photogenic.features.encoders.device import CPU, Device
from photogenic.features.faces.align import DLIB, FACENET, ChipRule, chip, shrinkage
from photogenic.features.faces.detections import DetectionResult
from photogenic.features.faces.detector import DetectorFailed, Face
from photogenic.features.images.decode import MIN_SIDE, Decoded, decode
from photogenic.features.images.decode_batch import decode_photos
from photogenic.features.images.resize import center_crop, resize
from photogenic.features.pictures.definition import PictureFeature
from photogenic.features.pictures.runner import Runner
from photogenic.features.pictures.work import FeatureRow, PictureWork
from photogenic.warehouse import Layout, StoreError

__all__ = ["BATCH", "PhotoTask", "PreparedBatch", "Preprocessor", "crop_for_encoder", "loader"]

BATCH = 64
"""Photos per batch, which is also what a killed run may lose per worker; a GPU uses its own batch size."""

Pictures = Sequence[NDArray[np.uint8]] | NDArray[np.uint8]

_RULES: Mapping[str, ChipRule] = {"dlib": DLIB, "facenet": FACENET}


@dataclass(frozen=True, slots=True)
class PhotoTask:
    """Results to compute for one photo.

    Attributes:
        detect: whether to return its status and faces.
        wanted: (encoder, flip) pairs to compute; a network of a feature is one too.
        features: features to compute from pixels.
        faces: its stored faces in pixels of the original, for features; None: they are detected.
    """

    sha256: str
    detect: bool
    wanted: frozenset[tuple[str, bool]]
    features: frozenset[str] = frozenset()
    faces: tuple[Face, ...] | None = None


def _nothing() -> None:
    pass


@dataclass(slots=True)
class PreparedBatch:
    """Input of the networks for one batch, with the detections, features and timings of its preprocessing.

    Attributes:
        features: rows of features that were computed from pixels.
        pictures: backbone -> digests, and as many pictures uint8 (size, size, 3).
        seconds: step -> seconds of work.
        counts: step -> photos that passed it.
        done: function to call after use of the pictures, which releases their memory to another batch.
    """

    detections: list[DetectionResult] = field(default_factory=list)
    pictures: Mapping[str, tuple[list[str], Pictures]] = field(default_factory=dict)
    features: list[FeatureRow] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    done: Callable[[], None] = _nothing

    @contextlib.contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Count one photo and its seconds for a step."""
        start = time.perf_counter()
        yield
        self.seconds[step] += time.perf_counter() - start
        self.counts[step] += 1


class Preprocessor:
    """Compute network inputs from tasks. It is thread-safe.

    Args:
        load: function from a digest to the bytes of the photo.
        detector: function that finds the faces in pixels.
        confidence: lowest confidence of a face.
        input_specs: name of the backbone -> its input, and the encoders that are its layers.
        device: device that decodes JPEGs if it is a GPU.
        features: features that are computed from pixels.
        run: function that calls them.
        decoded: pictures that were decoded before; a photo whose pictures are all there is not decoded.
    """

    def __init__(
        self,
        load: Callable[[str], bytes],
        detector: Callable[[NDArray[np.uint8]], list[Face]],
        confidence: float,
        input_specs: Mapping[str, tuple[InputSpec, frozenset[str]]],
        device: Device = CPU,
        *,
        features: Sequence[PictureFeature] = (),
        run: Runner | None = None,
        decoded: DecodedPictures | None = None,
    ) -> None:
        self._decoded = decoded
        self._rules = {name: PictureRule.of_input(spec) for name, (spec, _) in input_specs.items()}
        self._load, self._detector, self._confidence = load, detector, confidence
        self._input_specs, self._device = dict(input_specs), device
        self._features, self._run = {feature.name: feature for feature in features}, run or Runner()

    def __call__(self, tasks: Sequence[PhotoTask]) -> PreparedBatch:
        # Only the small pictures are kept in memory; photos are decoded one at a time.
        made = PreparedBatch()
        work = PictureWork(self._features, self._run)
        kept: dict[str, dict[str, NDArray[np.uint8]]] = {name: {} for name in self._input_specs}
        rest = [task for task in tasks if not self._take_decoded(task, made, kept)]
        photos = decode_photos((self._load(task.sha256) for task in rest), self._device)
        for task in rest:
            with made.timed("decode"):
                data, photo = next(photos)
            self._take(task, data, photo, made=made, kept=kept, work=work)
        made.features = work.finish()
        made.seconds.update(work.seconds)
        made.counts.update(work.counts)
        made.pictures = {name: (list(some), list(some.values())) for name, some in kept.items()}
        return made

    def _take_decoded(
        self, task: PhotoTask, made: PreparedBatch, kept: Mapping[str, dict[str, NDArray[np.uint8]]]
    ) -> bool:
        """Take the pictures of one photo that were decoded before. False: one is missing, or faces are looked for."""
        if self._decoded is None or task.detect or task.features:
            return False
        names = {name for name, _ in task.wanted}
        found = dict[str, NDArray[np.uint8]]()
        start = time.perf_counter()
        for name, (_, encoders) in self._input_specs.items():
            if names & encoders:
                shown = self._decoded.picture(task.sha256, self._rules[name])
                if shown is None:
                    return False
                found[name] = shown
        for name, shown in found.items():
            kept[name][task.sha256] = shown
        made.seconds["decoded before"] += time.perf_counter() - start
        made.counts["decoded before"] += 1
        return True

    def _take(
        self,
        task: PhotoTask,
        data: bytes,
        photo: Decoded,
        *,
        made: PreparedBatch,
        kept: Mapping[str, dict[str, NDArray[np.uint8]]],
        work: PictureWork,
    ) -> None:
        """Detect the faces of one photo, crop the pictures for its networks, and compute its features."""
        names = {name for name, _ in task.wanted}
        input_specs = {name: spec for name, (spec, encoders) in self._input_specs.items() if names & encoders}
        faces: list[Face] = []
        if photo.pixels is not None and (task.detect or any(spec.input == "face" for spec in input_specs.values())):
            with made.timed("faces"):
                try:
                    faces = self._detector(photo.pixels)
                except DetectorFailed as failed:
                    photo = replace(photo, status="detector_failed", detail=str(failed), pixels=None)
        factor = photo.width / photo.pixels.shape[1] if photo.pixels is not None else 1.0
        found = [face.scaled(factor) for face in faces]
        if task.detect:
            made.detections.append(
                DetectionResult(task.sha256, photo.status, photo.detail, photo.width, photo.height, found)
            )
        with made.timed("cut"):
            for name, spec in input_specs.items():
                shown = crop_for_encoder(spec, data, photo, [f for f in faces if f.confidence >= self._confidence])
                if shown is not None:
                    kept[name][task.sha256] = shown
        if task.features and photo.pixels is not None:
            known = found if task.faces is None else task.faces
            sure = [face.scaled(1 / factor) for face in known if face.confidence >= self._confidence]
            work.add(task.sha256, sorted(task.features), photo.pixels, (photo.width, photo.height), sure)


def crop_for_encoder(spec: InputSpec, data: bytes, photo: Decoded, faces: Sequence[Face]) -> NDArray[np.uint8] | None:
    """Crop the network's input, uint8 (size, size, 3); None without pixels, or for faces without exactly one face.

    Args:
        spec: input of the network.
        data: bytes of the photo's file.
        photo: decoded photo.
        faces: its faces above the confidence, in pixels of `photo.pixels`.
    """
    if photo.pixels is None:
        return None
    pixels = photo.pixels
    if spec.input == "photo":
        if spec.size > MIN_SIDE // 2 and pixels.shape[1] < photo.width:
            pixels = _whole(data, spec.size * 2)
        if spec.crop == "squashed":
            return resize(pixels, spec.size, spec.size)
        return center_crop(pixels, spec.size, spec.crop_pct)
    if len(faces) != 1:
        return None
    keypoints, rule = faces[0].keypoints, _RULES[spec.crop]
    if pixels.shape[1] < photo.width and shrinkage(keypoints, rule) < 1:
        # The photo was reduced while decoding, and its face is smaller than the chip.
        pixels = _whole(data, None)
        keypoints = faces[0].scaled(photo.width / photo.pixels.shape[1]).keypoints
    return chip(pixels, keypoints, rule)


def _whole(data: bytes, min_side: int | None) -> NDArray[np.uint8]:
    """Decode a valid photo again, at a larger size."""
    pixels = decode(data, min_side=min_side).pixels
    assert pixels is not None
    return pixels


def loader(layout: Layout) -> Callable[[str], bytes]:
    """Return a function from a digest to the bytes of the photo, which verifies the digest."""

    def load(digest: str) -> bytes:
        try:
            data = layout.photo(digest).read_bytes()
        except FileNotFoundError:
            raise StoreError(
                f"{layout.photo(digest)} is missing, although the warehouse lists it.",
                "the bytes of every photo whose status is ok",
                "features ingest photos FILE --images FOLDER",
            ) from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise StoreError(
                f"{layout.photo(digest)} is damaged: its bytes have changed.",
                "bytes with the SHA-256 that is their name",
                f"rm {layout.photo(digest)}, then features ingest photos FILE --images FOLDER",
            )
        return data

    return load
