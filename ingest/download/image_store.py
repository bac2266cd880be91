"""Store downloaded bytes in photos/, named by their SHA-256.

    body = images.body()
    body.feed(chunk)                    # in memory up to 1 MiB, then hashed and written to a temporary file
    saved = await images.save(body)     # read the header, write, rename

On the event loop, writing a picture costs some 100 microseconds. That is less than to pass it to a thread, which
waits for the interpreter's lock, but a third of the time of a download. A long run therefore starts a process that
does the same (writer_process.py). The sync to disk is slow: the journal does it, on a thread and for many pictures
at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from photogenic.ingest.download.writer_process import WriterProcess
from photogenic.ingest.images.image_header import MAX_PIXELS, Header, decode, inspect_bytes, inspect_file
from photogenic.warehouse import Layout
from photogenic.warehouse.erasure.tombstones import Tombstones
from photogenic.warehouse.storage.layout import sha256_of

__all__ = ["Body", "ImageStore", "SavedImage", "TooLargeError", "is_stored"]

_MEMORY_BYTES = 1024 * 1024


class TooLargeError(Exception):
    """A body grew beyond the limit. Not shown to users: it becomes the status too_large."""


@dataclass(frozen=True, slots=True)
class SavedImage:
    """Result of saving a body. `sha256` is None unless the picture is ok and stored."""

    header: Header
    n_bytes: int
    sha256: str | None


class Body:
    """The bytes of one download while they arrive."""

    __slots__ = ("_digest", "_fd", "_held", "_parts", "_written", "limit", "n_bytes", "path")

    def __init__(self, path: str, limit: int) -> None:
        self.path, self.limit, self.n_bytes = path, limit, 0
        self._parts: list[bytes] = []
        self._held = 0
        self._fd: int | None = None
        self._written = False
        self._digest = hashlib.sha256()

    def feed(self, chunk: bytes) -> None:
        """Add the next bytes.

        Raises:
            TooLargeError: more than the limit.
        """
        self.n_bytes += len(chunk)
        if self.n_bytes > self.limit:
            raise TooLargeError
        self._parts.append(chunk)
        self._held += len(chunk)
        if self._held > _MEMORY_BYTES:
            self._write()

    @property
    def parts(self) -> list[bytes] | None:
        """The bytes, while all of them are in memory; else None."""
        return self._parts if self._fd is None else None

    def inspect(self, max_pixels: int) -> Header:
        """Inspect the picture's header."""
        if self._fd is None:
            self._parts = [b"".join(self._parts)]
            return inspect_bytes(self._parts[0], max_pixels=max_pixels)
        self._write()
        with Path(self.path).open("rb") as file:
            return inspect_file(file, max_pixels=max_pixels)

    def close(self) -> str:
        """Write the bytes in memory, so that the file at `path` is complete. Returns the SHA-256 of all bytes."""
        self._write()
        self._close()
        return self._digest.hexdigest()

    def discard(self) -> None:
        """Delete the bytes."""
        self._parts.clear()
        self._close()
        if self._written:
            Path(self.path).unlink(missing_ok=True)

    def _write(self) -> None:
        if self._fd is None:
            self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            self._written = True
        data = memoryview(self._parts[0] if len(self._parts) == 1 else b"".join(self._parts))
        self._digest.update(data)
        while data:
            data = data[os.write(self._fd, data) :]
        self._parts.clear()
        self._held = 0

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class ImageStore:
    """The pictures of one store, for one run. A context manager that removes unfinished files when it ends.

    Args:
        layout: paths of the store.
        max_bytes: largest size of a picture, in bytes.
        max_pixels: largest area of a picture, in pixels.
        use_process: whether to start a process that writes the simple pictures. Needs a running event loop.
    """

    def __init__(
        self, layout: Layout, *, max_bytes: int, max_pixels: int = MAX_PIXELS, use_process: bool = False
    ) -> None:
        self.layout, self.max_bytes, self.max_pixels = layout, max_bytes, max_pixels
        self._tombstones = Tombstones(layout)
        self._writer: WriterProcess | None = None
        self._use_process = use_process
        self._incoming = layout.photos / ".incoming"
        self._n = 0
        self._folders: dict[str, str] = {}

    def __enter__(self) -> ImageStore:
        shutil.rmtree(self._incoming, ignore_errors=True)
        self._incoming.mkdir(parents=True)
        if self._use_process:
            self._writer = WriterProcess(self.layout, self._incoming, self.max_pixels).__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._writer is not None:
            self._writer.__exit__(kind, error, tb)
        shutil.rmtree(self._incoming, ignore_errors=True)

    def body(self) -> Body:
        """Make an empty body."""
        self._n += 1
        return Body(f"{self._incoming}/{self._n}", self.max_bytes)

    async def save(self, body: Body) -> SavedImage:
        """Inspect a complete body and, if it is a picture, store it under its SHA-256.

        Raises:
            OSError: the picture cannot be written to disk.
        """
        parts = body.parts
        anybody_erased = bool(len(self._tombstones))
        if not anybody_erased and parts is not None and self._writer is not None and self._writer.accepts(body.n_bytes):
            written = await self._writer.write(parts)
            if written is not None:
                return SavedImage(written[0], body.n_bytes, written[1])
        header = body.inspect(self.max_pixels)
        if header.status != "ok":
            return SavedImage(header, body.n_bytes, None)
        sha256 = body.close()
        if not header.ended:
            header = await asyncio.to_thread(decode, Path(body.path), header)
            if header.status != "ok":
                return SavedImage(header, body.n_bytes, None)
        if anybody_erased and self._tombstones.contains("bytes", sha256):
            return SavedImage(Header("erased", "the bytes of an erased photo"), body.n_bytes, None)
        os.rename(body.path, self._target(sha256))  # noqa: PTH104  # plain strings: a Path costs as much as the call
        return SavedImage(header, body.n_bytes, sha256)

    def _target(self, sha256: str) -> str:
        """The path that `Layout.photo` names, in a folder that exists."""
        folder = self._folders.get(sha256[:2])
        if folder is None:
            parent = self.layout.photo(sha256).parent
            parent.mkdir(parents=True, exist_ok=True)
            folder = self._folders[sha256[:2]] = str(parent)
        return f"{folder}/{sha256}.jpg"


def is_stored(layout: Layout, sha256: str | None) -> bool:
    """Whether the store has these bytes; reads them. For journal records that were not synced before a crash."""
    if sha256 is None:
        return True
    path = layout.photo(sha256)
    return path.exists() and sha256_of(path) == sha256
