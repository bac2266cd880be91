"""SQL that strangers wrote, answered at arm's length: by processes that are killed when they take too long.

    rows      the first rows, as the JSON body of an answer
    export    all rows as CSV or Parquet, chunk by chunk
    select    which photos a predicate of search picks

A few processes (`sandboxed`) wait warm. Each answers one query at a time, on the newest snapshot. Past its time,
or when whoever asked has gone, a process is killed and another takes its place.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import struct
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

from photogenic._lazy import pl
from photogenic.app.serve.http.errors import ApiError, translated
from photogenic.app.serve.http.limits import Limits
from photogenic.warehouse import InputError, PhotogenicError, QueryError, StoreError
from photogenic.warehouse.processes import launch

__all__ = ["Sandbox"]

_KINDS: dict[str, type[PhotogenicError]] = {"InputError": InputError, "StoreError": StoreError}
_START_S = 60.0


class Sandbox:
    """The pool. Start it, and close it, in the loop that asks it.

    Args:
        store: its folder.
        limits: of one query.
        threads: that one query may use.
    """

    def __init__(self, store: Path, limits: Limits, threads: int) -> None:
        self.limits = limits
        memory, size = limits.sql_memory, limits.sql_process_bytes
        self._command = launch.python_command(
            "photogenic.app.serve.sql_sandbox.worker", str(store), memory, str(threads), str(size)
        )
        self._idle: list[asyncio.subprocess.Process] = []
        self._turns = asyncio.Semaphore(limits.sql_at_once)
        self._all: set[asyncio.subprocess.Process] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.n_running = self.n_waiting = self.n_killed = 0

    async def start(self) -> None:
        """Let every process of the pool get warm."""
        self._idle = list(await asyncio.gather(*(self._spawn() for _ in range(self.limits.sql_at_once))))

    async def close(self) -> None:
        """Kill them all."""
        await asyncio.gather(*self._tasks)
        for process in list(self._all):
            await self._kill(process)

    async def rows(self, query: str, limit: int, sample: int | None = None) -> bytes:
        """The answer in JSON: columns, n_rows, cut, seconds, rows; of `sample` rows drawn at random where it is given.

        Raises:
            ApiError: the query was refused, or went over a limit.
        """
        asked = {"do": "rows", "query": query, "limit": limit, "sample": sample, "bytes": self.limits.sql_bytes}
        return b"".join([data async for data in self._frames(asked, self.limits.sql_s)])

    def export(self, query: str, form: str) -> AsyncGenerator[bytes, None]:
        """All rows, as the bytes of a file. Errors as in `rows`."""
        return self._frames({"do": "export", "query": query, "format": form}, self.limits.export_s)

    async def select(self, encoder: str, where: str | None, *, popular: bool) -> pl.DataFrame:
        """The photos with a vector of `encoder` that match. Errors as in `rows`."""
        asked = {"do": "select", "encoder": encoder, "where": where, "popular": popular}
        data = b"".join([data async for data in self._frames(asked, self.limits.sql_s)])
        return pl.read_ipc_stream(data)

    async def _frames(self, asked: dict[str, Any], seconds: float) -> AsyncGenerator[bytes, None]:
        """What a process says to one question, in its turn and within its time."""
        if self.n_waiting >= self.limits.sql_waiting:
            raise ApiError("busy", "Too many queries wait already.", "try again in a moment", {"Retry-After": "2"})
        self.n_waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self.n_waiting -= 1
        self.n_running += 1
        process, sound = None, False
        try:
            process = self._idle.pop() if self._idle else await self._spawn()
            try:
                async with asyncio.timeout(seconds):
                    async for data in _asked(process, asked):
                        yield data
                sound = True
            except TimeoutError:
                raise ApiError(
                    "time_limit", f"The query did not end within {seconds:g} s.", "ask for less: a filter, a sample"
                ) from None
            except (asyncio.IncompleteReadError, ConnectionError):
                # A process that is refused memory ends by a signal; one that ends by itself met an error of ours.
                if await process.wait() < 0:
                    raise _over_memory() from None
                raise ApiError("internal", "Something went wrong that should not.", "see the server's log") from None
            except ApiError:
                sound = True  # it said so itself
                raise
        finally:
            self.n_running -= 1
            self._turns.release()
            if process is not None:
                self._put_back(process, sound)

    def _put_back(self, process: asyncio.subprocess.Process, sound: bool) -> None:
        if sound and process.returncode is None:
            self._idle.append(process)
            return
        self.n_killed += 1
        task = asyncio.ensure_future(self._kill(process))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _spawn(self) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 20,
            env=launch.child_environment(),
            start_new_session=True,
        )
        self._all.add(process)
        try:
            async with asyncio.timeout(_START_S):
                await _frame(process)
        except BaseException as error:
            self._put_back(process, sound=False)
            if isinstance(error, (asyncio.IncompleteReadError, TimeoutError)):
                raise StoreError(
                    "A process that answers SQL did not start.",
                    f"enough memory for it, and {_START_S:g} s",
                    "features serve says above what it lacked",
                ) from error
            raise
        return process

    async def _kill(self, process: asyncio.subprocess.Process) -> None:
        self._all.discard(process)
        # Not `process.kill()`: that takes away the exit code for which asyncio waits, and asyncio complains.
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        # What it had written and nobody read would hold up the end of `wait` for ever.
        for pipe in (0, 1):
            process._transport.get_pipe_transport(pipe).close()  # type: ignore[attr-defined]
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]


def _over_memory() -> ApiError:
    return ApiError("memory_limit", "The query took more memory than it may, and was ended.", "ask for less at once")


async def _asked(process: asyncio.subprocess.Process, asked: dict[str, Any]) -> AsyncIterator[bytes]:
    assert process.stdin is not None
    process.stdin.write(json.dumps(asked).encode() + b"\n")
    await process.stdin.drain()
    while True:
        kind, data = await _frame(process)
        if kind == b"Z":
            return
        if kind == b"E":
            said = json.loads(data)
            if said["kind"] == "MemoryError":
                raise _over_memory()
            error = _KINDS.get(said["kind"], QueryError)
            raise translated(error(said["what"], said["expected"], said["remedy"]))
        if kind == b"D":
            yield data


async def _frame(process: asyncio.subprocess.Process) -> tuple[bytes, bytes]:
    assert process.stdout is not None
    head = await process.stdout.readexactly(5)
    (n_bytes,) = struct.unpack(">I", head[1:])
    return head[:1], await process.stdout.readexactly(n_bytes)
