"""POST /api/v1/similar and /api/v1/similar/arrow: one search, or many in blocks, answered as JSON or a stream of Arrow.

A search with many queries runs one block at a time: the next one is computed when the client has read the one before,
and none after the client has gone. Few such searches run at once, so that single ones stay fast.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
from aiohttp import web

from photogenic._lazy import pa
from photogenic.app.serve.api.arrow_body import ARROW, queries_of
from photogenic.app.serve.api.json_answer import json_response
from photogenic.app.serve.api.similar_schemas import as_field
from photogenic.app.serve.http.context import AppContext
from photogenic.app.serve.http.errors import ApiError, to_api_error
from photogenic.app.serve.http.uploads import read_body
from photogenic.app.serve.snapshot import Snapshot
from photogenic.features.search.options import SearchOptions
from photogenic.features.similar_many.queries import PhotoId, QueryBlock, blocks_of
from photogenic.features.similar_many.search import ManySearch
from photogenic.warehouse import InputError
from photogenic.warehouse.option_help import option_fields

__all__ = ["SimilarMany", "options_of"]

_NAMES = tuple(field.name for field in option_fields(SearchOptions))
_BLOCK = 256
"""Queries per block: a block is short, so that other requests get their turn."""

_JSON_SHARE = 10
"""JSON takes ten times the time and space of Arrow."""


def options_of(params: dict[str, Any]) -> SearchOptions:
    """Take the options of a search out of the parameters of a request.

    Raises:
        ApiError: An option cannot be used.
    """
    try:
        return SearchOptions(**{name: params.pop(name) for name in _NAMES})
    except InputError as error:
        refused = to_api_error(error)
        raise ApiError(refused.code, as_field(refused.message), as_field(refused.remedy)) from error


class SimilarMany:
    """Searches with many queries in one request.

    Args:
        context: State of the server.
    """

    def __init__(self, context: AppContext) -> None:
        self._context, self._limits = context, context.limits
        self._turns, self._n_waiting = asyncio.Semaphore(context.limits.similar_at_once), 0

    async def of_json(self, request: web.Request, snapshot: Snapshot, params: dict[str, Any]) -> web.StreamResponse:
        """Answer `photo_ids` or `vectors`."""
        if params["photo_ids"] is not None:
            queries: list[Any] = [PhotoId(name) for name in params["photo_ids"]]
        else:
            queries = [np.asarray(vector, np.float64) for vector in params["vectors"]]
        return await self._answered(request, snapshot, params, len(queries), blocks_of(queries, _BLOCK))

    async def of_arrow(self, request: web.Request, snapshot: Snapshot, params: dict[str, Any]) -> web.StreamResponse:
        """Answer the queries of a body of Arrow."""
        if request.content_type != ARROW:
            raise ApiError(
                "unsupported_type",
                f"The request is {request.content_type}. Expected: {ARROW}",
                f"-H 'Content-Type: {ARROW}'",
            )
        data = await read_body(request, self._limits, self._limits.similar_bytes)
        loop = asyncio.get_running_loop()
        blocks = await loop.run_in_executor(self._context.work, queries_of, data, self._limits)
        each = (part for block in blocks for part in _parts(block))
        return await self._answered(request, snapshot, params, sum(map(len, blocks)), each)

    async def _answered(
        self,
        request: web.Request,
        snapshot: Snapshot,
        params: dict[str, Any],
        n_queries: int,
        blocks: Iterator[QueryBlock],
    ) -> web.StreamResponse:
        as_arrow = ARROW in request.headers.get("Accept", "")
        options = options_of(params)
        most = self._limits.similar_rows // (1 if as_arrow else _JSON_SHARE)
        if n_queries * options.k > most:
            raise ApiError(
                "bad_request",
                f"{n_queries:,} queries of {options.k:,} photos are {n_queries * options.k:,} results."
                f" Expected: at most {most:,}",
                "send several requests" if as_arrow else f"send several requests, or ask for Arrow: Accept: {ARROW}",
            )
        async with self._turn():
            many = await self._context.nearest.many(
                snapshot, options, n_queries, strict=params["strict"], unlike=params["unlike"] or ()
            )
            batches = self._batches(many, blocks)
            if as_arrow:
                return await self._as_arrow(request, many, batches, snapshot)
            return await self._as_json(many, batches, snapshot)

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait until few enough of these searches run.

        Raises:
            ApiError: Too many wait already.
        """
        if self._n_waiting >= self._limits.sql_waiting:
            raise ApiError("busy", "Too many searches are waiting.", "try again in a moment", {"Retry-After": "2"})
        self._n_waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._n_waiting -= 1
        try:
            yield
        finally:
            self._turns.release()

    async def _batches(self, many: ManySearch, blocks: Iterator[QueryBlock]) -> AsyncIterator[pa.RecordBatch]:
        """Answer block after block within the time limit.

        Raises:
            ApiError: The time is over, or the search is strict and a query has a problem.
        """
        seconds = 0.0
        for block in blocks:
            if seconds > self._limits.similar_s:
                raise ApiError(
                    "time_limit",
                    f"The search took more than {self._limits.similar_s:g} s; {many.counts.n_queries:,} queries were"
                    " answered.",
                    "send fewer queries",
                )
            started = time.perf_counter()
            batch = await self._context.nearest.answer(many, block)
            seconds += time.perf_counter() - started
            yield batch

    async def _as_json(
        self, many: ManySearch, batches: AsyncIterator[pa.RecordBatch], snapshot: Snapshot
    ) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        queries: list[dict[str, Any]] = []
        async for batch in batches:
            queries += await loop.run_in_executor(self._context.work, _told, batch)
        counts = many.counts
        totals = {"n_queries": counts.n_queries, "n_answered": counts.n_answered, "problems": dict(counts.problems)}
        return json_response(many.said | totals | {"queries": queries} | snapshot.said)

    async def _as_arrow(
        self, request: web.Request, many: ManySearch, batches: AsyncIterator[pa.RecordBatch], snapshot: Snapshot
    ) -> web.StreamResponse:
        first = await anext(batches, None)  # an error before the first bytes gets its own status
        sink = _Sink()
        said = {name: str(value) for name, value in snapshot.said.items() if name == "moment"}
        schema = many.schema.with_metadata({**(many.schema.metadata or {}), **said})
        response = web.StreamResponse()
        response.content_type = ARROW
        self._context.guard.protect(response)
        await response.prepare(request)
        with pa.ipc.new_stream(sink, schema) as writer:
            try:
                if first is not None:
                    writer.write_batch(first)
                    await response.write(sink.taken())
                async for batch in batches:
                    writer.write_batch(batch)
                    await response.write(sink.taken())
            except ApiError:  # the status is already sent: abort, so that the client sees an incomplete stream
                if request.transport is not None:
                    request.transport.abort()
                raise ConnectionResetError from None
        await response.write(sink.taken())
        await response.write_eof()
        return response


