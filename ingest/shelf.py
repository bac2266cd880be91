"""Where downloaded bytes go: through a temporary file into photos/, named by their SHA-256.

    body = shelf.body()                 # per download, on the event loop
    body.feed(chunk)                    # held up to 256 KiB, then streamed to a temporary file and hashed
    placed = await shelf.place(body)    # on the shelf's thread: hash, look, rename

One thread does the disk's part for all downloads, so that the event loop only ever moves bytes; it
answers in groups, one wake-up of the loop for all that is finished. A picture gets its name only after
its header was found good. Making it durable is the journal's part, again in groups.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import queue
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from ingest.headers import MAX_PIXELS, Header, examine
from warehouse import Layout

__all__ = ["Body", "Placed", "Shelf", "TooLargeError", "holds"]

_HELD_BYTES = 256 * 1024


class TooLargeError(Exception):
    """A body grew beyond the limit. Not for users: it becomes the status too_large."""


@dataclass(frozen=True, slots=True)
class Placed:
    """What became of a body; `sha256` is None unless its header is ok and the bytes are held."""

    header: Header
    n_bytes: int
    sha256: str | None


class Body:
    """The bytes of one download, on their way."""

    __slots__ = ("_digest", "_fd", "_parts", "_pending", "limit", "n_bytes", "path")

    def __init__(self, path: Path, limit: int) -> None:
        self.path, self.limit, self.n_bytes = path, limit, 0
        self._parts: list[bytes] = []
        self._pending = 0
        self._fd: int | None = None
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
        self._pending += len(chunk)
        if self._pending > _HELD_BYTES:
            self._write()

    def close(self) -> str:
        """Write what is held; the SHA-256 of everything."""
        self._write()
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        return self._digest.hexdigest()

    def discard(self) -> None:
        """Forget the bytes; harmless after they were placed."""
        self._parts.clear()
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        self.path.unlink(missing_ok=True)

    def _write(self) -> None:
        if self._fd is None:
            self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        data = memoryview(b"".join(self._parts))
        self._digest.update(data)
        while data:
            data = data[os.write(self._fd, data) :]
        self._parts.clear()
        self._pending = 0


class Shelf:
    """The thread that puts bodies where they belong. A context; leave it with no download under way.

    Args:
        layout: the store.
        max_bytes: of one picture.
        max_pixels: of one picture.
    """

    def __init__(self, layout: Layout, *, max_bytes: int, max_pixels: int = MAX_PIXELS) -> None:
        self.layout, self.max_bytes, self.max_pixels = layout, max_bytes, max_pixels
        self._incoming = layout.photos / ".incoming"
        self._n = 0
        self._folders: set[Path] = set()
        self._queue: queue.SimpleQueue[tuple[Body, asyncio.Future[Placed]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="shelf", daemon=True)

    def __enter__(self) -> Shelf:
        shutil.rmtree(self._incoming, ignore_errors=True)
        self._incoming.mkdir(parents=True)
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._queue.put(None)
        self._thread.join()
        shutil.rmtree(self._incoming, ignore_errors=True)

    def body(self) -> Body:
        """An empty body."""
        self._n += 1
        return Body(self._incoming / str(self._n), self.max_bytes)

    async def place(self, body: Body) -> Placed:
        """Hash, look and name; the caller may forget the body.

        Raises:
            OSError: the disk did not take it.
        """
        future: asyncio.Future[Placed] = self._loop.create_future()
        self._queue.put((body, future))
        return await future

    def _work(self) -> None:
        going = True
        while going:
            jobs = [self._queue.get()]
            while len(jobs) < 64 and not self._queue.empty():
                jobs.append(self._queue.get())
            going = None not in jobs
            answers = [(job[1], self._place(job[0])) for job in jobs if job is not None]
            if answers:
                self._loop.call_soon_threadsafe(_deliver, answers)

    def _place(self, body: Body) -> Placed | OSError:
        try:
            sha256 = body.close()
            header = examine(body.path, max_pixels=self.max_pixels)
            if header.status != "ok":
                body.discard()
                return Placed(header, body.n_bytes, None)
            target = self.layout.photo(sha256)
            if target.parent not in self._folders:
                target.parent.mkdir(parents=True, exist_ok=True)
                self._folders.add(target.parent)
            body.path.replace(target)
        except OSError as error:
            return error
        return Placed(header, body.n_bytes, sha256)


def holds(layout: Layout, sha256: str | None) -> bool:
    """Whether the store really has these bytes, by reading them: for records that a crash left unconfirmed."""
    if sha256 is None:
        return True
    path = layout.photo(sha256)
    if not path.exists():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _deliver(answers: list[tuple[asyncio.Future[Placed], Placed | OSError]]) -> None:
    for future, answer in answers:
        if future.done():
            continue
        if isinstance(answer, OSError):
            future.set_exception(answer)
        else:
            future.set_result(answer)
