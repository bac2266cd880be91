"""A process that runs the functions of the user, so that one that hangs or ends its process costs one photo.

Both ends are here: the connection with the shared memory that passes pictures, and the loop in the child. The child
imports the user's modules and finds each function by its name.

The shared memory begins with the place of the picture that is being computed, and the second of the system's clock at
which that began. So one message passes many pictures, and each still has its own time.
"""

from __future__ import annotations

import contextlib
import importlib
import mmap
import os
import signal
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection, Pipe

import numpy as np
from numpy.typing import NDArray

from photogenic.features.pictures.definition import PhotoInfo, PictureFeature
from photogenic.features.pictures.evaluate import Answer, Picture, evaluate
from photogenic.features.pictures.registry import picture_feature
from photogenic.warehouse import PhotogenicError
from photogenic.warehouse.closing import Closing
from photogenic.warehouse.processes.child import Child, ChildDiedError
from photogenic.warehouse.processes.shared_memory import shared_memory
from photogenic.warehouse.user_modules import project_module, use_project_module

__all__ = ["FunctionProcess", "TimedOutError", "serve"]

CALL = "photogenic.features.pictures.function_process:serve"

_HEAD = 16
"""Bytes before the pictures: the place, and the second."""

_KEPT_BYTES = 1 << 26
"""Bytes of shared memory that are kept after a call; memory of larger pictures is released."""

_LARGE = 31 << 20
"""Bytes of an array that glibc still counts when it learns which sizes to keep; the most is 32 MB."""

_UNKNOWN = PhotoInfo(0, 0)
"""What a function that does not take it receives as its photo."""

_START_S = 120.0
"""Longest time for the start of the process and the import of the user's modules."""


class TimedOutError(Exception):
    """The function took longer than it may; its process was ended."""


class FunctionProcess(Closing):
    """A child process for one call at a time. A call after an unexpected end starts a new child.

    Attributes:
        at: after a failed call of a function that takes one picture, the place of the picture that it failed on.
    """

    def __init__(self) -> None:
        self._child: Child | None = None
        self._line: Connection | None = None
        self._ready = False
        self._handle = -1
        self._memory = _Memory()
        self.at = 0

    def __call__(self, feature: PictureFeature, pictures: Sequence[Picture]) -> list[Answer]:
        """Compute a feature of these pictures.

        Raises:
            ChildDiedError: the process ended before its answer.
            TimedOutError: one picture took longer than `feature.seconds`, or a list of a batch function that for each.
        """
        self.at = 0
        line = self._line or self.start()
        try:
            if not self._ready:
                self._wait_for_start(line)
            shapes = self._copy([pixels for pixels, _ in pictures])
            infos = [info for _, info in pictures] if feature.takes_photo else None
            line.send((feature.name, feature.code, feature.home, shapes, infos))
            self._wait(line, feature.seconds * (len(pictures) if feature.is_batch else 1))
            answers: list[Answer] = line.recv()
        except (EOFError, ConnectionError) as error:
            assert self._child is not None
            self.at = self._memory.began()[0]
            died = self._child.exit_error()
            self.close()
            raise died from error
        if len(self._memory.pixels) > _KEPT_BYTES:
            self._memory = _Memory()
            os.truncate(self._handle, _HEAD)
        return answers

    def start(self) -> Connection:
        """Start the child, which gets ready while this process goes on."""
        ours, theirs = Pipe()
        self._handle = shared_memory(_HEAD)
        self._child = Child(CALL, [theirs.fileno(), self._handle], {"CUDA_VISIBLE_DEVICES": ""})
        theirs.close()
        self._line, self._ready = ours, False
        with contextlib.suppress(ConnectionError):  # the next call fails and reports it
            ours.send(project_module())
        return ours

    def _wait_for_start(self, line: Connection) -> None:
        if not line.poll(_START_S):
            self._abandon()
            raise ChildDiedError("the process of the function does not start", killed=False)
        self._ready = bool(line.recv())

    def _wait(self, line: Connection, limit: float) -> None:
        """Wait for the answers, as long as no picture takes longer than the limit."""
        began = self._memory.began()
        while not line.poll(max(began[1] + limit - time.monotonic(), 0.0)):
            before, began = began, self._memory.began()
            if began == before:
                self.at = began[0]
                self._abandon()
                raise TimedOutError(f"took longer than {limit:g} s")

    def _copy(self, pictures: Sequence[NDArray[np.uint8]]) -> list[tuple[int, int]]:
        """Copy the pictures into the shared memory, and return their heights and widths."""
        size = sum(pixels.size for pixels in pictures)
        if size > len(self._memory.pixels):
            os.truncate(self._handle, _HEAD + size)
            self._memory = _Memory(self._handle)
        start = 0
        for pixels in pictures:
            self._memory.pixels[start : start + pixels.size].reshape(pixels.shape)[...] = pixels
            start += pixels.size
        self._memory.begin(0)
        return [(pixels.shape[0], pixels.shape[1]) for pixels in pictures]

    def _abandon(self) -> None:
        """End a process that does not answer."""
        if self._child is not None:
            self._child.kill()
        self.close()

    def close(self) -> None:
        if self._line is not None:
            self._line.close()
            os.close(self._handle)
        if self._child is not None:
            self._child.close()
        self._child, self._line, self._memory = None, None, _Memory()


