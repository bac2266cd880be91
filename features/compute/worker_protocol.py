"""Both ends of a preprocessing process: its configuration, its connection, and the shared memory for pictures."""

from __future__ import annotations

import contextlib
import functools
import mmap
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import torch
from photogenic.features.compute.preprocess import PhotoTask, PreparedBatch, Preprocessor, loader
from photogenic.features.decoded.reader import DecodedPictures
from photogenic.features.encoders.base import InputSpec
from photogenic.features.faces.blazeface import BlazeFace
from photogenic.features.faces.detector import DetectorFailed, Face, detect_faces, refuse_detection
from photogenic.features.pictures.definition import PictureFeature
from photogenic.features.pictures.runner import Runner
from photogenic.warehouse import Layout, StoreError
from photogenic.warehouse.processes.child import Child, ChildDiedError
from photogenic.warehouse.user_modules import use_project_module

__all__ = ["WorkerConfig", "WorkerProcess", "picture_views", "serve"]

CALL = "photogenic.features.compute.worker_protocol:serve"


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """Configuration of a child process.

    Attributes:
        root: folder of the store.
        faces: the detector's model and threshold; None where no faces are looked for.
        input_specs: like those of `Preprocessor`.
        slots: file descriptors of shared memory, each of `width` bytes.
        features: features that are computed from pixels.
        confidence: lowest confidence of a face.
        project: `features.py` of the user's project.
        decoded: addresses of pictures that were decoded before.
    """

    root: Path
    faces: tuple[bytes, float] | None
    input_specs: dict[str, tuple[InputSpec, frozenset[str]]]
    slots: tuple[int, ...]
    width: int
    features: tuple[PictureFeature, ...] = ()
    confidence: float = 1.0
    project: Path | None = None
    decoded: tuple[str, ...] = ()


class WorkerProcess:
    """A child process and the connection to it; the next request after an unexpected end starts a new child."""

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._line, self.child = _start(config)
        self._ready = False

    def request(self, tasks: Sequence[PhotoTask], slot: int) -> Any:
        """Send tasks to the child and return its answer: digests with a `PreparedBatch`, or an exception.

        Raises:
            ChildDiedError: the child ended before its answer.
            StoreError: the child does not start.
        """
        if self._line.closed:
            self._line, self.child = _start(self._config)
            self._ready = False
        try:
            if not self._ready:
                self._ready = bool(self._line.recv())
            self._line.send((tasks, slot))
            return self._line.recv()
        except (EOFError, ConnectionError) as error:
            died = self._exit_error()
            if self._ready:
                raise died from error
            raise StoreError(
                f"A process that prepares photos does not start: {died}.",
                "enough memory for each of them, some 0.5 GB",
                "FEATURES_THREADS=4 features build",
            ) from error

    def _exit_error(self) -> ChildDiedError:
        self._line.close()
        died = self.child.exit_error()
        self.child.close()
        return died

    def close(self) -> None:
        if not self._line.closed:
            self._line.close()
            self.child.close()


def _start(config: WorkerConfig) -> tuple[Connection, Child]:
    """Start a child that waits for tasks, and return the connection to it."""
    ours, theirs = Pipe()
    # multiprocessing.Process would run the user's script again in each child.
    child = Child(CALL, [theirs.fileno(), *config.slots], {"CUDA_VISIBLE_DEVICES": ""})
    theirs.close()
    with contextlib.suppress(ConnectionError):  # the next `request` fails and reports it
        ours.send(config)
    return ours, child


def serve() -> None:
    """Answer requests in a child until the connection closes.

    `sys.argv` holds file descriptors: the connection to the parent, then the slots.
    """
    handles = [int(word) for word in sys.argv[1:]]

    for asked in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asked, signal.SIG_IGN)  # the parent receives it too, and closes the connection
    torch.set_num_threads(1)
    line = Connection(handles[0])
    with contextlib.suppress(EOFError, ConnectionError):
        config: WorkerConfig = line.recv()
        slots = [np.frombuffer(mmap.mmap(slot, config.width), np.uint8) for slot in config.slots]
        detect = refuse_detection
        if config.faces is not None:
            detect = functools.partial(_detect, BlazeFace(*config.faces))
        use_project_module(config.project)
        run = Runner()
        prepare = Preprocessor(
            loader(Layout(config.root)),
            detect,
            config.confidence,
            config.input_specs,
            features=config.features,
            run=run,
            decoded=DecodedPictures(config.decoded) if config.decoded else None,
        )
        line.send(True)
        while True:
            tasks, slot = line.recv()
            try:
                line.send(_copy_pictures(prepare(tasks), slots[slot], config.input_specs))
            except Exception as error:
                line.send(error)
    os._exit(0)  # mediapipe's finalizers fail when the interpreter ends


def _detect(detector: BlazeFace, pixels: NDArray[np.uint8]) -> list[Face]:
    try:
        return detect_faces(detector, pixels)
    except (RuntimeError, ValueError, TypeError) as error:  # raised by mediapipe; the parent detects an abort
        raise DetectorFailed(f"{type(error).__name__}: {error}"[:300]) from error


def _copy_pictures(
    prepared: PreparedBatch, memory: NDArray[np.uint8], input_specs: Mapping[str, tuple[InputSpec, frozenset[str]]]
) -> tuple[dict[str, list[str]], PreparedBatch]:
    """Copy the pictures into `memory`; return the digests by backbone, and the batch without pictures."""
    digests = {name: some for name, (some, _) in prepared.pictures.items()}
    for name, place in picture_views(memory, input_specs, digests):
        for at, shown in enumerate(prepared.pictures[name][1]):
            place[at] = shown
    return digests, PreparedBatch(
        prepared.detections, {}, prepared.features, dict(prepared.seconds), dict(prepared.counts)
    )


def picture_views(
    memory: NDArray[np.uint8],
    input_specs: Mapping[str, tuple[InputSpec, frozenset[str]]],
    digests: Mapping[str, Sequence[str]],
) -> list[tuple[str, NDArray[np.uint8]]]:
    """Views of `memory` for the pictures of each backbone: (name, uint8 (n, size, size, 3))."""
    found, start = [], 0
    for name, (spec, _) in input_specs.items():
        shape = (len(digests[name]), spec.size, spec.size, 3)
        end = start + int(np.prod(shape))
        found.append((name, memory[start:end].reshape(shape)))
        start = end
    return found
