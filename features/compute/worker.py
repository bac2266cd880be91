"""Preprocess and embed batches of photos, in parallel threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from photogenic.features.compute.preprocess import PhotoTask, Pictures, PreparedBatch
from photogenic.features.encoders.batch_embedder import Embedder
from photogenic.features.faces.detections import DetectionResult
from photogenic.features.pictures.work import FeatureRow

__all__ = ["Outcome", "Vectors", "Worker", "in_parallel"]

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Vectors:
    """Vectors of one encoder, one row per digest; of the mirror images where `flip` is set."""

    encoder: str
    flip: bool
    sha256s: list[str]
    X: NDArray[np.float32]


@dataclass(slots=True)
class Outcome:
    """Results of a batch of `n` photos; `seconds` of work and `counts` of photos by step."""

    n: int
    detections: list[DetectionResult]
    seconds: dict[str, float]
    counts: dict[str, int]
    vectors: list[Vectors] = field(default_factory=list)
    features: list[FeatureRow] = field(default_factory=list)


class Worker:
    """Compute outcomes from tasks. It is thread-safe.

    Args:
        prepare: function from tasks to the input of the networks.
        embedders: one embedder per backbone.
    """

    def __init__(self, prepare: Callable[[Sequence[PhotoTask]], PreparedBatch], embedders: Sequence[Embedder]) -> None:
        self._prepare, self._embedders = prepare, tuple(embedders)

    def __call__(self, tasks: Sequence[PhotoTask]) -> Outcome:
        prepared = self._prepare(tasks)
        outcome = Outcome(
            len(tasks), prepared.detections, prepared.seconds, prepared.counts, features=list(prepared.features)
        )
        try:
            for embedder in self._embedders:
                shown = prepared.pictures[embedder.backbone.name]
                for flip in (False, True):
                    _embed(embedder, tasks, *shown, outcome, flip=flip)
        finally:
            prepared.done()
        return outcome


def _embed(
    embedder: Embedder,
    tasks: Sequence[PhotoTask],
    digests: Sequence[str],
    pictures: Pictures,
    outcome: Outcome,
    *,
    flip: bool,
) -> None:
    """Compute the wanted vectors of one backbone's layers, for the pictures or their mirror images."""
    wanted_of = {task.sha256: task.wanted for task in tasks}
    wanted = {
        e.name: [at for at, digest in enumerate(digests) if (e.name, flip) in wanted_of[digest]]
        for e in embedder.encoders
    }
    rows = sorted({at for some in wanted.values() for at in some})
    if not rows:
        return
    start = time.perf_counter()
    shown = pictures if len(rows) == len(digests) else [pictures[at] for at in rows]
    vectors = embedder(shown, flip=flip)
    name = embedder.backbone.name
    outcome.seconds[name] = outcome.seconds.get(name, 0.0) + time.perf_counter() - start
    outcome.counts[name] = outcome.counts.get(name, 0) + len(rows)
    place = {at: row for row, at in enumerate(rows)}
    for encoder, some in wanted.items():
        if some:
            X = vectors[encoder][[place[at] for at in some]]
            outcome.vectors.append(Vectors(encoder, flip, [digests[at] for at in some], X))


def in_parallel(work: Callable[[T], R], batches: Iterable[T], n_threads: int) -> Iterator[R]:
    """Yield results as they are ready; at most two batches per thread are in progress or wait to be consumed."""
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
