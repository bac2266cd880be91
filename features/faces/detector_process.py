"""Client of the face detection process: its connections, and the shared memory that passes pictures to it."""

from __future__ import annotations

import mmap
import os
import queue
from multiprocessing.connection import Connection, Pipe

import numpy as np
from numpy.typing import NDArray

from photogenic.features.faces.blazeface import Box
from photogenic.warehouse import MissingPartError
from photogenic.warehouse.processes.child import Child
from photogenic.warehouse.processes.shared_memory import shared_memory

__all__ = ["DetectorProcess"]

CALL = "photogenic.features.faces.blazeface:serve"

_KEPT_BYTES = 1 << 26
"""Bytes of shared memory that a connection keeps after a picture; memory of larger pictures is released."""


class DetectorProcess:
    """A face detection process that `n` threads may call at once, until it ends.

    Args:
        setup: arguments of `BlazeFace`.
        n: number of connections.

    Raises:
        MissingPartError: the process does not start.
    """

    def __init__(self, setup: tuple[bytes, float], n: int) -> None:
        pairs = [Pipe() for _ in range(n)]
        slots = [_Slot(ours) for ours, _ in pairs]
        theirs = [other for _, other in pairs]
        handles = [handle for pair in zip(theirs, slots, strict=True) for handle in (pair[0].fileno(), pair[1].handle)]
        self._child = Child(CALL, handles)
        for line in theirs:
            line.close()
        self._all, self._free = slots, queue.SimpleQueue[_Slot]()
        try:
            slots[0].line.send(setup)
            slots[0].line.recv()
        except (EOFError, ConnectionError) as error:
            died = self._child.exit_error()
            self.close()
            raise MissingPartError(
                f"mediapipe, which finds faces, does not start: {died}.",
                "the version of mediapipe that this package requires, and 0.5 GB of memory",
                "pip install --force-reinstall mediapipe",
            ) from error
        for slot in slots:
            self._free.put(slot)

    def __call__(self, pixels: NDArray[np.uint8]) -> list[Box]:
        """Find the faces in uint8 (h, w, 3), like `BlazeFace`.

        Raises:
            ChildDiedError: the process ended before its answer, because of this picture or another one.
        """
        slot = self._free.get()
        try:
            return slot(pixels)
        except (EOFError, ConnectionError) as error:
            raise self._child.exit_error() from error
        finally:
            self._free.put(slot)

    def close(self) -> None:
        """End the process and release its memory."""
        for slot in self._all:
            slot.close()
        self._child.close()


class _Slot:
    """A connection and its shared memory, for one picture at a time."""

    def __init__(self, line: Connection) -> None:
        self.line, self.handle = line, shared_memory(1)
        self._view: NDArray[np.uint8] = np.empty(0, np.uint8)

    def __call__(self, pixels: NDArray[np.uint8]) -> list[Box]:
        height, width = pixels.shape[:2]
        if pixels.size > len(self._view):
            os.truncate(self.handle, pixels.size)
            self._view = np.frombuffer(mmap.mmap(self.handle, pixels.size), np.uint8)
        self._view[: pixels.size].reshape(pixels.shape)[...] = pixels
        self.line.send((height, width))
        found: list[Box] = self.line.recv()
        if len(self._view) > _KEPT_BYTES:
            self._view = np.empty(0, np.uint8)
            os.truncate(self.handle, 1)
        return found

    def close(self) -> None:
        self.line.close()
        os.close(self.handle)
