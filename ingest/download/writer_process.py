"""A process that inspects, hashes and writes pictures, because one interpreter limits the rate of downloads.

The event loop copies a body into a slot of shared memory and sends the slot's number. The process answers with the
picture's size and digest once the picture is stored. It stores simple pictures only. It returns a picture that is not
plainly complete, or that the disk refuses, and the image store then writes it in the loop; so it does when no slot is
free, before the process has started, and after it has died.

    loop -> process     slot, number of bytes of the body
    process -> loop     slot, 1 written or 0 returned, width, height, SHA-256

The process ends when its pipe is closed, for whatever reason the loop ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import mmap
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

from photogenic.ingest.images.image_header import Header, inspect_bytes
from photogenic.warehouse import Layout
from photogenic.warehouse.processes import launch
from photogenic.warehouse.processes.shared_memory import shared_memory

__all__ = ["WriterProcess"]

SLOT_BYTES = 512 * 1024
_SLOTS = 96
_REQUEST = struct.Struct("<II")
_ANSWER = struct.Struct("<IBII32s")


class WriterProcess:
    """The loop's side of the process. A context manager.

    Args:
        layout: paths of the store.
        incoming: folder for unfinished files.
        max_pixels: largest area of a picture, in pixels.
    """

    def __init__(self, layout: Layout, incoming: Path, max_pixels: int) -> None:
        self._command = launch.python_command(
            "photogenic.ingest.download.writer_process", str(layout.root), str(incoming), str(max_pixels)
        )
        self._free: list[int] = []
        self._waiting: dict[int, asyncio.Future[tuple[Header, str] | None]] = {}
        self._rest = b""

    def __enter__(self) -> WriterProcess:
        shared = shared_memory(_SLOTS * SLOT_BYTES)
        try:
            self._slots = mmap.mmap(shared, _SLOTS * SLOT_BYTES)
            self._process = subprocess.Popen(
                [*self._command, str(shared)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=(shared,),
                start_new_session=True,  # so that Ctrl-C goes to the loop only
                bufsize=0,
                env=launch.child_environment(),
            )
        finally:
            os.close(shared)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._from, False)
        asyncio.get_running_loop().add_reader(self._from, self._read_answers)
        return self

    def __exit__(self, *_: object) -> None:
        self._detach()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()
        self._slots.close()

    def accepts(self, n_bytes: int) -> bool:
        """Whether a slot for so many bytes is free now."""
        return bool(self._free) and n_bytes <= SLOT_BYTES

    async def write(self, parts: list[bytes]) -> tuple[Header, str] | None:
        """Store the bytes of `parts`, for which `accepts` was true. None: the process did not store them."""
        slot = self._free.pop()
        at = start = slot * SLOT_BYTES
        for part in parts:
            self._slots[at : at + len(part)] = part
            at += len(part)
        answer: asyncio.Future[tuple[Header, str] | None] = asyncio.get_running_loop().create_future()
        self._waiting[slot] = answer
        try:
            os.write(self._to, _REQUEST.pack(slot, at - start))
        except BrokenPipeError:
            self._detach()
        return await answer

    def _read_answers(self) -> None:
        """Read the answers of the process."""
        try:
            chunk = os.read(self._from, 1 << 16)
        except BlockingIOError:
            return
        if not chunk:
            self._detach()
            return
        received = self._rest + chunk
        whole = len(received) - len(received) % _ANSWER.size
        for slot, written, width, height, digest in _ANSWER.iter_unpack(received[:whole]):
            waiting = self._waiting.pop(slot, None)
            if waiting is not None and not waiting.done():
                waiting.set_result((Header("ok", "", width, height), digest.hex()) if written else None)
            self._free.append(slot)
        self._rest = received[whole:]

    def _detach(self) -> None:
        """Send no more requests to the process. What it had not answered counts as not stored."""
        asyncio.get_running_loop().remove_reader(self._from)
        self._free.clear()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result(None)
        self._waiting.clear()


def _write(path: str, data: bytes | memoryview) -> None:
    """Write a new file. The name exists in any case, the bytes only if this returns.

    Raises:
        OSError: the file cannot be written to disk.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(fd, rest) :]
    finally:
        os.close(fd)


def _serve(layout: Layout, incoming: Path, max_pixels: int, shared: int) -> None:
    """Run in the process: send the numbers of the slots, then write pictures until the pipe ends."""
    slots = mmap.mmap(shared, _SLOTS * SLOT_BYTES, prot=mmap.PROT_READ)
    os.write(1, b"".join(_ANSWER.pack(slot, 0, 0, 0, b"") for slot in range(_SLOTS)))
    folders: set[str] = set()
    path, rest = f"{incoming}/stowing", b""
    while requests := os.read(0, 1 << 12):
        requests = rest + requests
        whole = len(requests) - len(requests) % _REQUEST.size
        for slot, n_bytes in _REQUEST.iter_unpack(requests[:whole]):
            start = slot * SLOT_BYTES
            data = slots[start : start + n_bytes]
            header, digest = inspect_bytes(data, max_pixels=max_pixels), hashlib.sha256(data)
            written = header.status == "ok" and header.ended
            if written:
                try:
                    target = layout.photo(digest.hexdigest())
                    if target.parent.name not in folders:
                        target.parent.mkdir(parents=True, exist_ok=True)
                        folders.add(target.parent.name)
                    _write(path, data)
                    os.rename(path, target)  # noqa: PTH104
                except OSError:
                    written = False
            os.write(1, _ANSWER.pack(slot, written, header.width or 0, header.height or 0, digest.digest()))
        rest = requests[whole:]


if __name__ == "__main__":
    signal.signal(
        signal.SIGTERM, signal.SIG_IGN
    )  # sent to all processes of a service: the loop handles it and closes the pipe
    with contextlib.suppress(BrokenPipeError):
        _serve(Layout(Path(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
