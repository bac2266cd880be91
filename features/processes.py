"""Preparation in processes of its own: past a few cores, threads of one Python wait for each other.

Each child reads, decodes, finds faces and cuts, and leaves the pictures in memory that it shares with this process,
where the networks are. That memory belongs to no file: whoever is killed, nothing of it stays. A child ends with
its parent, because the line between them breaks.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from features.backbones import Cut
from features.embedder import cuts as cuts_of
from features.faces import Detector, Face, FaceSettings
from features.preparation import BATCH, Order, Prepared, Preparer, loader
from warehouse import Layout, StoreError, child

if TYPE_CHECKING:
    from types import TracebackType

    from features.device import Device
    from features.embedder import Embedder

__all__ = ["Processes", "main", "preparing"]

FROM_THREADS = 5
"""On fewer cores threads hardly wait for each other, and start at once."""

WORTH = 100
"""Photos per process that make up for its start, some two seconds."""

_Look = Callable[[NDArray[np.uint8]], list[Face]]


@dataclass(frozen=True, slots=True)
class _Task:
    """What a child is to do for as long as it lives. `slots`: file descriptors of shared memory, each `width` bytes."""

    root: Path
    faces: FaceSettings | None
    cuts: dict[str, tuple[Cut, frozenset[str]]]
    slots: tuple[int, ...]
    width: int


@contextlib.contextmanager
def preparing(
    layout: Layout, faces: FaceSettings | None, networks: Sequence[Embedder], device: Device, *, n: int, n_threads: int
) -> Iterator[tuple[Callable[[Sequence[Order]], Prepared], int]]:
    """What prepares photos for these networks, by as many cores, and how many threads should call it.

    Args:
        layout: the store.
        faces: the detector and the confidence that counts; None: nobody will ask for faces.
        networks: one embedder per backbone.
        device: where they are.
        n: photos that will come.
        n_threads: cores to use.
    """
    wanted = cuts_of(networks)
    if n_threads < FROM_THREADS or n < WORTH * n_threads or not hasattr(os, "memfd_create"):
        with _looking(faces, n_threads) as (detector, confidence):
            yield Preparer(loader(layout), detector, confidence, wanted, device), n_threads
        return
    # Those that wait for a network should leave no process without an order.
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
        yield _nobody, 1.0
        return
    with Detector(faces, n) as detector:
        yield detector, faces.confidence


def _nobody(_: NDArray[np.uint8]) -> list[Face]:
    raise AssertionError("an encoder of whole photos asked for faces")


class Processes:
    """`Preparer`, in other processes. Call it from any thread; close it, or use it in a `with`.

    Args:
        layout: the store.
        faces: the detector and the confidence that counts; None: nobody will ask for faces.
        cuts: as of a `Preparer`.
        batch: photos in a batch, at most.
        n: how many processes.
        n_slots: batches whose pictures are there at a time: one per thread that calls.
    """

    def __init__(
        self,
        layout: Layout,
        faces: FaceSettings | None,
        cuts: Mapping[str, tuple[Cut, frozenset[str]]],
        *,
        batch: int,
        n: int,
        n_slots: int,
    ) -> None:
        self._cuts = dict(cuts)
        width = max(batch * sum(cut.size**2 * 3 for cut, _ in cuts.values()), 1)
        handles = [os.memfd_create("photogenic") for _ in range(n_slots)]
        for handle in handles:
            os.truncate(handle, width)
        self._slots = [np.frombuffer(mmap.mmap(handle, width), np.uint8) for handle in handles]
        self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
        for slot in range(n_slots):
            self._free.put(slot)
        task = _Task(layout.root.absolute(), faces, self._cuts, tuple(handles), width)
        self._all = [_start(task) for _ in range(n)]
        self._idle: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        for line, _ in self._all:
            self._idle.put(line)
        for handle in handles:
            os.close(handle)

    def __call__(self, orders: Sequence[Order]) -> Prepared:
        """The pictures lie in a slot until `done` of the answer is called.

        Raises:
            StoreError: a photo's bytes are not there or damaged; a process ended.
        """
        slot, line = self._free.get(), self._idle.get()
        try:
            line.send((orders, slot))
            answer = line.recv()
        except (EOFError, ConnectionError) as error:
            self._free.put(slot)
            self._idle.put(line)  # so that nobody waits for it: they hear of it too
            raise StoreError(
                "A process that prepares photos ended before its work was done.",
                "enough memory for each of them, some 0.5 GB",
                "FEATURES_THREADS=4 features build goes on where this stopped",
            ) from error
        self._idle.put(line)
        if isinstance(answer, Exception):
            self._free.put(slot)
            raise answer
        prepared: Prepared
        digests, prepared = answer
        shown = _laid_out(self._slots[slot], self._cuts, digests)
        pictures = {name: (digests[name], some) for name, some in shown}
        return replace(prepared, pictures=pictures, done=lambda: self._free.put(slot))

    def close(self) -> None:
        """End them; what they were at is lost."""
        for line, _ in self._all:
            line.close()
        for _, process in self._all:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _start(task: _Task) -> tuple[Connection, subprocess.Popen[bytes]]:
    """A child that waits for orders, and the line to it."""
    ours, theirs = Pipe()
    # Not multiprocessing's own: that would run the user's script again in each child.
    process = subprocess.Popen(
        child.python("features.processes:main", str(theirs.fileno()), of_user=True),
        pass_fds=(theirs.fileno(), *task.slots),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=child.environment(CUDA_VISIBLE_DEVICES=""),
    )
    theirs.close()
    ours.send(task)
    return ours, process


def main() -> None:
    """What a child does: answer until the line breaks. Argument: file descriptor of the line to the parent."""
    import torch

    for asked in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asked, signal.SIG_IGN)  # the parent hears of it, and ends the line
    torch.set_num_threads(1)
    line = Connection(int(sys.argv[1]))
    with contextlib.suppress(EOFError, ConnectionError):
        task: _Task = line.recv()
        slots = [np.frombuffer(mmap.mmap(slot, task.width), np.uint8) for slot in task.slots]
        with _looking(task.faces) as (detector, confidence):
            prepare = Preparer(loader(Layout(task.root)), detector, confidence, task.cuts)
            while True:
                orders, slot = line.recv()
                try:
                    line.send(_handed_over(prepare(orders), slots[slot], task.cuts))
                except Exception as error:
                    line.send(error)


def _handed_over(
    prepared: Prepared, memory: NDArray[np.uint8], cuts: Mapping[str, tuple[Cut, frozenset[str]]]
) -> tuple[dict[str, list[str]], Prepared]:
    """The digests of each backbone, and all but the pictures: these go into `memory`."""
    digests = {name: some for name, (some, _) in prepared.pictures.items()}
    for name, place in _laid_out(memory, cuts, digests):
        for at, shown in enumerate(prepared.pictures[name][1]):
            place[at] = shown
    return digests, Prepared(prepared.sightings, {}, dict(prepared.seconds), dict(prepared.counts))


def _laid_out(
    memory: NDArray[np.uint8], cuts: Mapping[str, tuple[Cut, frozenset[str]]], digests: Mapping[str, Sequence[str]]
) -> list[tuple[str, NDArray[np.uint8]]]:
    """By backbone, the part of `memory` that holds its pictures: (n, size, size, 3)."""
    found, start = [], 0
    for name, (cut, _) in cuts.items():
        shape = (len(digests[name]), cut.size, cut.size, 3)
        end = start + int(np.prod(shape))
        found.append((name, memory[start:end].reshape(shape)))
        start = end
    return found
