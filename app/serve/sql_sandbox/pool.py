"""Pool of processes that run SQL of clients, and are killed when a query exceeds a limit.

    rows      the first rows, as the body of an answer in JSON or Arrow
    export    all rows as CSV or Parquet, in chunks
    select    the photos that match a search predicate

A few processes (`worker`) are started in advance. Each runs one query at a time, on the newest snapshot. After the
time limit, or when the client disconnects, a process is killed and replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from photogenic._lazy import pl
from photogenic.app.serve.http.errors import ApiError, to_api_error
from photogenic.app.serve.http.limits import Limits
from photogenic.app.serve.sql_sandbox.texts import MOST_TEXTS, Embedded, WantedText
from photogenic.features.search.options import PhotoSelection
from photogenic.warehouse import InputError, PhotogenicError, QueryError, QueryMemoryError, StoreError
from photogenic.warehouse.processes import launch

__all__ = ["Sandbox"]

_KINDS: dict[str, type[PhotogenicError]] = {
    "InputError": InputError,
    "QueryMemoryError": QueryMemoryError,
    "StoreError": StoreError,
}
_START_S = 60.0

Clocks = tuple[Any, Any]
"""as_of and known_at of a request, as JSON values."""


class Sandbox:
    """The pool of processes. It must be started, used and closed in the same event loop.

    Args:
        store: Folder of the store.
        limits: Limits of the server.
        threads: Number of threads of one query.
        encoder: Encoder of searches that name none. None: that of the environment, else the first default one.
    """

    def __init__(self, store: Path, limits: Limits, threads: int, *, encoder: str | None = None) -> None:
        self.limits = limits
        self._environment = {"FEATURES_ENCODER": encoder} if encoder else {}
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
        """Start all processes of the pool."""
        self._idle = list(await asyncio.gather(*(self._spawn() for _ in range(self.limits.sql_at_once))))

    async def close(self) -> None:
        """Kill all processes."""
        await asyncio.gather(*self._tasks)
        for process in list(self._all):
            await self._kill(process)

    async def rows(
        self,
        query: str,
        limit: int,
        sample: int | None = None,
        parameters: dict[str, Any] | None = None,
        clocks: Clocks = (None, None),
        *,
        vectors: dict[str, list[float]] | None = None,
        texts: Sequence[Embedded] = (),
        arrow: bool = False,
    ) -> bytes:
        """Return a JSON object with columns, n_rows, cut, seconds and rows.

        It also has plan, where the query has NEAREST joins, and moment and notes, at a moment.

        Args:
            query: SQL statement.
            limit: Largest number of rows.
            sample: Number of rows to draw at random instead of the first rows.
            parameters: Values of the parameters of the statement by name.
            clocks: as_of and known_at, instants or instants by name.
            vectors: Vectors of uploaded pictures, which are values of parameters too.
            texts: Vectors of texts in the query.
            arrow: Return the rows as a stream of Arrow; its metadata `photogenic` is the object without the rows.

        Raises:
            ApiError: The query was refused, or exceeded a limit.
            WantedText: The query has a text that is not among `texts`, and may have one more.
        """
        request = {
            "do": "arrow" if arrow else "rows",
            "vectors": vectors or {},
            "texts": [list(text) for text in texts],
            "query": query,
            "parameters": parameters,
            "limit": limit,
            "sample": sample,
            "bytes": self.limits.sql_bytes,
            "clocks": clocks,
        }
        return b"".join([data async for data in self._frames(request, self.limits.sql_s)])

    def export(self, query: str, form: str, clocks: Clocks = (None, None)) -> AsyncGenerator[bytes, None]:
        """Yield all rows as the bytes of a file. Raises the same errors as `rows`."""
        request = {"do": "export", "query": query, "format": form, "clocks": clocks}
        return self._frames(request, self.limits.export_s)

    async def select(
        self, encoder: str, selection: PhotoSelection, *, clocks: Clocks = (None, None)
    ) -> tuple[pl.DataFrame, int]:
        """Return the photos with a vector of `encoder` that match, and the number of labels in small populations.

        Raises the same errors as `rows`.
        """
        request = {"do": "select", "encoder": encoder, "selection": asdict(selection), "clocks": clocks}
        data = b"".join([data async for data in self._frames(request, self.limits.sql_s)])
        (n_few,) = struct.unpack_from(">Q", data)
        return pl.read_ipc_stream(data[8:]), n_few

    async def _frames(self, request: dict[str, Any], seconds: float) -> AsyncGenerator[bytes, None]:
        """Send one request to a free process, and yield the data of its answer within the time limit."""
        if self.n_waiting >= self.limits.sql_waiting:
            raise ApiError("busy", "Too many queries are waiting.", "try again in a moment", {"Retry-After": "2"})
        self.n_waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self.n_waiting -= 1
        self.n_running += 1
        process, is_healthy = None, False
        try:
            process = self._idle.pop() if self._idle else await self._spawn()
            try:
                async with asyncio.timeout(seconds):
                    end = [b""]
                    async for data in _exchange(process, request, end):
                        yield data
                is_healthy = end[0] != b"full"
            except TimeoutError:
                raise ApiError(
                    "time_limit",
                    f"The query did not end within {seconds:g} s.",
                    "add a filter or a sample to the query",
                ) from None
            except (asyncio.IncompleteReadError, ConnectionError):
                # A process without memory ends by a signal; one that exits by itself has met a fault of the program.
                if await process.wait() < 0:
                    raise _over_memory() from None
                raise ApiError("internal", "The server failed to answer the request.", "see the server's log") from None
            except ApiError as error:
                is_healthy = not isinstance(error, _SpentError)  # the process reported the error itself
                raise
            except WantedText:
                is_healthy = True
                raise
        finally:
            self.n_running -= 1
            self._turns.release()
            if process is not None:
                self._put_back(process, is_healthy)

    def _put_back(self, process: asyncio.subprocess.Process, is_healthy: bool) -> None:
        if is_healthy and process.returncode is None:
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
            env={**launch.child_environment(), **self._environment},
            start_new_session=True,
        )
        self._all.add(process)
        try:
            async with asyncio.timeout(_START_S):
                await _frame(process)
        except BaseException as error:
            self._put_back(process, is_healthy=False)
            if isinstance(error, (asyncio.IncompleteReadError, TimeoutError)):
                raise StoreError(
                    "A process that answers SQL did not start.",
                    f"enough memory for it, and {_START_S:g} s",
                    "the output of features serve names the cause",
                ) from error
            raise
        return process

    async def _kill(self, process: asyncio.subprocess.Process) -> None:
        self._all.discard(process)
        # Not `process.kill()`: it takes the exit code that asyncio waits for, and asyncio logs a warning.
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        # Unread output in the pipes would block `wait` forever.
        for pipe in (0, 1):
            process._transport.get_pipe_transport(pipe).close()  # type: ignore[attr-defined]
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]


class _SpentError(ApiError):
    """An error after which the process is replaced: it may hold memory that the next query needs."""

    @classmethod
    def of(cls, error: ApiError) -> _SpentError:
        return cls(error.code, error.message, error.remedy, error.headers)


def _over_memory() -> ApiError:
    return ApiError(
        "memory_limit", "The query exceeded the memory limit and was stopped.", "query fewer rows or columns"
    )


async def _exchange(
    process: asyncio.subprocess.Process, request: dict[str, Any], end: list[bytes]
) -> AsyncIterator[bytes]:
    """Yield the data of an answer; `end` gets that of its last frame."""
    assert process.stdin is not None
    process.stdin.write(json.dumps(request).encode() + b"\n")
    await process.stdin.drain()
    while True:
        kind, data = await _frame(process)
        if kind == b"Z":
            end[0] = data
            return
        if kind == b"E":
            failure = json.loads(data)
            if failure["wanted"] is not None and "texts" in request and len(request["texts"]) < MOST_TEXTS:
                raise WantedText(*failure["wanted"])
            if failure["kind"] == "MemoryError":
                error = _over_memory()
            else:
                raised = _KINDS.get(failure["kind"], QueryError)
                error = to_api_error(raised(failure["what"], failure["expected"], failure["remedy"]))
            raise _SpentError.of(error) if failure["is_spent"] else error
        if kind == b"D":
            yield data


async def _frame(process: asyncio.subprocess.Process) -> tuple[bytes, bytes]:
    assert process.stdout is not None
    head = await process.stdout.readexactly(5)
    (n_bytes,) = struct.unpack(">I", head[1:])
    return head[:1], await process.stdout.readexactly(n_bytes)
