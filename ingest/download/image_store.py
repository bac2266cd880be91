"""Where downloaded bytes go: through a temporary file into photos/, named by their SHA-256.

    body = shelf.body()
    body.feed(chunk)                    # held up to 1 MiB, then hashed and streamed to a temporary file
    placed = await shelf.place(body)    # look at the header, write, rename

On the event loop a picture costs the disk's cache some 100 microseconds: less than the hand-over to a thread
that fights for the interpreter's lock, but as much as a third of the download. A long run therefore has a
process beside it that does the same (writer_process.py). Making pictures durable is slow, and is the journal's
part, on a thread and in groups.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from photogenic.ingest.download.writer_process import Stower
from photogenic.ingest.images.image_header import MAX_PIXELS, Header, decode, look, look_at
from photogenic.warehouse import Layout
from photogenic.warehouse.erasure.tombstones import Tombstones

__all__ = ["Body", "Placed", "Shelf", "TooLargeError", "holds"]

_HELD_BYTES = 1024 * 1024


class TooLargeError(Exception):
    """A body grew beyond the limit. Not for users: it becomes the status too_large."""


@dataclass(frozen=True, slots=True)
class Placed:
    """What became of a body; `sha256` is None unless the picture is ok and its bytes are held."""

    header: Header
    n_bytes: int
    sha256: str | None


class Body:
    """The bytes of one download, on their way."""

    __slots__ = ("_digest", "_fd", "_held", "_parts", "_written", "limit", "n_bytes", "path")

    def __init__(self, path: str, limit: int) -> None:
        self.path, self.limit, self.n_bytes = path, limit, 0
        self._parts: list[bytes] = []
        self._held = 0
        self._fd: int | None = None
        self._written = False
        self._digest = hashlib.sha256()

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            TooLargeError: more than the limit.
        """
        self.n_bytes += len(chunk)
        if self.n_bytes > self.limit:
            raise TooLargeError
        self._parts.append(chunk)
        self._held += len(chunk)
        if self._held > _HELD_BYTES:
            self._write()

    @property
    def parts(self) -> list[bytes] | None:
        """The bytes, while all of them are held."""
        return self._parts if self._fd is None else None

    def look(self, max_pixels: int) -> Header:
        """What the bytes are."""
        if self._fd is None:
            self._parts = [b"".join(self._parts)]
            return look_at(self._parts[0], max_pixels=max_pixels)
        self._write()
        with Path(self.path).open("rb") as file:
            return look(file, max_pixels=max_pixels)

    def close(self) -> str:
        """Write what is held, so that the file at `path` is whole; the SHA-256 of everything."""
        self._write()
        self._close()
        return self._digest.hexdigest()

    def discard(self) -> None:
        """Forget the bytes."""
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


class Shelf:
    """The pictures of one store, for one run; a context that cleans up what stopped half-way.

    Args:
        layout: the store.
        max_bytes: of one picture.
        max_pixels: of one picture.
        helped: start a process that does what it can of the work; to be asked for in a running event loop.
    """

    def __init__(self, layout: Layout, *, max_bytes: int, max_pixels: int = MAX_PIXELS, helped: bool = False) -> None:
        self.layout, self.max_bytes, self.max_pixels = layout, max_bytes, max_pixels
        self._tombstones = Tombstones(layout)
        self._stower: Stower | None = None
        self._helped = helped
        self._incoming = layout.photos / ".incoming"
        self._n = 0
        self._folders: dict[str, str] = {}

    def __enter__(self) -> Shelf:
        shutil.rmtree(self._incoming, ignore_errors=True)
        self._incoming.mkdir(parents=True)
        if self._helped:
            self._stower = Stower(self.layout, self._incoming, self.max_pixels).__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._stower is not None:
            self._stower.__exit__(kind, error, tb)
        shutil.rmtree(self._incoming, ignore_errors=True)

    def body(self) -> Body:
        """An empty body."""
        self._n += 1
        return Body(f"{self._incoming}/{self._n}", self.max_bytes)

    async def place(self, body: Body) -> Placed:
        """Look at a whole body and, where it is a picture, give it its name.

        Raises:
            OSError: the disk did not take it.
        """
        parts = body.parts
        anybody_erased = bool(len(self._tombstones))
        if not anybody_erased and parts is not None and self._stower is not None and self._stower.accepts(body.n_bytes):
            stowed = await self._stower.stow(parts)
            if stowed is not None:
                return Placed(stowed[0], body.n_bytes, stowed[1])
        header = body.look(self.max_pixels)
        if header.status != "ok":
            return Placed(header, body.n_bytes, None)
        sha256 = body.close()
        if not header.ended:
            header = await asyncio.to_thread(decode, Path(body.path), header)
            if header.status != "ok":
                return Placed(header, body.n_bytes, None)
        if anybody_erased and self._tombstones.contains("bytes", sha256):
            return Placed(Header("erased", "the bytes of an erased photo"), body.n_bytes, None)
        os.rename(body.path, self._target(sha256))  # noqa: PTH104  # plain strings: a Path costs as much as the call
        return Placed(header, body.n_bytes, sha256)

    def _target(self, sha256: str) -> str:
        """`Layout.photo`, in a folder that exists."""
        folder = self._folders.get(sha256[:2])
        if folder is None:
            parent = self.layout.photo(sha256).parent
            parent.mkdir(parents=True, exist_ok=True)
            folder = self._folders[sha256[:2]] = str(parent)
        return f"{folder}/{sha256}.jpg"


def holds(layout: Layout, sha256: str | None) -> bool:
    """Whether the store really has these bytes, by reading them: for records that a crash left unconfirmed."""
    if sha256 is None:
        return True
    path = layout.photo(sha256)
    if not path.exists():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256
