"""A process that finds faces, as this process holds it: its lines, and the memory in which pictures go to it."""

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

_KEPT = 1 << 26
"""Bytes of a line's memory that stay after a picture; what a larger one took is given back."""


class DetectorProcess:
    """Call it from any thread, until it dies; `n` at a time.

    Args:
        setup: what `BlazeFace` wants.
        n: lines.

    Raises:
        MissingPartError: it does not start.
    """

    def __init__(self, setup: tuple[bytes, float], n: int) -> None:
        pairs = [Pipe() for _ in range(n)]
        seats = [_Seat(ours) for ours, _ in pairs]
        theirs = [other for _, other in pairs]
        handles = [handle for pair in zip(theirs, seats, strict=True) for handle in (pair[0].fileno(), pair[1].handle)]
        self._child = Child(CALL, handles)
        for line in theirs:
            line.close()
        self._all, self._free = seats, queue.SimpleQueue[_Seat]()
        try:
            seats[0].line.send(setup)
            seats[0].line.recv()
        except (EOFError, ConnectionError) as error:
            died = self._child.exit_error()
            self.close()
            raise MissingPartError(
                f"mediapipe, which finds faces, does not start: {died}.",
                "mediapipe as this package's requirements name it, and 0.5 GB of memory",
                "pip install --force-reinstall mediapipe",
            ) from error
        for seat in seats:
            self._free.put(seat)

    def __call__(self, pixels: NDArray[np.uint8]) -> list[Box]:
        """The faces in uint8 (h, w, 3), as of `BlazeFace`.

        Raises:
            ChildDiedError: it died meanwhile, of this picture or of another.
        """
        seat = self._free.get()
        try:
            return seat(pixels)
        except (EOFError, ConnectionError) as error:
            raise self._child.exit_error() from error
        finally:
            self._free.put(seat)

    def close(self) -> None:
        """End it, and give back what it held."""
        for seat in self._all:
            seat.close()
        self._child.close()


class _Seat:
    """A line and its memory, for one picture at a time."""

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
        if len(self._view) > _KEPT:
            self._view = np.empty(0, np.uint8)
            os.truncate(self.handle, 1)
        return found

    def close(self) -> None:
        self.line.close()
        os.close(self.handle)
