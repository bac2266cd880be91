"""Routes of the web pages. Each page is one document that can be read without scripts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.resources import files
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlencode

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined
from multidict import MultiDict

from photogenic.app.report.figures import photo_selection
from photogenic.app.serve.api import schemas
from photogenic.app.serve.api.photo_queries import gallery_page, photo_details, with_genders
from photogenic.app.serve.api.similar import options_of
from photogenic.app.serve.api.similar_schemas import SEVERAL
from photogenic.app.serve.http.context import AppContext
from photogenic.app.serve.http.errors import ApiError, to_api_error
from photogenic.app.serve.http.guard import COOKIE
from photogenic.app.serve.http.photo_urls import PHOTO, address, no_photo
from photogenic.app.serve.http.photo_urls import photo_id as photo_of
from photogenic.app.serve.http.uploads import read_body
from photogenic.app.serve.http.validation import from_text, non_empty_query
from photogenic.app.serve.pages import lineage, views
from photogenic.app.serve.pages.figures import Figures
from photogenic.app.serve.pages.sql_vocabulary import EXAMPLES, PAGES, dictionary, words
from photogenic.app.serve.snapshot import Snapshot
from photogenic.features.search.options import POPULATIONS, SearchOptions
from photogenic.models.runs.run_store import INGESTED
from photogenic.warehouse import InputError
from photogenic.warehouse.duckdb_store.query import no_labels_error

__all__ = ["PAGES", "Pages"]

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_UNBUILT = no_labels_error()
_OF_A_MOMENT = frozenset({"/", "/breakdown", "/similar", "/sql"})
"""Pages that can show another moment."""

T = TypeVar("T")


class Pages:
    """Handlers of the pages and their routes."""

    def __init__(self, context: AppContext) -> None:
        self.context, self.request_schemas = context, schemas.requests(context.limits)
        self._figures = Figures()
        self._templates = Environment(
            loader=PackageLoader("photogenic.app.serve.pages"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
        )
        self._templates.filters["path"] = address
        # Only the name of the folder, because clients must not learn its path.
        name = context.store.layout.root.absolute().name
        self._templates.filters["with_store"] = lambda command: views.with_store(command, name)
        self._templates.filters["instant"] = lambda text: text.replace("T", " ").removesuffix("Z")
        self._templates.filters["capitalize_first"] = lambda text: text[:1].upper() + text[1:]
        # Static files are read once and looked up by name, so that no request reads from disk.
        folder = files("photogenic.app.serve.pages").joinpath("static")
        self._static = {entry.name: entry.read_bytes() for entry in folder.iterdir()}

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the pages and of the files that they load."""
        return [
            web.get("/", self.gallery),
            *(web.get(f"/photos/{named}", self.photo) for named in PHOTO),
            web.get("/similar", self.similar),
            web.get("/sql", self.sql),
            web.get("/breakdown", self.breakdown),
            web.get("/models", self.models),
            web.get("/store", self.store),
            web.get("/lineage", self.lineage),
            web.get("/lineage/{relation}", self.lineage),
            web.get("/api", self.api),
            web.get("/login", self.login),
            web.post("/login", self.login_post),
            web.get("/static/{name}", self.static),
            *(web.get(f"/{{kind:thumbs|pictures}}/{named}", self.picture) for named in PHOTO),
        ]

    async def gallery(self, request: web.Request) -> web.Response:
        context = self.context
        # Like ratios of few swipes are hidden by default; posts have no swipes.
        params = from_text(
            ({"least": "20"} if self._has_swipe_labels() else {}) | non_empty_query(request),
            self.request_schemas["gallery"],
        )
        snapshot = await context.at(params["as_of"], params["known_at"])
        run, problem = None, None
        found: dict[str, Any] = {"n_photos": 0, "photos": []}
        try:
            if params["by"] == "prediction" or params["run"] is not None:
                run = await self._in_thread(context.scorer.shown_run, snapshot, params["run"], "like_ratio")
            elif not snapshot.has_labels:
                raise to_api_error(_UNBUILT)
            found = await self._in_thread(gallery_page, snapshot, params, run and run["run_id"])
        except ApiError as error:
            problem = error
        kept = {name: str(value).lower() if isinstance(value, bool) else value for name, value in params.items()}
        query = urlencode({n: v for n, v in kept.items() if v is not None and n not in ("offset", "limit")})
        more = f"/?{query}&offset={params['offset'] + len(found['photos'])}"
        return self._page(
            "gallery",
            "/",
            "Gallery",
            snapshot=snapshot,
            params=params,
            run=run,
            problem=problem,
            query=query,
            more=more,
            **found,
        )

    async def photo(self, request: web.Request) -> web.Response:
        photo_id = photo_of(request)
        snapshot = await self._snapshot(request)
        photo = await self._in_thread(photo_details, snapshot, photo_id)
        weeks = await self._in_thread(views.weeks, snapshot, photo_id)
        intervals = {row["time_window"]: row for row in photo["like_ratios"]}
        mine = [row for row in intervals.values() if photo["label"] and row["like_ratio"] == photo["label"]["value"]]
        source = (photo["label"] or {}).get("source", "swipes")
        similar, encoder, why_none = await self._similar_popular(snapshot, photo_id, source)
        is_held = self.context.snapshot.photo(photo_id) is not None
        deleted_at = await self._in_thread(self.context.snapshot.deleted_at, photo_id)
        return self._page(
            "photo",
            "",
            photo_id,
            snapshot=snapshot,
            photo=photo,
            within=snapshot.photo(photo_id) or {},
            weeks=weeks,
            interval=mine[0] if mine else None,
            has_picture=photo["status"] == "ok" and is_held,
            absent=views.absent(photo["status"]) if is_held else views.deleted(deleted_at),
            present=f"/photos/{address(photo_id)}",
            similar=similar,
            encoder=encoder,
            why_none=why_none,
        )

    async def similar(self, request: web.Request) -> web.Response:
        context, snapshot = self.context, await self._snapshot(request)
        encoders = context.nearest.encoders()
        # A form sends choices that are not made as empty values; an empty `where` is a choice against the default.
        defaults = {"k": "12", "popular": "true"}
        if self._has_swipe_labels():
            defaults["where"] = "source = 'swipes' and weight >= 20"
        given = [(name, value.strip()) for name, value in request.query.items()]
        given += [(name, value) for name, value in defaults.items() if name not in request.query]
        params = from_text(MultiDict((n, v) for n, v in given if v), self.request_schemas["similar_page"])
        photo_ids, unlike = params["photo_id"] or [], params["unlike"] or []
        shown: dict[str, Any] = {"found": None, "problem": None}
        if photo_ids and encoders:
            try:
                options = options_of(dict(params))
                found = await context.nearest.of_photos(snapshot, photo_ids, options, unlike=unlike)
                shown["found"] = found | {"photos": with_genders(snapshot, found["photos"])}
            except ApiError as error:
                shown["problem"] = error
        some = snapshot.photos["photo_id"]
        return self._page(
            "similar",
            "/similar",
            "Similar photos",
            snapshot=snapshot,
            encoders=encoders,
            text_encoders=context.nearest.text_encoders(),
            encoder=params["encoder"] or (context.nearest.index(None).manifest.encoder if encoders else ""),
            params=params,
            photo_ids=photo_ids,
            unlike=unlike,
            example=some[0] if len(some) else "",
            populations=POPULATIONS,
            several=SEVERAL,
            **shown,
        )

    async def sql(self, request: web.Request) -> web.Response:
        known = from_text(non_empty_query(request), self._one_parameter("q"))
        snapshot = await self._snapshot(request)
        query = known["q"] or EXAMPLES[0][1]
        described, extension = dictionary(snapshot.catalog), self.context.store.database.extension
        return self._page(
            "sql",
            "/sql",
            "SQL",
            snapshot=snapshot,
            query=query,
            examples=EXAMPLES,
            dictionary=described,
            words=words(described, extension.functions() if extension is not None else ()),
            added=snapshot.catalog.added,
        )

    async def breakdown(self, request: web.Request) -> web.Response:
        params = from_text(non_empty_query(request), self.request_schemas["breakdown"])
        shown: dict[str, Any] = {"problem": None, "window": params["window"]}
        snapshot = await self.context.at(params["as_of"], params["known_at"])
        if "gender_breakdown" in snapshot.relations:
            shown |= await self._in_thread(views.breakdown, snapshot, params["window"])
        else:
            shown["problem"] = to_api_error(_UNBUILT)
        return self._page("breakdown", "/breakdown", "Breakdown", snapshot=snapshot, **shown)

    async def models(self, _: web.Request) -> web.Response:
        snapshot = self.context.snapshot
        n_ingested = sum(run["origin"] == INGESTED for run in snapshot.runs)
        return self._page(
            "models",
            "/models",
            "Models",
            n_trained=len(snapshot.runs) - n_ingested,
            n_ingested=n_ingested,
            alike=await self._alike(),
            **await self._in_thread(self._drawn, snapshot),
        )

    async def store(self, _: web.Request) -> web.Response:
        status = await self._in_thread(self.context.status)
        builds = await self._in_thread(self.context.snapshot.query, "from builds order by started_at desc limit 10")

        def count(name: str) -> str:
            n = status["relations"].get(name)
            return "–" if n is None else f"{n:,}"

        return self._page(
            "store",
            "/store",
            "Store",
            status=status,
            builds=builds.to_dicts(),
            relations=views.relations(self.context.snapshot, status),
            count=count,
        )

    async def lineage(self, request: web.Request) -> web.Response:
        name = request.match_info.get("relation")
        if name is None:
            shown = await self._in_thread(lineage.drawn_overview, self.context.store.store)
            return self._page("lineage", "/lineage", "Lineage", **shown)
        try:
            shown = await self._in_thread(lineage.drawn, self.context.store.store, name)
        except InputError as error:
            raise ApiError("not_found", f"{error.what} Expected: {error.expected}.", "/lineage") from error
        return self._page("lineage", "/lineage", name, **shown)

    async def api(self, _: web.Request) -> web.Response:
        return self._page("api", "/api", "API")

    async def login(self, request: web.Request) -> web.Response:
        return self._login(request.query.get("next", "/"), wrong=False)

    async def login_post(self, request: web.Request) -> web.Response:
        if request.content_type != "application/x-www-form-urlencoded":
            raise ApiError("unsupported_type", f"The form is {request.content_type}.", "open /login in a browser")
        sent = await read_body(request, self.context.limits, 50_000)
        form = parse_qs(sent.decode("utf-8", "replace"), max_num_fields=16)
        (shown, *_), (target, *_) = form.get("token", [""]), form.get("next", ["/"])
        if self.context.guard.token is None or not self.context.guard.is_token(shown):
            await self.context.guard.delay_wrong_token(request)
            return self._login(target, wrong=True)
        inside = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
        answer = web.Response(status=303, headers={"Location": target if inside else "/"})
        secure = request.headers.get("X-Forwarded-Proto") == "https"
        answer.set_cookie(
            COOKIE, self.context.guard.cookie(), httponly=True, samesite="Strict", secure=secure, max_age=30 * 86_400
        )
        return answer

    async def static(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        data = self._static.get(name)
        if data is None:
            raise web.HTTPNotFound
        kind = _TYPES[name.rpartition(".")[2]]
        return web.Response(body=data, content_type=kind, charset="utf-8", headers={"Cache-Control": "no-cache"})

    async def picture(self, request: web.Request) -> web.Response:
        snapshot, photo_id = self.context.snapshot, photo_of(request)
        if (photo := snapshot.photo(photo_id)) is None:
            raise no_photo(photo_id, snapshot.deleted_at(photo_id))
        if photo["sha256"] is None:
            return web.Response(body=self._static["absent.svg"], content_type="image/svg+xml")
        kind = {"thumbs": "thumb", "pictures": "picture"}[request.match_info["kind"]]
        tag = f'"{photo["sha256"][:16]}-{kind}"'
        headers = {"ETag": tag, "Cache-Control": "private, max-age=3600"}
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers=headers)
        data = await self.context.pictures.of(photo["sha256"], kind)
        if data is None:
            return web.Response(body=self._static["absent.svg"], content_type="image/svg+xml")
        return web.Response(body=data, content_type="image/jpeg", headers=headers)

    def problem(self, error: ApiError) -> web.Response:
        """Return an error as a page."""
        heading = {404: "Not found", 403: "Not allowed", 421: "Unknown host"}.get(error.status, "The request failed")
        return self._page("problem", "", heading, code=error.status, problem=error)

    def _login(self, target: str, *, wrong: bool) -> web.Response:
        status = 403 if wrong else 200
        values: dict[str, Any] = {"wrong": wrong, "next": target[:2_000]}
        values |= {"pages": (), "snapshot_at": "", "moment": ""}
        return self._page("login", "", "Photogenic", code=status, **values)

    def _page(
        self,
        template: str,
        current_page: str,
        heading: str,
        *,
        code: int = 200,
        snapshot: Snapshot | None = None,
        **values: Any,
    ) -> web.Response:
        snapshot = snapshot or self.context.snapshot
        at = self.context.snapshot.published_at.isoformat(timespec="milliseconds") + "Z"
        clocks = views.clocks(snapshot)
        moment_query = f"?{urlencode(clocks)}" if snapshot.moments else ""
        pages = [
            (name, page + (moment_query if page in _OF_A_MOMENT else ""), page == current_page) for name, page in PAGES
        ]
        shown = {
            "moment": snapshot.moment,
            "moment_query": moment_query,
            "moment_notes": snapshot.notes,
            "clocks": clocks,
            "present": current_page or "/",
        }
        shown |= {"pages": pages, "heading": heading, "snapshot_at": at} | values
        text = self._templates.get_template(f"{template}.html").render(**shown)
        return web.Response(text=text, content_type="text/html", status=code)

    async def _snapshot(self, request: web.Request) -> Snapshot:
        """Return the snapshot of the moment in the address of a page."""
        query = non_empty_query(request)
        params = from_text(
            {name: query[name] for name in schemas.MOMENT if name in query}, self.request_schemas["moment"]
        )
        return await self.context.at(params["as_of"], params["known_at"])

    async def _similar_popular(
        self, snapshot: Snapshot, photo_id: str, source: str, k: int = 8
    ) -> tuple[list[dict[str, Any]], str, str]:
        """Return similar popular photos, the encoder, and the reason if there are none."""
        context = self.context
        where = f"source = '{source}'" + (" and weight >= 20" if source == "swipes" else "")
        try:
            options = SearchOptions(k=k, where=where, popular=True)
            found = await context.nearest.of_photo(snapshot, photo_id, options)
        except ApiError as error:
            return [], "", f"{error.message} {error.remedy}"
        return with_genders(snapshot, found["photos"]), found["encoder"], "There are no popular photos yet."

    async def _alike(self) -> list[dict[str, Any]]:
        """Search popular photos of other users that are similar to photos near the median."""
        if not self.context.nearest.encoders() or "photo_setups" not in self.context.snapshot.relations:
            return []
        pairs = []
        for query in (
            await self._in_thread(self.context.snapshot.query, photo_selection.query("median_photos"))
        ).to_dicts():
            found, _, _ = await self._similar_popular(
                self.context.snapshot, query["photo_id"], "swipes", photo_selection.COLUMNS + 5
            )
            others = [one for one in found if one["user_id"] != query["user_id"]][: photo_selection.COLUMNS - 1]
            if others:
                pairs.append({"query": query, "found": others})
        return pairs

    def _drawn(self, snapshot: Snapshot) -> dict[str, Any]:
        return self._figures.of(snapshot, self.context.scorer.shown_runs(snapshot))

    def _has_swipe_labels(self) -> bool:
        """Return whether labels come from swipes."""
        return bool((self.context.snapshot.photos["source"] == "swipes").any())

    def _one_parameter(self, name: str) -> dict[str, Any]:
        text = {"type": "string", "maxLength": 100_000}
        return {"type": "object", "properties": {name: text, **schemas.MOMENT}, "required": []}

    async def _in_thread(self, call: Callable[..., T], *given: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.context.work, call, *given)
