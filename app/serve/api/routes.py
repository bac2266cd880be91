"""Endpoints under /api/v1: each reads its request, calls one function, and sends the result."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import time
from collections.abc import AsyncIterator, Callable
from importlib.metadata import version
from typing import Any, TypeVar

import numpy as np
import orjson
import pybase64
from aiohttp import web
from numpy.typing import NDArray

from photogenic._lazy import pa
from photogenic.app.serve.api import schemas
from photogenic.app.serve.api.arrow_body import ARROW
from photogenic.app.serve.api.json_answer import json_response
from photogenic.app.serve.api.lineage import lineage_of
from photogenic.app.serve.api.openapi import describe
from photogenic.app.serve.api.photo_queries import gallery_page, labels_and_vectors, photo_details
from photogenic.app.serve.api.similar import SimilarMany, options_of
from photogenic.app.serve.http.context import AppContext
from photogenic.app.serve.http.errors import ApiError, to_api_error
from photogenic.app.serve.http.photo_urls import PHOTO, photo_id
from photogenic.app.serve.http.uploads import read_body, read_form, within_time_limit
from photogenic.app.serve.http.validation import from_json, from_text
from photogenic.app.serve.snapshot import Snapshot
from photogenic.app.serve.sql_sandbox.texts import Embedded, WantedText
from photogenic.models.predict import missing_inputs
from photogenic.models.runs.run_store import described
from photogenic.warehouse import PhotogenicError
from photogenic.warehouse.duckdb_store.query import no_labels_error
from photogenic.warehouse.moment import EVERYTHING

__all__ = ["Api"]

T = TypeVar("T")


class Api:
    """Handlers of the API and their routes."""

    def __init__(self, context: AppContext) -> None:
        self.context, self.request_schemas = context, schemas.requests(context.limits)
        self._similar_many = SimilarMany(context)
        self._described = orjson.dumps(describe(context.limits, token=context.guard.token is not None))

    def routes(self) -> list[web.RouteDef]:
        """Return the routes under /api."""
        return [
            web.post("/api/v1/sql", self.sql),
            web.get("/api/v1/sql/export", self.export),
            *(web.get(f"/api/v1/photos/{named}", self.photo) for named in PHOTO),
            web.post("/api/v1/features", self.features),
            web.post("/api/v1/similar", self.similar),
            web.post("/api/v1/similar/arrow", self.similar_arrow),
            web.post("/api/v1/predict", self.predict),
            web.get("/api/v1/breakdown", self.breakdown),
            web.get("/api/v1/runs", self.runs),
            web.get("/api/v1/gallery", self.gallery),
            web.get("/api/v1/lineage/{relation}", self.lineage),
            web.get("/api/v1/store", self.store),
            web.get("/api/v1/health", self.health),
            web.get("/api/v1/metrics", self.metrics),
            web.get("/api/openapi.json", self.openapi),
        ]

    async def sql(self, request: web.Request) -> web.Response:
        vectors: dict[str, list[float]] = {}
        if request.content_type == "multipart/form-data":
            params, vectors = await self._read_upload(request)
        else:
            params = await self._read_json(request, "sql")
        self.context.moments(params["as_of"], params["known_at"])
        clocks, arrow = (params["as_of"], params["known_at"]), _wants_arrow(request)
        texts: list[Embedded] = []
        while True:
            try:
                body = await self.context.sandbox.rows(
                    params["query"],
                    params["limit"],
                    params["sample"],
                    params["parameters"],
                    clocks,
                    vectors=vectors,
                    texts=texts,
                    arrow=arrow,
                )
                return _arrow_response(body) if arrow else web.Response(body=body, content_type="application/json")
            except WantedText as wanted:
                used, vector = await self.context.nearest.embed_text(wanted.text, wanted.encoder)
                texts.append((wanted.encoder, wanted.text, used, vector))

    async def _read_upload(self, request: web.Request) -> tuple[dict[str, Any], dict[str, list[float]]]:
        """Read a query with a picture, and return its parameters and the vector of the picture as `$upload`.

        The picture is decoded here, as every uploaded picture is; the process that runs the query gets its vector.
        """
        (picture,), fields = await self._read_form(request, most=1, field="upload")
        given = from_text(fields, self.request_schemas["sql_upload"])
        params = from_json(given["request"].encode(), self.request_schemas["sql"])
        return params, {"upload": await self.context.nearest.embed(picture, given["encoder"])}

    async def export(self, request: web.Request) -> web.StreamResponse:
        params = from_text(request.query, self.request_schemas["export"])
        self.context.moments(params["as_of"], params["known_at"])
        clocks = params["as_of"], params["known_at"]
        exported = self.context.exports.export(params["query"], params["format"], clocks)
        async with contextlib.aclosing(exported) as chunks:
            first = await anext(chunks, b"")  # an error before the first bytes gets its own status
            return await self._sent_on(request, params["format"], first, chunks)

    async def _sent_on(
        self, request: web.Request, form: str, first: bytes, chunks: AsyncIterator[bytes]
    ) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_type = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}[form]
        response.headers["Content-Disposition"] = f'attachment; filename="result.{form}"'
        self.context.guard.protect(response)
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        await response.write(first)
        try:
            async for chunk in chunks:
                await response.write(chunk)
        except ApiError:  # the status is already sent: abort, so that the client sees an incomplete download
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError from None
        await response.write_eof()
        return response

    async def photo(self, request: web.Request) -> web.Response:
        name = "moment" if "photo_id" in request.match_info else "photo"
        snapshot = await self._snapshot(from_text(request.query, self.request_schemas[name]))
        return json_response(await self._in_thread(photo_details, snapshot, photo_id(request)) | snapshot.said)

    async def features(self, request: web.Request) -> web.Response:
        params, context = await self._read_json(request, "features"), self.context
        encoder = context.nearest.encoder_with_vectors(params["encoder"])
        # A hundred ids take less time than a switch to another thread.
        photos, found = labels_and_vectors(
            context.snapshot, context.store.layout, params["photo_ids"], encoder, context.limits.vectors
        )
        if found is not None:
            vectors = _in_base64(found) if params["vectors"] == "base64" else found
            for photo in photos:
                if photo["embedding"] is not None:
                    photo["embedding"] = vectors[photo["embedding"]]
        return json_response({"encoder": encoder, "dim": None if found is None else found.shape[1], "photos": photos})

    async def similar(self, request: web.Request) -> web.StreamResponse:
        context = self.context
        if request.content_type != "application/json":
            (picture,), fields = await self._read_form(request, most=1, repeated=("photo_id", "unlike"))
            params = from_text(fields, self.request_schemas["similar_upload"])
            snapshot = await self._snapshot(params)
            photo_ids, unlike = params["photo_id"] or [], params["unlike"] or []
            answer = await context.nearest.of_photos(
                snapshot, photo_ids, options_of(params), picture=picture, unlike=unlike
            )
            return json_response(answer)
        params = await self._read_json(request, "similar")
        given = [name for name in ("photo_id", "text", "photo_ids", "vectors") if params[name] is not None]
        if len(given) != 1 and given != ["photo_id", "text"]:
            raise ApiError(
                "bad_request",
                f"The body has {' and '.join(given) or 'no query'}. Expected: photo_id, text or both, photo_ids, or"
                " vectors",
                '{"photo_id": "p000017"}',
            )
        snapshot = await self._snapshot(params)
        if given[0] in ("photo_ids", "vectors"):
            return await self._similar_many.of_json(request, snapshot, params)
        if params["strict"]:
            raise ApiError("bad_request", "The body has strict. Expected: photo_ids or vectors", "leave strict out")
        named = params["photo_id"]
        answer = await context.nearest.of_photos(
            snapshot,
            [named] if isinstance(named, str) else named or [],
            options_of(params),
            text=params["text"],
            unlike=params["unlike"] or (),
        )
        return json_response(answer)

    async def similar_arrow(self, request: web.Request) -> web.StreamResponse:
        params = from_text(request.query, self.request_schemas["similar_arrow"])
        return await self._similar_many.of_arrow(request, await self._snapshot(params), params)

    async def predict(self, request: web.Request) -> web.Response:
        pictures, fields = await self._read_form(request, most=self.context.limits.uploads)
        params = from_text(fields, self.request_schemas["predict"])
        scorer, snapshot = self.context.scorer, self.context.snapshot
        names, notes = await self._in_thread(scorer.runs_for, snapshot, params["run"], params["target"])
        runs = [described(self.context.store.layout, name) for name in names]
        target = runs[0].target
        notes += [note for run in runs if (note := missing_inputs(run))]
        scored = await scorer.score(names, pictures)
        return json_response({"run_id": names[0], "target": target, "photos": scored, "notes": notes})

    async def breakdown(self, request: web.Request) -> web.Response:
        params = from_text(request.query, self.request_schemas["breakdown"])
        snapshot = await self._snapshot(params)
        if "gender_breakdown" not in snapshot.relations:
            raise to_api_error(no_labels_error())
        query = (
            "select * exclude (time_window) from gender_breakdown where time_window = $window"
            " order by n_swipes desc, sender_gender, recipient_gender"
        )
        rows = await self._in_thread(snapshot.query, query, {"window": params["window"]})
        return json_response({"window": params["window"], "rows": rows.to_dicts()} | snapshot.said)

    async def runs(self, request: web.Request) -> web.Response:
        self._refuse_parameters(request)
        unpacked = [
            row | {name: orjson.loads(row[name]) for name in ("hyperparameters", "results")}
            for row in self.context.snapshot.runs
        ]
        return json_response({"runs": unpacked})

    async def gallery(self, request: web.Request) -> web.Response:
        params, context = from_text(request.query, self.request_schemas["gallery"]), self.context
        snapshot = await self._snapshot(params)
        if not snapshot.has_labels and params["by"] != "prediction":
            raise to_api_error(no_labels_error())
        run_id = None
        if params["by"] == "prediction" or params["run"] is not None:
            run_id = (await self._in_thread(context.scorer.shown_run, snapshot, params["run"], "like_ratio"))["run_id"]
        return json_response(await self._in_thread(gallery_page, snapshot, params, run_id) | snapshot.said)

    async def lineage(self, request: web.Request) -> web.Response:
        params, name = from_text(request.query, self.request_schemas["lineage"]), request.match_info["relation"]
        return json_response(await self._in_thread(lineage_of, self.context.store.store, name, params))

    async def store(self, request: web.Request) -> web.Response:
        self._refuse_parameters(request)
        try:
            return json_response(await self._in_thread(self.context.status))
        except PhotogenicError as error:
            raise to_api_error(error) from error

    async def health(self, request: web.Request) -> web.Response:
        self._refuse_parameters(request)
        snapshot = self.context.snapshot
        return json_response(
            {
                "status": "ok",
                "snapshot_at": snapshot.published_at.isoformat(timespec="milliseconds") + "Z",
                "n_photos": len(snapshot.photos),
                "version": version("photogenic"),
            }
        )

    async def metrics(self, request: web.Request) -> web.Response:
        self._refuse_parameters(request)
        context = self.context
        age_s = time.time() - context.snapshot.key[1] / 1e9
        clocks = {
            f"photogenic_labels_{name}_timestamp_seconds": (
                f"Published labels count only what had {verb} before this time; 0: everything.",
                instant.replace(tzinfo=dt.UTC).timestamp() if instant < EVERYTHING else 0.0,
            )
            for name, verb, instant in zip(
                ("as_of", "known_at"), ("happened", "arrived"), context.snapshot.clock, strict=True
            )
        }
        gauges = clocks | {
            "photogenic_snapshot_age_seconds": ("Seconds since the snapshot was published.", age_s),
            "photogenic_photos": ("Photos in the snapshot.", len(context.snapshot.photos)),
            "photogenic_sql_running": ("Queries that run now.", context.sandbox.n_running),
            "photogenic_sql_waiting": ("Queries that wait for their turn.", context.sandbox.n_waiting),
            "photogenic_exports_running": ("Downloads that run now.", context.exports.n_running),
            "photogenic_sql_ended": (
                "Queries that were stopped by force.",
                context.sandbox.n_killed + context.exports.n_killed,
            ),
            "photogenic_thumbnails_made": ("Thumbnails made since the start.", context.pictures.n_made),
            "photogenic_scored_pictures": ("Pictures scored since the start.", context.scorer.n_pictures),
            "photogenic_scored_batches": ("Batches in which they were scored.", context.scorer.n_batches),
        }
        families = await self._in_thread(context.store_metrics.current)
        text = context.metrics.text(gauges, families)
        return web.Response(text=text, headers={"Content-Type": "text/plain; version=0.0.4"})

    async def openapi(self, request: web.Request) -> web.Response:
        self._refuse_parameters(request)
        return web.Response(body=self._described, content_type="application/json")

    async def _snapshot(self, params: dict[str, Any]) -> Snapshot:
        """Return the snapshot of the moment of a request, whose parameters are taken out."""
        return await self.context.at(params.pop("as_of"), params.pop("known_at"))

    async def _read_json(self, request: web.Request, name: str) -> dict[str, Any]:
        if request.content_type != "application/json":
            raise ApiError(
                "unsupported_type", f"The request is {request.content_type}. Expected: application/json", "curl --json"
            )
        self._refuse_parameters(request)
        return from_json(
            await read_body(request, self.context.limits, self.context.limits.body_bytes), self.request_schemas[name]
        )

    async def _read_form(
        self, request: web.Request, most: int, repeated: tuple[str, ...] = (), *, field: str = "image"
    ) -> Any:
        self._refuse_parameters(request)
        async with within_time_limit(self.context.limits):
            return await read_form(request, field, self.context.limits, most=most, repeated=repeated)

    def _refuse_parameters(self, request: web.Request) -> None:
        """Refuse a request with parameters in its address."""
        from_text(request.query, self.request_schemas["nothing"])

    async def _in_thread(self, call: Callable[..., T], *given: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.context.work, call, *given)


def _wants_arrow(request: web.Request) -> bool:
    """Whether the client names Arrow among the types that it accepts, and does not name JSON before it."""
    named = [part.partition(";")[0].strip().lower() for part in request.headers.get("Accept", "").split(",")]
    return ARROW in named and "application/json" not in named[: named.index(ARROW)]


def _arrow_response(body: bytes) -> web.Response:
    """Return rows as Arrow. Headers say whether there are more, since readers of Arrow may drop the metadata."""
    facts = orjson.loads(pa.ipc.open_stream(body).schema.metadata[b"photogenic"])
    headers = {"Photogenic-Rows": str(facts["n_rows"]), "Photogenic-Cut": str(facts["cut"]).lower()}
    return web.Response(body=body, content_type=ARROW, headers=headers)


def _in_base64(vectors: NDArray[np.float32]) -> list[orjson.Fragment]:
    """Encode each row as a JSON string of base64 of little-endian float32. JSON escapes no character of base64."""
    rows = vectors.astype("<f4", copy=False)
    return [orjson.Fragment(b'"%b"' % pybase64.b64encode(row)) for row in rows]
