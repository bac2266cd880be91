"""One process that prepares photos, as both ends see it: its task, the line to it, the memory it leaves pictures in."""

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
from photogenic.features.encoders.base import InputSpec
from photogenic.features.faces.blazeface import BlazeFace
from photogenic.features.faces.detector import DetectorFailed, Face, looked, nobody
from photogenic.warehouse import Layout, StoreError
from photogenic.warehouse.processes.child import Child, ChildDiedError

__all__ = ["Line", "WorkerConfig", "laid_out", "serve"]

CALL = "photogenic.features.compute.worker_protocol:serve"


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """What a child is to do for as long as it lives.

    Attributes:
        root: of the store.
        faces: the detector's model and floor, and the confidence that counts; None: nobody will ask for faces.
        input_specs: as of a `Preprocessor`.
        slots: file descriptors of shared memory, each of `width` bytes.
    """

    root: Path
    faces: tuple[bytes, float, float] | None
    input_specs: dict[str, tuple[InputSpec, frozenset[str]]]
    slots: tuple[int, ...]
    width: int


class Line:
    """A child and the line to it; a child that died is followed by another at the next task."""

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._line, self.child = _start(config)
        self._ready = False

    def ask(self, tasks: Sequence[PhotoTask], slot: int) -> Any:
        """What `serve` answers.

        Raises:
            ChildDiedError: it ended before its answer.
            StoreError: it does not start.
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
            died = self._died()
            if self._ready:
                raise died from error
            raise StoreError(
                f"A process that prepares photos does not start: {died}.",
                "enough memory for each of them, some 0.5 GB",
                "FEATURES_THREADS=4 features build",
            ) from error

    def _died(self) -> ChildDiedError:
        self._line.close()
        died = self.child.exit_error()
        self.child.close()
        return died

    def close(self) -> None:
        if not self._line.closed:
            self._line.close()
            self.child.close()


def _start(config: WorkerConfig) -> tuple[Connection, Child]:
    """A child that waits for tasks, and the line to it."""
    ours, theirs = Pipe()
    # Not multiprocessing's own: that would run the user's script again in each child.
    child = Child(CALL, [theirs.fileno(), *config.slots], {"CUDA_VISIBLE_DEVICES": ""})
    theirs.close()
    with contextlib.suppress(ConnectionError):  # `ask` hears of it
        ours.send(config)
    return ours, child


def serve() -> None:
    """What a child does: answer until the line breaks.

    In `sys.argv` it finds file descriptors: the line to the parent, then the slots.
    """
    handles = [int(word) for word in sys.argv[1:]]

    for asked in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asked, signal.SIG_IGN)  # the parent hears of it, and ends the line
    torch.set_num_threads(1)
    line = Connection(handles[0])
    with contextlib.suppress(EOFError, ConnectionError):
        config: WorkerConfig = line.recv()
        slots = [np.frombuffer(mmap.mmap(slot, config.width), np.uint8) for slot in config.slots]
        detect, confidence = nobody, 1.0
        if config.faces is not None:
            model, floor, confidence = config.faces
            detect = functools.partial(_seen, BlazeFace(model, floor))
        prepare = Preprocessor(loader(Layout(config.root)), detect, confidence, config.input_specs)
        line.send(True)
        while True:
            tasks, slot = line.recv()
            try:
                line.send(_handed_over(prepare(tasks), slots[slot], config.input_specs))
            except Exception as error:
                line.send(error)
    os._exit(0)  # mediapipe's finalisers fail when the interpreter ends


def _seen(detector: BlazeFace, pixels: NDArray[np.uint8]) -> list[Face]:
    try:
        return looked(detector, pixels)
    except (RuntimeError, ValueError, TypeError) as error:  # of mediapipe; where it aborts, the parent hears of that
        raise DetectorFailed(f"{type(error).__name__}: {error}"[:300]) from error


def _handed_over(
    prepared: PreparedBatch, memory: NDArray[np.uint8], input_specs: Mapping[str, tuple[InputSpec, frozenset[str]]]
) -> tuple[dict[str, list[str]], PreparedBatch]:
    """The digests of each backbone, and all but the pictures: these go into `memory`."""
    digests = {name: some for name, (some, _) in prepared.pictures.items()}
    for name, place in laid_out(memory, input_specs, digests):
        for at, shown in enumerate(prepared.pictures[name][1]):
            place[at] = shown
    return digests, PreparedBatch(prepared.detections, {}, dict(prepared.seconds), dict(prepared.counts))


def laid_out(
    memory: NDArray[np.uint8],
    input_specs: Mapping[str, tuple[InputSpec, frozenset[str]]],
    digests: Mapping[str, Sequence[str]],
) -> list[tuple[str, NDArray[np.uint8]]]:
    """By backbone, the part of `memory` that holds its pictures: (n, size, size, 3)."""
    found, start = [], 0
    for name, (spec, _) in input_specs.items():
        shape = (len(digests[name]), spec.size, spec.size, 3)
        end = start + int(np.prod(shape))
        found.append((name, memory[start:end].reshape(shape)))
        start = end
    return found
