"""Preparation in processes of its own: past a few cores, threads of one Python wait for each other.

Each child reads, decodes, finds faces and cuts, and leaves the pictures in memory that it shares with this process,
where the networks are. That memory belongs to no file: whoever is killed, nothing of it stays. A child ends with
its parent, because the line between them breaks. Where a child dies of a photo, another one takes the batch photo by
photo, and the one that it dies of again gets that as its status.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photogenic.features.compute.preprocess import BATCH, PhotoTask, PreparedBatch, Preprocessor, loader
from photogenic.features.compute.worker_protocol import Line, WorkerConfig, laid_out
from photogenic.features.encoders import weights
from photogenic.features.encoders.base import InputSpec
from photogenic.features.encoders.batch_embedder import Embedder, input_specs
from photogenic.features.encoders.device import Device
from photogenic.features.faces.detections import DetectionResult
from photogenic.features.faces.detector import Detector, Face, FaceSettings, nobody, require_libraries
from photogenic.warehouse import Layout, StoreError
from photogenic.warehouse.processes.child import ChildDiedError
from photogenic.warehouse.processes.shared_memory import shared_memory

__all__ = ["Processes", "preparing"]

FROM_THREADS = 5
"""On fewer cores threads hardly wait for each other, and start at once."""

WORTH = 100
"""Photos per process that make up for its start, some two seconds."""


@contextlib.contextmanager
def preparing(
    layout: Layout, faces: FaceSettings | None, networks: Sequence[Embedder], device: Device, *, n: int, n_threads: int
) -> Iterator[tuple[Callable[[Sequence[PhotoTask]], PreparedBatch], int]]:
    """What prepares photos for these networks, by as many cores, and how many threads should call it.

    Args:
        layout: the store.
        faces: the detector and the confidence that counts; None: nobody will ask for faces.
        networks: one embedder per backbone.
        device: where they are.
        n: photos that will come.
        n_threads: cores to use.
    """
    wanted = input_specs(networks)
    if n_threads < FROM_THREADS or n < WORTH * n_threads or not hasattr(os, "memfd_create"):
        with _looking(faces, n_threads) as (detector, confidence):
            yield Preprocessor(loader(layout), detector, confidence, wanted, device), n_threads
        return
    # Those that wait for a network should leave no process without a task.
    n_callers = n_threads + (2 * len(networks) if device.is_gpu else n_threads)
    batch = max(device.batch, BATCH)
    with Processes(layout, faces, wanted, batch=batch, n=n_threads, n_slots=n_callers) as prepare:
        yield prepare, n_callers


@contextlib.contextmanager
def _looking(
    faces: FaceSettings | None, n: int = 1
) -> Iterator[tuple[Callable[[NDArray[np.uint8]], list[Face]], float]]:
    """The detector and the confidence that counts; one that is never to be asked needs no mediapipe."""
    if faces is None:
        yield nobody, 1.0
        return
    with Detector(faces, n) as detector:
        yield detector, faces.confidence


class Processes:
    """`Preprocessor`, in other processes. Call it from any thread; close it, or use it in a `with`.

    Args:
        layout: the store.
        faces: the detector and the confidence that counts; None: nobody will ask for faces.
        input_specs: as of a `Preprocessor`.
        batch: photos in a batch, at most.
        n: how many processes.
        n_slots: batches whose pictures are there at a time: one per thread that calls.
    """

    def __init__(
        self,
        layout: Layout,
        faces: FaceSettings | None,
        input_specs: Mapping[str, tuple[InputSpec, frozenset[str]]],
        *,
        batch: int,
        n: int,
        n_slots: int,
    ) -> None:
        found = None
        if faces is not None:
            require_libraries()
            found = weights.resolve(faces.weights).read_bytes(), faces.floor, faces.confidence
        self._input_specs = dict(input_specs)
        width = max(batch * sum(spec.size**2 * 3 for spec, _ in input_specs.values()), 1)
        self._handles = [shared_memory(width) for _ in range(n_slots)]
        self._slots = [np.frombuffer(mmap.mmap(handle, width), np.uint8) for handle in self._handles]
        self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
        for slot in range(n_slots):
            self._free.put(slot)
        config = WorkerConfig(layout.root.absolute(), found, self._input_specs, tuple(self._handles), width)
        self._all = [Line(config) for _ in range(n)]
        self._idle: queue.SimpleQueue[Line] = queue.SimpleQueue()
        for line in self._all:
            self._idle.put(line)

    def __call__(self, tasks: Sequence[PhotoTask]) -> PreparedBatch:
        """The pictures lie in a slot until `done` of the answer is called.

        Raises:
            StoreError: a photo's bytes are not there or damaged; the system ended a process, for want of memory.
        """
        slot, line = self._free.get(), self._idle.get()
        try:
            answer = line.ask(tasks, slot)
        except ChildDiedError:
            answer = None
            self._free.put(slot)
        finally:
            self._idle.put(line)
        return self._one_by_one(tasks) if answer is None else self._taken(answer, slot)

    def _one_by_one(self, tasks: Sequence[PhotoTask]) -> PreparedBatch:
        """A batch of which a process died."""
        made = PreparedBatch()
        kept: dict[str, tuple[list[str], list[NDArray[np.uint8]]]] = {name: ([], []) for name in self._input_specs}
        for task in tasks:
            one = self._alone(task)
            made.detections += one.detections
            for name, (digests, pictures) in one.pictures.items():
                kept[name][0].extend(digests)
                kept[name][1].extend(np.array(shown) for shown in pictures)
            for step, spent in one.seconds.items():
                made.seconds[step] += spent
                made.counts[step] += one.counts[step]
            one.done()
        made.pictures = kept
        return made

    def _alone(self, task: PhotoTask) -> PreparedBatch:
        slot, line = self._free.get(), self._idle.get()
        try:
            answer = line.ask([task], slot)
        except ChildDiedError as died:
            self._free.put(slot)
            if died.killed:
                raise StoreError(
                    "A process that prepares photos was killed before its work was done, twice.",
                    "enough memory for each of them, some 0.5 GB",
                    "FEATURES_THREADS=4 features build goes on where this stopped",
                ) from died
            return PreparedBatch(
                [DetectionResult(task.sha256, "detector_failed", str(died), 0, 0, [])] if task.look else []
            )
        finally:
            self._idle.put(line)
        return self._taken(answer, slot)

    def _taken(self, answer: Any, slot: int) -> PreparedBatch:
        """An answer with the pictures in its slot."""
        if isinstance(answer, Exception):
            self._free.put(slot)
            raise answer
        prepared: PreparedBatch
        digests, prepared = answer
        shown = laid_out(self._slots[slot], self._input_specs, digests)
        pictures = {name: (digests[name], some) for name, some in shown}
        return replace(prepared, pictures=pictures, done=lambda: self._free.put(slot))

    def close(self) -> None:
        """End them; what they were at is lost."""
        for line in self._all:
            line.close()
        while self._handles:
            os.close(self._handles.pop())

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
