"""A batch of photos through every step: decode, find faces, cut, embed. And the threads that do this side by side."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from features.align import DLIB, FACENET, ChipRule, chip, shrinkage
from features.decode import MIN_SIDE, Decoded, decode
from features.device import CPU, Device
from features.embedder import Embedder
from features.encoders import Backbone
from features.faces import Face
from features.jpeg import decoded
from features.resize import centre
from features.sightings import Sighting

__all__ = ["Order", "Outcome", "Vectors", "Worker", "in_parallel", "picture"]

T = TypeVar("T")
R = TypeVar("R")

_RULES: Mapping[str, ChipRule] = {"dlib": DLIB, "facenet": FACENET}


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted of one photo.

    Attributes:
        look: whether its faces are unknown yet.
        wanted: (encoder, flip) pairs to compute.
    """

    sha256: str
    look: bool
    wanted: frozenset[tuple[str, bool]]


@dataclass(frozen=True, slots=True)
class Vectors:
    """Of one encoder, one row per digest; `flip`: of the mirror images."""

    encoder: str
    flip: bool
    sha256s: list[str]
    X: NDArray[np.float32]


@dataclass(slots=True)
class Outcome:
    """What came of a batch. `seconds`, and `counts` of photos: by step."""

    n: int
    sightings: list[Sighting] = field(default_factory=list)
    vectors: list[Vectors] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @contextlib.contextmanager
    def timed(self, step: str, n: int = 1) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[step] += time.perf_counter() - start
        self.counts[step] += n


class Worker:
    """Turns orders into outcomes; any number of threads may call it.

    Args:
        load: digest -> bytes of the photo.
        detector: finds faces.
        confidence: faces below do not count.
        embedders: one per backbone.
        device: where they are, and where photos are decoded if it can do that.
    """

    def __init__(
        self,
        load: Callable[[str], bytes],
        detector: Callable[[NDArray[np.uint8]], list[Face]],
        confidence: float,
        embedders: Sequence[Embedder],
        device: Device = CPU,
    ) -> None:
        self._load, self._detector, self._confidence = load, detector, confidence
        self._embedders, self._device = tuple(embedders), device

    def __call__(self, orders: Sequence[Order]) -> Outcome:
        outcome = Outcome(len(orders))
        # Only the small pictures are kept: the photos themselves live one at a time.
        pictures: dict[str, dict[str, NDArray[np.uint8]]] = {e.backbone.name: {} for e in self._embedders}
        photos = decoded((self._load(order.sha256) for order in orders), self._device)
        for order in orders:
            with outcome.timed("decode"):
                data, photo = next(photos)
            self._take(order, data, photo, outcome, pictures)
        for embedder in self._embedders:
            cut = pictures[embedder.backbone.name]
            for flip in (False, True):
                self._embed(embedder, flip, orders, cut, outcome)
        return outcome

    def _take(
        self,
        order: Order,
        data: bytes,
        photo: Decoded,
        outcome: Outcome,
        pictures: dict[str, dict[str, NDArray[np.uint8]]],
    ) -> None:
        """Look for one photo's faces, cut the pictures that its networks want."""
        names = {name for name, _ in order.wanted}
        embedders = [e for e in self._embedders if names & {encoder.name for encoder in e.encoders}]
        faces: list[Face] = []
        if photo.pixels is not None and (order.look or any(e.backbone.input == "face" for e in embedders)):
            with outcome.timed("faces"):
                faces = self._detector(photo.pixels)
        if order.look:
            factor = photo.width / photo.pixels.shape[1] if photo.pixels is not None else 1.0
            found = [face.scaled(factor) for face in faces]
            outcome.sightings.append(
                Sighting(order.sha256, photo.status, photo.detail, photo.width, photo.height, found)
            )
        with outcome.timed("cut"):
            for embedder in embedders:
                cut = picture(embedder.backbone, data, photo, [f for f in faces if f.confidence >= self._confidence])
                if cut is not None:
                    pictures[embedder.backbone.name][order.sha256] = cut

    def _embed(
        self,
        embedder: Embedder,
        flip: bool,
        orders: Sequence[Order],
        pictures: Mapping[str, NDArray[np.uint8]],
        outcome: Outcome,
    ) -> None:
        wanted = {
            e.name: [o.sha256 for o in orders if (e.name, flip) in o.wanted and o.sha256 in pictures]
            for e in embedder.encoders
        }
        digests = list(dict.fromkeys(digest for some in wanted.values() for digest in some))
        if not digests:
            return
        with outcome.timed(embedder.backbone.name, len(digests)):
            vectors = embedder([pictures[digest] for digest in digests], flip=flip)
        place = {digest: at for at, digest in enumerate(digests)}
        for name, some in wanted.items():
            if some:
                rows = vectors[name][[place[digest] for digest in some]]
                outcome.vectors.append(Vectors(name, flip, some, rows))


def picture(backbone: Backbone, data: bytes, photo: Decoded, faces: Sequence[Face]) -> NDArray[np.uint8] | None:
    """What the network is shown, uint8 (size, size, 3); None without pixels, or without the one face it wants.

    Args:
        backbone: the network.
        data: the photo's file.
        photo: as decoded.
        faces: those that count, in `photo.pixels`.
    """
    if photo.pixels is None:
        return None
    pixels = photo.pixels
    if backbone.input == "photo":
        if backbone.size > MIN_SIDE // 2 and pixels.shape[1] < photo.width:
            pixels = _whole(data, backbone.size * 2)
        return centre(pixels, backbone.size, backbone.share)
    if len(faces) != 1:
        return None
    keypoints, rule = faces[0].keypoints, _RULES[backbone.crop]
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


def in_parallel(work: Callable[[T], R], batches: Iterable[T], n_threads: int) -> Iterator[R]:
    """Results in the order they are ready; at most two batches per thread are under way or waiting to be taken."""
    with ThreadPoolExecutor(n_threads, thread_name_prefix="features") as pool:
        pending: set[Future[R]] = set()
        try:
            for batch in batches:
                pending.add(pool.submit(work, batch))
                if len(pending) >= 2 * n_threads:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield future.result()
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            for future in pending:
                future.cancel()
