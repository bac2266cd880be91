"""Preprocess photos in child processes, because threads of one Python process slow each other down on many cores.

Each child reads, decodes, detects faces and crops, and writes the pictures to memory that it shares with this process,
which runs the networks. The shared memory has no file, so nothing is left over after a kill. A child ends with its
parent, because the connection closes. If a child ends unexpectedly, another one processes the batch photo by photo,
and a photo that ends its process again gets the status detector_failed.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photogenic.features.compute.preprocess import BATCH, PhotoTask, PreparedBatch, Preprocessor, loader
from photogenic.features.compute.worker_protocol import WorkerConfig, WorkerProcess, picture_views
from photogenic.features.decoded.reader import opened_pictures
from photogenic.features.encoders import weights
from photogenic.features.encoders.base import InputSpec
from photogenic.features.encoders.batch_embedder import Embedder, input_specs
from photogenic.features.encoders.device import Device
from photogenic.features.faces.detections import DetectionResult
from photogenic.features.faces.detector import Detector, Face, FaceSettings, refuse_detection, require_libraries
from photogenic.features.pictures.definition import PictureFeature
from photogenic.features.pictures.runner import Runner, for_other_processes, is_importable
from photogenic.features.pictures.work import failed_rows
from photogenic.warehouse import Layout, StoreError
from photogenic.warehouse.closing import Closing
from photogenic.warehouse.processes.child import ChildDiedError
from photogenic.warehouse.processes.shared_memory import shared_memory
from photogenic.warehouse.user_modules import project_module

__all__ = ["PreprocessorPool", "open_preprocessor"]

FROM_THREADS = 5
"""Number of cores from which processes are used; on fewer, threads are as fast and start at once."""

LEAST_PHOTOS = 100
"""Photos per process from which its start, about two seconds, pays off."""


@contextlib.contextmanager
def open_preprocessor(
    layout: Layout,
    faces: FaceSettings | None,
    networks: Sequence[Embedder],
    device: Device,
    *,
    n: int,
    n_threads: int,
    features: Sequence[PictureFeature] = (),
    detects: bool = True,
    decoded: Sequence[str] = (),
) -> Iterator[tuple[Callable[[Sequence[PhotoTask]], PreparedBatch], int]]:
    """Open a preprocessor for these networks, in threads or processes, with the number of threads that should call it.

    Args:
        layout: the store.
        faces: options of the face detector; None for encoders of whole photos.
        networks: one embedder per backbone.
        device: device of the networks.
        n: number of photos.
        n_threads: number of cores to use.
        features: features to compute from pixels.
        detects: whether any photo is looked at for faces.
        decoded: addresses of pictures that were decoded before (features/decoded).

    Raises:
        InputError: an address has no pictures for these networks.
        StoreError: the pictures are damaged, or were made by other versions of the decoders.
    """
    wanted, confidence = input_specs(networks), 1.0 if faces is None else faces.confidence
    few = n_threads < FROM_THREADS or n < LEAST_PHOTOS * n_threads
    if few or not hasattr(os, "memfd_create") or not all(map(is_importable, features)):
        with (
            _open_detector(faces if detects else None, n_threads) as detector,
            Runner() as run,
            opened_pictures(decoded) as pictures,
        ):
            load = loader(layout)
            yield (
                Preprocessor(
                    *(load, detector, confidence, wanted, device), features=features, run=run, decoded=pictures
                ),
                n_threads,
            )
        return
    # More callers than processes, so that every process has a task while some callers wait for a network.
    n_callers = n_threads + (2 * len(networks) if device.is_gpu else n_threads)
    batch = max(device.batch, BATCH)
    with PreprocessorPool(
        *(layout, faces, wanted),
        batch=batch,
        n=n_threads,
        n_slots=n_callers,
        features=features,
        detects=detects,
        decoded=decoded,
    ) as prepare:
        yield prepare, n_callers


@contextlib.contextmanager
def _open_detector(faces: FaceSettings | None, n: int = 1) -> Iterator[Callable[[NDArray[np.uint8]], list[Face]]]:
    """Open the face detector; without `faces`, a placeholder that needs no mediapipe."""
    if faces is None:
        yield refuse_detection
        return
    with Detector(faces, n) as detector:
        yield detector


class PreprocessorPool(Closing):
    """`Preprocessor` in child processes. It is thread-safe. Close it, or use it in a `with`.

    Args:
        layout: paths of the store.
        faces: options of the face detector; None for encoders of whole photos.
        input_specs: like those of `Preprocessor`.
        batch: largest number of photos in a batch.
        n: number of processes.
        n_slots: number of batches in shared memory: one per calling thread.
        features: features to compute from pixels.
        detects: whether any photo is looked at for faces.
        decoded: addresses of pictures that were decoded before.
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
        features: Sequence[PictureFeature] = (),
        detects: bool = True,
        decoded: Sequence[str] = (),
    ) -> None:
        detector_setup = None
        if faces is not None and detects:
            require_libraries()
            detector_setup = weights.resolve(faces.weights).read_bytes(), faces.floor
        self._input_specs = dict(input_specs)
        self._features = {feature.name: feature for feature in features}
        width = max(batch * sum(spec.size**2 * 3 for spec, _ in input_specs.values()), 1)
        self._handles = [shared_memory(width) for _ in range(n_slots)]
        self._slots = [np.frombuffer(mmap.mmap(handle, width), np.uint8) for handle in self._handles]
        self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
        for slot in range(n_slots):
            self._free.put(slot)
        config = WorkerConfig(
            layout.root.absolute(),
            detector_setup,
            self._input_specs,
            tuple(self._handles),
            width,
            for_other_processes(features),
            1.0 if faces is None else faces.confidence,
            project_module(),
            tuple(decoded),
        )
        self._all = [WorkerProcess(config) for _ in range(n)]
        self._idle: queue.SimpleQueue[WorkerProcess] = queue.SimpleQueue()
        for process in self._all:
            self._idle.put(process)

    def __call__(self, tasks: Sequence[PhotoTask]) -> PreparedBatch:
        """Preprocess a batch. Its pictures occupy a slot of shared memory until `done` is called.

        Raises:
            StoreError: a photo's bytes are missing or damaged, or the system killed a process twice.
        """
        slot, process = self._free.get(), self._idle.get()
        try:
            answer = process.request(tasks, slot)
        except ChildDiedError:
            answer = None
            self._free.put(slot)
        finally:
            self._idle.put(process)
        return self._one_by_one(tasks) if answer is None else self._with_pictures(answer, slot)

    def _one_by_one(self, tasks: Sequence[PhotoTask]) -> PreparedBatch:
        """Process each photo of a batch on its own, after the batch ended a process."""
        made = PreparedBatch()
        kept: dict[str, tuple[list[str], list[NDArray[np.uint8]]]] = {name: ([], []) for name in self._input_specs}
        for task in tasks:
            one = self._process_one(task)
            made.detections += one.detections
            made.features += one.features
            for name, (digests, pictures) in one.pictures.items():
                kept[name][0].extend(digests)
                kept[name][1].extend(np.array(shown) for shown in pictures)
            for step, spent in one.seconds.items():
                made.seconds[step] += spent
                made.counts[step] += one.counts[step]
            one.done()
        made.pictures = kept
        return made

    def _process_one(self, task: PhotoTask) -> PreparedBatch:
        slot, process = self._free.get(), self._idle.get()
        try:
            answer = process.request([task], slot)
        except ChildDiedError as error:
            self._free.put(slot)
            if error.killed:
                raise StoreError(
                    "A process that prepares photos was killed twice before its work was done.",
                    "enough memory for each of them, some 0.5 GB",
                    "FEATURES_THREADS=4 features build, which continues where this build stopped",
                ) from error
            if task.detect:
                return PreparedBatch([DetectionResult(task.sha256, "detector_failed", str(error), 0, 0, [])])
            wanted = [self._features[name] for name in sorted(task.features)]
            return PreparedBatch(features=failed_rows(wanted, task.sha256, "killed", str(error)))
        finally:
            self._idle.put(process)
        return self._with_pictures(answer, slot)

    def _with_pictures(self, answer: Any, slot: int) -> PreparedBatch:
        """The batch of an answer, with its pictures in the slot."""
        if isinstance(answer, Exception):
            self._free.put(slot)
            raise answer
        prepared: PreparedBatch
        digests, prepared = answer
        shown = picture_views(self._slots[slot], self._input_specs, digests)
        pictures = {name: (digests[name], some) for name, some in shown}
        return replace(prepared, pictures=pictures, done=lambda: self._free.put(slot))

    def close(self) -> None:
        """End the processes; unfinished batches are lost."""
        for process in self._all:
            process.close()
        while self._handles:
            os.close(self._handles.pop())
