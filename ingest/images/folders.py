"""Folders that paths of pictures are relative to: on this machine, or in an object store."""

from __future__ import annotations

import contextlib
import os
import posixpath
import stat
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from photogenic._lazy import pa
from photogenic.warehouse import InputError, NetworkError
from photogenic.warehouse.filesystems import Location, clear_errors, open_location

__all__ = ["MAX_BYTES", "Folder", "ObjectFolder", "PictureFolder", "Unread"]

MAX_BYTES = 50 * 1024 * 1024
"""Largest size of a picture, in bytes; a larger one gets the status too_large and is not copied."""

_MOST_IN_MEMORY = 256 << 20
"""Most bytes of pictures that are read from an object store at a time."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A picture without bytes.

    Attributes:
        status: `photos.status`.
        detail: reason.
        lost: whether the connection broke, so that the picture may be fine.
    """

    status: str
    detail: str = ""
    lost: bool = False


class PictureFolder(Protocol):
    """Where pictures are read from, by their paths.

    Attributes:
        n_threads: pictures to read at a time.
    """

    n_threads: int

    def outside(self, paths: Iterable[str]) -> set[str]:
        """The paths that lead out of the folder."""
        ...

    def read(self, path: str) -> bytes | Unread:
        """Read a picture. It is never an exception."""
        ...


class Folder:
    """The folder that paths of pictures are relative to. Paths must not lead out of it."""

    n_threads = 8

    def __init__(self, path: Path) -> None:
        self.path = path
        self._real = os.path.realpath(path)
        self._parents: dict[str, str] = {}

    def locate(self, path: str) -> Path | None:
        """The path of a picture, links resolved; None if it is outside of the folder."""
        parent, name = os.path.split(os.path.join(self._real, path))  # noqa: PTH118
        if parent not in self._parents:
            self._parents[parent] = os.path.realpath(parent)
        real = os.path.join(self._parents[parent], name)  # noqa: PTH118
        if name in {"", "..", "."} or os.path.islink(real):  # noqa: PTH114
            real = os.path.realpath(real)
        inside = real.startswith(self._real.rstrip(os.sep) + os.sep) and "\0" not in real
        return Path(real) if inside else None

    def outside(self, paths: Iterable[str]) -> set[str]:
        """The paths that lead out of the folder."""
        return {path for path in paths if self.locate(path) is None}

    def read(self, path: str) -> bytes | Unread:
        """Read a picture, unless it is not a file or too large."""
        located = self.locate(path)
        if located is None:
            return Unread("missing", "the path leads out of the images folder")
        try:
            return _read(located)
        except FileNotFoundError:
            return Unread("missing")
        except (OSError, ValueError) as error:
            return Unread("unreadable", str(getattr(error, "strerror", None) or error))


class ObjectFolder:
    """A folder of an object store: `s3://bucket/folder`. A path may also be a whole address below it.

    Raises:
        InputError: there is no such folder, or it may not be read.
        NetworkError: the server cannot be reached.
    """

    n_threads = 32

    def __init__(self, address: str) -> None:
        self._root: Location = open_location(address)
        self.name = self._root.name
        with clear_errors(self.name):
            found = self._root.files.get_file_info(self._root.path)
        if found.type != pa.fs.FileType.Directory:
            raise InputError(
                f"There is no folder {self.name}.", "the folder that paths are relative to", "check the address"
            )
        self._budget = _Budget(_MOST_IN_MEMORY)

    def outside(self, paths: Iterable[str]) -> set[str]:
        """The paths that lead out of the folder."""
        return {path for path in paths if self._key(path) is None}

    def read(self, path: str) -> bytes | Unread:
        """Read a picture, unless it is too large."""
        key = self._key(path)
        if key is None:
            return Unread("missing", "the path leads out of the images folder")
        place = self._root / key
        try:
            with place.read() as stream:
                size = stream.seek(0, os.SEEK_END)
                if size > MAX_BYTES:
                    return Unread("too_large", f"{size:,} bytes")
                stream.seek(0)
                with self._budget.taken(size):
                    return stream.read()
        except NetworkError as error:
            return Unread("unreadable", error.what[:300], lost=True)
        except InputError as error:
            return self._refused(place, error)

    def _refused(self, place: Location, error: InputError) -> Unread:
        """Tell an object that is missing from one that may not be read."""
        try:
            return Unread("missing") if place.find() is None else Unread("unreadable", error.what[:300])
        except NetworkError as failure:
            return Unread("unreadable", failure.what[:300], lost=True)
        except InputError:
            return Unread("unreadable", error.what[:300])

    def _key(self, path: str) -> str | None:
        """The name below the folder; None: the path leads out of it."""
        inside = path.removeprefix(f"{self.name}/")
        if "\0" in inside or inside.startswith("/") or "://" in inside:
            return None
        key = posixpath.normpath(inside)
        return None if key == "." or key.split("/")[0] == ".." else key


class _Budget:
    """Bytes that may be in memory at a time; one picture always may."""

    def __init__(self, most: int) -> None:
        self._left, self._most, self._free = most, most, threading.Condition()

    @contextlib.contextmanager
    def taken(self, n: int) -> Iterator[None]:
        n = min(n, self._most)
        with self._free:
            self._free.wait_for(lambda: self._left >= n)
            self._left -= n
        try:
            yield
        finally:
            with self._free:
                self._left += n
                self._free.notify_all()


def _read(path: Path) -> bytes | Unread:
    """Read the bytes, unless it is not a file or too large. Does not block on a named pipe."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        there = os.fstat(fd)
        if not stat.S_ISREG(there.st_mode):
            return Unread("missing", "not a file")
        if there.st_size > MAX_BYTES:
            return Unread("too_large", f"{there.st_size:,} bytes")
        with open(fd, "rb", buffering=0, closefd=False) as file:
            return file.readall()
    finally:
        os.close(fd)
