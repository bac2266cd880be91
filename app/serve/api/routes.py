"""The endpoints under /api/v1: each reads its request, calls one function, and sends what came back."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from importlib.metadata import version
from typing import Any, TypeVar

import numpy as np
import orjson
import pybase64
from aiohttp import web
from numpy.typing import NDArray

from photogenic.app.serve.api import schemas
from photogenic.app.serve.api.openapi import describe
from photogenic.app.serve.api.photo_queries import everything, in_order, looked_up
from photogenic.app.serve.http.context import Site
from photogenic.app.serve.http.errors import ApiError, translated
from photogenic.app.serve.http.photo_urls import PHOTO, photo_id
from photogenic.app.serve.http.uploads import in_time, received, whole_body
from photogenic.app.serve.http.validation import from_json, from_text
from photogenic.models.runs.run_store import described
from photogenic.warehouse import PhotogenicError
from photogenic.warehouse.duckdb_store.query import no_labels_error

__all__ = ["Api", "sent"]

T = TypeVar("T")


def sent(value: object) -> web.Response:
    """Any value as JSON; times are naive UTC and say so."""
    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z
    return web.Response(body=orjson.dumps(value, option=options), content_type="application/json")


class Api:
    """The handlers, and their addresses."""

    def __init__(self, site: Site) -> None:
        self.site, self.takes = site, schemas.requests(site.limits)
        self._described = orjson.dumps(describe(site.limits, token=site.guard.token is not None))

    def routes(self) -> list[web.RouteDef]:
        """Everything under /api."""
        return [
            web.post("/api/v1/sql", self.sql),
            web.get("/api/v1/sql/export", self.export),
            *(web.get(f"/api/v1/photos/{named}", self.photo) for named in PHOTO),
            web.post("/api/v1/features", self.features),
            web.post("/api/v1/similar", self.similar),
            web.post("/api/v1/predict", self.predict),
            web.get("/api/v1/breakdown", self.breakdown),
            web.get("/api/v1/runs", self.runs),
            web.get("/api/v1/gallery", self.gallery),
            web.get("/api/v1/store", self.store),
            web.get("/api/v1/health", self.health),
            web.get("/api/v1/metrics", self.metrics),
            web.get("/api/openapi.json", self.openapi),
        ]

    async def sql(self, request: web.Request) -> web.Response:
        asked = await self._body(request, "sql")
        body = await self.site.sandbox.rows(asked["query"], asked["limit"], asked["sample"])
        return web.Response(body=body, content_type="application/json")

    async def export(self, request: web.Request) -> web.StreamResponse:
        asked = from_text(request.query, self.takes["export"])
        async with contextlib.aclosing(self.site.exports.export(asked["query"], asked["format"])) as chunks:
            first = await anext(chunks, b"")  # an error still has its own status
            return await self._sent_on(request, asked["format"], first, chunks)

    async def _sent_on(
        self, request: web.Request, form: str, first: bytes, chunks: AsyncIterator[bytes]
    ) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_type = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}[form]
        response.headers["Content-Disposition"] = f'attachment; filename="result.{form}"'
        self.site.guard.protect(response)
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        await response.write(first)
        try:
            async for chunk in chunks:
                await response.write(chunk)
        except ApiError:  # too late for a status: whoever reads must see that this is not all
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError from None
        await response.write_eof()
        return response

    async def photo(self, request: web.Request) -> web.Response:
        from_text(request.query, self.takes["nothing" if "photo_id" in request.match_info else "photo"])
        return sent(await self._work(everything, self.site.snapshot, photo_id(request)))

    async def features(self, request: web.Request) -> web.Response:
        asked, site = await self._body(request, "features"), self.site
        encoder = site.nearest.usable(asked["encoder"])
        # A hundred ids take less than a hop to another thread.
        photos, found = looked_up(site.snapshot, site.store.layout, asked["photo_ids"], encoder, site.limits.vectors)
        if found is not None:
            told = _in_base64(found) if asked["vectors"] == "base64" else found
            for photo in photos:
                if photo["embedding"] is not None:
                    photo["embedding"] = told[photo["embedding"]]
        return sent({"encoder": encoder, "dim": None if found is None else found.shape[1], "photos": photos})

    async def similar(self, request: web.Request) -> web.Response:
        site = self.site
        if request.content_type == "application/json":
            asked = await self._body(request, "similar")
            return sent(await site.nearest.of_photo(site.snapshot, asked.pop("photo_id"), **asked))
        (picture,), fields = await self._received(request, most=1)
        asked = from_text(fields, self.takes["similar_upload"])
        return sent(await site.nearest.of_upload(site.snapshot, picture, **asked))

    async def predict(self, request: web.Request) -> web.Response:
        pictures, fields = await self._received(request, most=self.site.limits.uploads)
        asked = from_text(fields, self.takes["predict"])
        scorer, snapshot = self.site.scorer, self.site.snapshot
        names, notes = await self._work(scorer.answering, snapshot, asked["run"], asked["target"])
        target = described(self.site.store.layout, names[0]).target
        scored = await scorer.score(names, pictures)
        return sent({"run_id": names[0], "target": target, "photos": scored, "notes": notes})

    async def breakdown(self, request: web.Request) -> web.Response:
        asked = from_text(request.query, self.takes["breakdown"])
        snapshot = self.site.snapshot
        if "gender_breakdown" not in snapshot.relations:
            raise translated(no_labels_error())
        query = (
            "select * exclude (time_window) from gender_breakdown where time_window = $window"
            " order by n_swipes desc, sender_gender, recipient_gender"
        )
        rows = await self._work(snapshot.ask, query, {"window": asked["window"]})
        return sent({"window": asked["window"], "rows": rows.to_dicts()})

    async def runs(self, request: web.Request) -> web.Response:
        self._nothing(request)
        unpacked = [
            row | {name: orjson.loads(row[name]) for name in ("hyperparameters", "results")}
            for row in self.site.snapshot.runs
        ]
        return sent({"runs": unpacked})

    async def gallery(self, request: web.Request) -> web.Response:
        asked, site = from_text(request.query, self.takes["gallery"]), self.site
        if site.snapshot.photos["source"].null_count() == len(site.snapshot.photos) and asked["by"] != "prediction":
            raise translated(no_labels_error())
        run_id = None
        if asked["by"] == "prediction" or asked["run"] is not None:
            run_id = (await self._work(site.scorer.shown, site.snapshot, asked["run"], "like_ratio"))["run_id"]
        return sent(await self._work(in_order, site.snapshot, asked, run_id))

    async def store(self, request: web.Request) -> web.Response:
        self._nothing(request)
        try:
            return sent(await self._work(self.site.status))
        except PhotogenicError as error:
            raise translated(error) from error

    async def health(self, request: web.Request) -> web.Response:
        self._nothing(request)
        snapshot = self.site.snapshot
        return sent(
            {
                "status": "ok",
                "snapshot_at": snapshot.published_at.isoformat(timespec="milliseconds") + "Z",
                "n_photos": len(snapshot.photos),
                "version": version("photogenic"),
            }
        )

    async def metrics(self, request: web.Request) -> web.Response:
        self._nothing(request)
        site = self.site
        age_s = time.time() - site.snapshot.key[1] / 1e9
        gauges = {
            "photogenic_snapshot_age_seconds": ("Since the snapshot was published.", age_s),
            "photogenic_photos": ("Photos in the snapshot.", len(site.snapshot.photos)),
            "photogenic_sql_running": ("Queries that run now.", site.sandbox.n_running),
            "photogenic_sql_waiting": ("Queries that wait for their turn.", site.sandbox.n_waiting),
            "photogenic_exports_running": ("Downloads that run now.", site.exports.n_running),
            "photogenic_sql_ended": (
                "Queries that were ended by force.",
                site.sandbox.n_killed + site.exports.n_killed,
            ),
            "photogenic_thumbnails_made": ("Small pictures made since the start.", site.pictures.n_made),
            "photogenic_scored_pictures": ("Pictures scored since the start.", site.scorer.n_pictures),
            "photogenic_scored_batches": ("Batches in which they were scored.", site.scorer.n_batches),
        }
        return web.Response(text=site.metrics.text(gauges), headers={"Content-Type": "text/plain; version=0.0.4"})

    async def openapi(self, request: web.Request) -> web.Response:
        self._nothing(request)
        return web.Response(body=self._described, content_type="application/json")

    async def _body(self, request: web.Request, name: str) -> dict[str, Any]:
        if request.content_type != "application/json":
            raise ApiError(
                "unsupported_type", f"The request is {request.content_type}. Expected: application/json", "curl --json"
            )
        self._nothing(request)
        return from_json(await whole_body(request, self.site.limits, self.site.limits.body_bytes), self.takes[name])

    async def _received(self, request: web.Request, most: int) -> Any:
        self._nothing(request)
        async with in_time(self.site.limits):
            return await received(request, "image", self.site.limits, most=most)

    def _nothing(self, request: web.Request) -> None:
        """No parameters in the address are known."""
        from_text(request.query, self.takes["nothing"])

    async def _work(self, call: Callable[..., T], *given: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.site.work, call, *given)


def _in_base64(vectors: NDArray[np.float32]) -> list[orjson.Fragment]:
    """Each row, little-endian, as a JSON text; there is nothing in base64 that JSON escapes."""
    rows = vectors.astype("<f4", copy=False)
    return [orjson.Fragment(b'"%b"' % pybase64.b64encode(row)) for row in rows]