class _Memory:
    """The shared memory behind a file descriptor; without one, memory for no picture."""

    def __init__(self, handle: int | None = None) -> None:
        whole = bytearray(_HEAD) if handle is None else mmap.mmap(handle, os.fstat(handle).st_size)
        self._place, self._second = np.frombuffer(whole, np.int64, 1), np.frombuffer(whole, np.float64, 1, 8)
        self.pixels: NDArray[np.uint8] = np.frombuffer(whole, np.uint8)[_HEAD:]

    def begin(self, at: int) -> None:
        """Write down that the picture at this place begins."""
        self._second[0] = time.monotonic()  # first, so that a reader in between sees a change
        self._place[0] = at

    def began(self) -> tuple[int, float]:
        """The place of the picture that began last, and when."""
        return int(self._place[0]), float(self._second[0])


def serve() -> None:
    """Answer calls in a child until the connection closes. `sys.argv`: the connection, and the shared memory."""
    for asked in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asked, signal.SIG_IGN)  # the parent receives it too, and closes the connection
    line, handle = Connection(int(sys.argv[1])), int(sys.argv[2])
    memory = _Memory()
    np.empty(_LARGE, np.uint8)  # after its release, the allocator keeps freed memory for the next picture
    with contextlib.suppress(EOFError, ConnectionError):
        use_project_module(line.recv())
        line.send(True)
        while True:
            name, code, home, shapes, infos = line.recv()
            if os.fstat(handle).st_size != _HEAD + len(memory.pixels):
                memory = _Memory(handle)
            pictures: list[Picture] = []
            start = 0
            for (height, width), info in zip(shapes, infos or [_UNKNOWN] * len(shapes), strict=True):
                end = start + height * width * 3
                pictures.append((memory.pixels[start:end].reshape(height, width, 3), info))
                start = end
            feature = _feature(name, home)
            if isinstance(feature, str):
                line.send([Answer("error", feature, ())] * len(pictures))
            elif feature.code != code:
                changed = Answer.failed(feature, "error", "the source of the function changed during the build")
                line.send([changed] * len(pictures))
            else:
                line.send(evaluate(feature, pictures, memory.begin))
    os._exit(0)  # threads of the user's modules do not keep the process


def _feature(name: str, home: str) -> PictureFeature | str:
    """The feature of that name, or why it is not there."""
    try:
        return picture_feature(name)
    except PhotogenicError:
        pass
    try:  # registered by a module that is not named in a setting
        importlib.import_module(home)
        return picture_feature(name)
    except (PhotogenicError, ImportError) as error:
        return f"the module {home} cannot be imported: {type(error).__name__}"