class _Sink:
    """A file that hands out what was written to it."""

    def __init__(self) -> None:
        self._held, self._n, self.closed = bytearray(), 0, False

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self._held += view
        self._n += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        return self._n

    def flush(self) -> None:
        """Do nothing; `taken` is the way out."""

    def close(self) -> None:
        """Keep what was not taken yet."""

    def taken(self) -> bytes:
        """Return what was written since the last call."""
        data = bytes(self._held)
        self._held.clear()
        return data


def _parts(block: QueryBlock) -> Iterator[QueryBlock]:
    """Cut a block that a client made into blocks of our size."""
    for at in range(0, len(block), _BLOCK):
        problems = {place - at: problem for place, problem in block.problems.items() if at <= place < at + _BLOCK}
        yield QueryBlock(block.names[at : at + _BLOCK], block.queries[at : at + _BLOCK], problems)


def _told(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Return the object of each query of a batch."""
    answers = []
    for _, rows in itertools.groupby(batch.to_pylist(), lambda row: row.pop("query_no")):
        photos = []
        for row in rows:
            about = {name: row.pop(name) for name in ("query", "problem", "detail")}
            if row["rank"] is not None:
                photos.append(row)
        answers.append(about | {"n_photos": len(photos), "photos": photos})
    return answers
