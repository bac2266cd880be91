"""A process beside the event loop that judges, hashes and writes pictures: downloads are bound by one interpreter.

The loop copies a body into a slot of memory that both share and says which; the process answers with the
picture's size and digest, once it lies in its place. It only takes what is simple: whatever is not plainly a
whole picture, and whatever the disk refuses, it hands back, and the shelf does that in the loop, as it does
when no slot is free, before the process has started, and after it has died.

    loop -> process     slot, bytes of the body
    process -> loop     slot, 1 stowed or 0 handed back, width, height, SHA-256

The process ends when its pipe does, however the other side ended.
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

from photogenic.ingest.images.image_header import Header, look_at
from photogenic.warehouse import Layout
from photogenic.warehouse.processes import launch
from photogenic.warehouse.processes.shared_memory import shared_memory

__all__ = ["Stower"]

SLOT_BYTES = 512 * 1024
_SLOTS = 96
_ASKED = struct.Struct("<II")
_ANSWER = struct.Struct("<IBII32s")


class Stower:
    """The loop's side; a context.

    Args:
        layout: where pictures go.
        incoming: a folder for files that are not whole yet.
        max_pixels: of one picture.
    """

    def __init__(self, layout: Layout, incoming: Path, max_pixels: int) -> None:
        self._command = launch.python_command(
            "photogenic.ingest.download.writer_process", str(layout.root), str(incoming), str(max_pixels)
        )
        self._free: list[int] = []
        self._waiting: dict[int, asyncio.Future[tuple[Header, str] | None]] = {}
        self._rest = b""

    def __enter__(self) -> Stower:
        shared = shared_memory(_SLOTS * SLOT_BYTES)
        try:
            self._slots = mmap.mmap(shared, _SLOTS * SLOT_BYTES)
            self._process = subprocess.Popen(
                [*self._command, str(shared)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=(shared,),
                start_new_session=True,  # Ctrl-C is the loop's to answer
                bufsize=0,
                env=launch.child_environment(),
            )
        finally:
            os.close(shared)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._from, False)
        asyncio.get_running_loop().add_reader(self._from, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        self._gone()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()
        self._slots.close()

    def accepts(self, n_bytes: int) -> bool:
        """Whether there is room for so many bytes just now."""
        return bool(self._free) and n_bytes <= SLOT_BYTES

    async def stow(self, parts: list[bytes]) -> tuple[Header, str] | None:
        """Put the bytes that `parts` make, which `accepts` accepted, into their place; None: they are handed back."""
        slot = self._free.pop()
        at = start = slot * SLOT_BYTES
        for part in parts:
            self._slots[at : at + len(part)] = part
            at += len(part)
        answer: asyncio.Future[tuple[Header, str] | None] = asyncio.get_running_loop().create_future()
        self._waiting[slot] = answer
        try:
            os.write(self._to, _ASKED.pack(slot, at - start))
        except BrokenPipeError:
            self._gone()
        return await answer

    def _hear(self) -> None:
        """Take in what the process has said."""
        try:
            heard = os.read(self._from, 1 << 16)
        except BlockingIOError:
            return
        if not heard:
            self._gone()
            return
        said = self._rest + heard
        whole = len(said) - len(said) % _ANSWER.size
        for slot, stowed, width, height, digest in _ANSWER.iter_unpack(said[:whole]):
            waiting = self._waiting.pop(slot, None)
            if waiting is not None and not waiting.done():
                waiting.set_result((Header("ok", "", width, height), digest.hex()) if stowed else None)
            self._free.append(slot)
        self._rest = said[whole:]

    def _gone(self) -> None:
        """Ask nothing more of the process; what it had is handed back."""
        asyncio.get_running_loop().remove_reader(self._from)
        self._free.clear()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result(None)
        self._waiting.clear()


def _write(path: str, data: bytes | memoryview) -> None:
    """Write a new file; its name is there whatever happens, its bytes only if this returns.

    Raises:
        OSError: the disk does not take it.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(fd, rest) :]
    finally:
        os.close(fd)


def _serve(layout: Layout, incoming: Path, max_pixels: int, shared: int) -> None:
    """The process's side: say which slots there are, then stow until the pipe ends."""
    slots = mmap.mmap(shared, _SLOTS * SLOT_BYTES, prot=mmap.PROT_READ)
    os.write(1, b"".join(_ANSWER.pack(slot, 0, 0, 0, b"") for slot in range(_SLOTS)))
    folders: set[str] = set()
    path, rest = f"{incoming}/stowing", b""
    while asked := os.read(0, 1 << 12):
        asked = rest + asked
        whole = len(asked) - len(asked) % _ASKED.size
        for slot, n_bytes in _ASKED.iter_unpack(asked[:whole]):
            start = slot * SLOT_BYTES
            data = slots[start : start + n_bytes]
            header, digest = look_at(data, max_pixels=max_pixels), hashlib.sha256(data)
            stowed = header.status == "ok" and header.ended
            if stowed:
                try:
                    target = layout.photo(digest.hexdigest())
                    if target.parent.name not in folders:
                        target.parent.mkdir(parents=True, exist_ok=True)
                        folders.add(target.parent.name)
                    _write(path, data)
                    os.rename(path, target)  # noqa: PTH104
                except OSError:
                    stowed = False
            os.write(1, _ANSWER.pack(slot, stowed, header.width or 0, header.height or 0, digest.digest()))
        rest = asked[whole:]


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # sent to all of a service: the loop answers, and ends the pipe
    with contextlib.suppress(BrokenPipeError):
        _serve(Layout(Path(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
