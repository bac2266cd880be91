"""A folder or file on this machine or in an object store: list it, read it, write it."""

from __future__ import annotations

import contextlib
import ctypes
import datetime as dt
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal

from photogenic._lazy import pa
from photogenic.warehouse.errors import InputError, NetworkError
from photogenic.warehouse.filesystems.addresses import quote_key
from photogenic.warehouse.filesystems.storage_errors import absent, clear_errors, refuse_steps, storage_error

__all__ = ["Entry", "Location"]

_BLOCK = 8 << 20
"""Bytes of one request for a part of an object. A request that fails is sent again."""

_PAGE, _LISTINGS = 1000, 4
"""CUT: if a connection is closed in the head of an answer, before its length, pyarrow takes the answer for an empty one
that succeeded. It reports an object of no bytes, a listing without the rest, or a part whose memory nobody wrote. So an
empty object is looked at twice, a listing that may have lost a page is made again, and the last byte of a part is set
before and compared after."""

_LOCAL_PREFIX = ".writing-"

Kind = Literal["local", "objects", "hdfs"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or object of a listing.

    Attributes:
        path: path below the listed folder, with slashes.
        bytes: its size.
        changed_at: when it was written last, in UTC; None: the store does not say.
    """

    path: str
    bytes: int
    changed_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Location:
    """A folder or file on this machine or in an object store.

    Attributes:
        files: pyarrow's file system.
        path: path in it.
        name: address to print and store, without secrets.
        kind: local, objects, or hdfs.
    """

    files: Any
    path: str
    name: str
    kind: Kind

    def __truediv__(self, part: str) -> Location:
        """A file or folder below this one."""
        found = replace(self, path=f"{self.path}/{part}", name=f"{self.name.rstrip('/')}/{quote_key(part)}")
        if self.kind == "objects":
            refuse_steps(part, found.name)
        return found

    def above(self, n: int) -> Location:
        """The folder that is n steps above."""
        return replace(self, path=self.path.rsplit("/", n)[0], name=self.name.rsplit("/", n)[0])

    def find(self) -> Entry | None:
        """The file of this name; None: there is none."""
        with clear_errors(self.name, "looked for"):
            info = self.files.get_file_info(self.path)
            if info.type == pa.fs.FileType.File and not info.size:
                info = self.files.get_file_info(self.path)  # see CUT
        return None if info.type != pa.fs.FileType.File else Entry(self.path.rpartition("/")[2], info.size, info.mtime)

    def entries(self, *, recursive: bool = True) -> list[Entry]:
        """List the files in this folder, sorted by path; none if there is no folder.

        Raises:
            InputError: the bucket is missing, or may not be listed.
            NetworkError: the server cannot be reached.
        """
        root = self.path.rstrip("/") + "/"
        found = self._list(recursive=recursive)
        if self.kind == "objects" and not 0 < len(found) < _PAGE:
            for _ in range(_LISTINGS):
                before, found = {info.path for info in found}, self._list(recursive=recursive)
                if before <= {info.path for info in found}:
                    break
            else:
                raise NetworkError(f"{self.name} is listed otherwise each time.", "one answer", "run it again")
        listed = [
            Entry(info.path.removeprefix(root), info.size, info.mtime)
            for info in found
            if info.type == pa.fs.FileType.File and not info.path.rpartition("/")[2].startswith(_LOCAL_PREFIX)
        ]
        return sorted(listed, key=lambda entry: entry.path)

    def _list(self, *, recursive: bool) -> list[Any]:
        with clear_errors(self.name, "listed"):
            try:
                return list(self.files.get_file_info(pa.fs.FileSelector(self.path, recursive=recursive)))
            except FileNotFoundError:
                return []

    def _open(self) -> Any:
        """Open the file, and once more if the server said that it is empty."""
        with clear_errors(self.name):
            file = self.files.open_input_file(self.path)
            if not file.size():
                file.close()
                file = self.files.open_input_file(self.path)
        return file

    def state(self) -> dict[str, str]:
        """What identifies the content of this object: `ETag`, `Last-Modified`, `Content-Length`, of what is known.

        Raises:
            InputError: there is no such object, or it may not be read.
        """
        if self.kind == "objects":
            with self._open() as file, clear_errors(self.name):
                told, size = file.metadata() or {}, file.size()
            texts = {_text(name): _text(value) for name, value in told.items()}
            kept = ("ETag", "Last-Modified", "VersionId", "x-amz-version-id", "Generation")
            return {name: texts[name] for name in kept if texts.get(name)} | {"Content-Length": str(size)}
        found = self.find()
        if found is None:
            raise absent(self.name)
        return {"Content-Length": str(found.bytes), "Last-Modified": str(found.changed_at)}

    @contextlib.contextmanager
    def read(self) -> Iterator[BinaryIO]:
        """Open the file for reading. A connection that breaks is an error, and never the end of the file.

        Raises:
            InputError: there is no such file, or it may not be read.
            NetworkError: the server cannot be reached, or the connection broke.
        """
        with self._open() as file:
            yield io.BufferedReader(_Reader(file, self.name), 1 << 20)

    def read_bytes(self, at_most: int) -> bytes:
        """Read a small file.

        Raises:
            InputError: it is missing, or has more bytes than that.
        """
        with self.read() as stream:
            data = stream.read(at_most + 1)
        if len(data) > at_most:
            raise InputError(
                f"{self.name} has more than {at_most:,} bytes.", f"at most {at_most:,}", "name another file"
            )
        return data

    @contextlib.contextmanager
    def write(self, spool: Path | None = None) -> Iterator[BinaryIO]:
        """Open a file to write. It appears as a whole when the block ends, in place of an earlier one of this name.

        What is written goes into a local file first. An error in the block leaves the earlier file as it was.

        Args:
            spool: local folder of the copy until it is uploaded. Default: the system's folder for temporary files.

        Raises:
            InputError: it may not be written.
            NetworkError: the server cannot be reached, or the connection broke.
        """
        if self.kind == "local":
            with self._write_local() as file:
                yield file
            return
        with tempfile.TemporaryFile(dir=spool) as copy:
            yield copy
            size = copy.seek(0, os.SEEK_END)
            copy.seek(0)
            self.upload(copy, size)

    def write_bytes(self, data: bytes) -> None:
        """Write a small file, in place of an earlier one of this name."""
        if self.kind == "local":
            with self._write_local() as file:
                file.write(data)
        else:
            self.upload(io.BytesIO(data), len(data))

    def upload(self, file: BinaryIO, size: int, advance: Callable[[int], None] | None = None) -> None:
        """Upload exactly `size` bytes of a local file; the object appears when all of them have come.

        Args:
            file: the open local file.
            size: number of bytes.
            advance: called with the number of bytes of each block.

        Raises:
            InputError: the file is shorter, or the object may not be written.
            NetworkError: the server cannot be reached, or the connection broke.
        """
        renamed = replace(self, path=f"{self.path}.{os.getpid()}.tmp") if self.kind == "hdfs" else self
        with clear_errors(self.name, "written"):
            stream = self.files.open_output_stream(renamed.path)
            try:
                left = size
                while left:
                    block = file.read(min(_BLOCK, left))
                    if not block:
                        raise InputError(f"{self.name}: the file became shorter.", f"{size:,} bytes", "try again")
                    stream.write(block)
                    left -= len(block)
                    if advance is not None:
                        advance(len(block))
            except BaseException:
                _abandon(stream)
                raise
            stream.close()
            if renamed is not self:
                self.files.move(renamed.path, self.path)
        found = self.find()
        if found is None or found.bytes != size:
            there = "is not there" if found is None else f"has {found.bytes:,} bytes"
            raise NetworkError(f"{self.name} {there} after it was written.", f"{size:,} bytes", "run it again")

    def remove(self) -> None:
        """Remove the file; none is fine."""
        with clear_errors(self.name, "removed"), contextlib.suppress(FileNotFoundError):
            self.files.delete_file(self.path)

    def remove_folder(self) -> None:
        """Remove the folder and all in it; none is fine."""
        with clear_errors(self.name, "removed"), contextlib.suppress(FileNotFoundError):
            self.files.delete_dir(self.path)

    def remove_unfinished(self) -> None:
        """Remove what killed writers have left in this folder of this machine. No writer may be at work in it."""
        if self.kind == "local":
            with clear_errors(self.name, "written"):
                for path in Path(self.path).rglob(f"{_LOCAL_PREFIX}*"):
                    path.unlink(missing_ok=True)

    def make_folder(self) -> None:
        """Make the folder. In an object store there is nothing to make: a folder is a part of names."""
        if self.kind != "objects":
            with clear_errors(self.name, "written"):
                self.files.create_dir(self.path, recursive=True)

    @contextlib.contextmanager
    def _write_local(self) -> Iterator[BinaryIO]:
        target = Path(self.path)
        with clear_errors(self.name, "written"):
            target.parent.mkdir(parents=True, exist_ok=True)
            number, temporary = tempfile.mkstemp(prefix=_LOCAL_PREFIX, dir=target.parent)
        try:
            with os.fdopen(number, "wb") as file:
                os.fchmod(number, 0o666 & ~_umask())
                yield file
                file.flush()
                os.fsync(number)
            Path(temporary).replace(target)
        except OSError as error:
            raise storage_error(self.name, "written", error) from error
        finally:
            Path(temporary).unlink(missing_ok=True)


class _Reader(io.RawIOBase):
    """Bytes of a file in blocks, each from one request, with clear errors."""

    def __init__(self, file: Any, name: str) -> None:
        self._file, self._name = file, name
        with clear_errors(name):
            self._size: int = file.size()
        self._at = self._start = 0
        self._block = b""  # bytes from _start

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(start + offset, 0)
        return self._at

    def readinto(self, buffer: Any) -> int:
        if self._at >= self._size or not len(buffer):
            return 0
        if not self._start <= self._at < self._start + len(self._block):
            wanted = min(_BLOCK, self._size - self._at)
            self._block, self._start = self._read_block(wanted), self._at
        start = self._at - self._start
        part = memoryview(self._block)[start : start + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)

    def _read_block(self, wanted: int) -> bytes:
        """Read bytes from the position. That all of them came is seen at the last one: see CUT."""
        data = bytearray(wanted)
        for mark in (0x5A, 0xA5, 0x5A):
            data[-1] = mark
            with clear_errors(self._name):
                self._file.seek(self._at)
                n = self._file.readinto(data)
            if n == wanted and data[-1] != mark:
                return bytes(data)
        raise NetworkError(
            f"{self._name} cannot be read: the connection broke before byte {self._at + wanted:,} of {self._size:,}.",
            "the whole object",
            "run the same command again",
        )


def _abandon(stream: Any) -> None:
    """Leave an upload unfinished: closing it, even by the garbage collector, would publish what has come so far.

    pyarrow has no call for this. A reference that is never given back keeps the stream from being closed.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(stream))


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
