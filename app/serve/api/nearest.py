"""Search for the nearest photos in concurrent requests: indices and selections of photos stay in memory.

Predicates are SQL of clients and are evaluated by the sandbox. This module only searches arrays.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import pa, pl
from photogenic.app.serve.api.similar_schemas import as_field
from photogenic.app.serve.http.errors import ApiError, to_api_error
from photogenic.app.serve.http.photo_urls import no_photo
from photogenic.app.serve.http.uploads import Upload, as_memory_files
from photogenic.app.serve.snapshot import Snapshot
from photogenic.app.serve.sql_sandbox.pool import Sandbox
from photogenic.features.compute.embed_files import Embedded
from photogenic.features.search import index as indices
from photogenic.features.search.cache import SearchCache
from photogenic.features.search.combine import combined
from photogenic.features.search.filters import COLUMNS, PhotoFilter
from photogenic.features.search.index_files import Index
from photogenic.features.search.options import PhotoSelection, SearchOptions
from photogenic.features.search.queries import Queries, resolve
from photogenic.features.search.searcher import search
from photogenic.features.similar_many.queries import PhotoId, QueryBlock
from photogenic.features.similar_many.search import ManySearch, described
from photogenic.features.text.texts import Text
from photogenic.features.text.towers import text_encoder, text_encoders, text_vector
from photogenic.warehouse import Database, PhotogenicError

__all__ = ["Nearest"]

T = TypeVar("T")

_MOST = 32
_PREPARED_BYTES = 512 * 10**6


class Nearest:
    """Search in one store.

    Args:
        db: Database of the store.
        sandbox: Processes that evaluate predicates.
        work: Threads that search.
        networks: The one thread in which neural networks run.
    """

    def __init__(self, db: Database, sandbox: Sandbox, work: Executor, networks: Executor) -> None:
        self._sandbox, self._work, self._networks = sandbox, work, networks
        # Two caches, because the one that embeds is locked meanwhile.
        self._indices, self._embedders = SearchCache(db), SearchCache(db)
        self._held: OrderedDict[tuple[Any, ...], asyncio.Future[PhotoFilter]] = OrderedDict()

    def close(self) -> None:
        self._indices.close()
        self._embedders.close()

    def encoders(self) -> list[str]:
        """Return the names of the encoders that have an index."""
        return [known.encoder for known in indices.manifests(self._indices.layout)]

    def text_encoders(self) -> list[str]:
        """Return the names of the encoders that have an index and a text tower."""
        return text_encoders(self._indices.layout)

    def encoder_with_vectors(self, encoder: str | None) -> str | None:
        """Return the name of an encoder that has vectors; None stands for the default encoder.

        Returns None if no encoder has vectors.

        Raises:
            ApiError: The encoder has no vectors.
        """
        folder = self._indices.layout.embeddings("any").parent
        if encoder is not None and folder.is_dir() and encoder in {held.name for held in folder.iterdir()}:
            return encoder
        known = self.encoders()
        if encoder is None:
            return self._indices.default_encoder() if known else None
        raise ApiError(
            "not_usable",
            f"{encoder!r} has no vectors. Expected: {', '.join(known) or 'a store with vectors'}",
            f"features build --encoder {encoder}",
        )

    def index(self, encoder: str | None) -> Index:
        """Return the index of an encoder; None stands for the default encoder.

        Raises:
            ApiError: There is no index.
        """
        try:
            name = encoder or self._indices.default_encoder()
            if (known := self.encoders()) and name not in known:
                raise ApiError(
                    "not_usable",
                    f"{name!r} has no index. Expected: one of {', '.join(known)}",
                    "features build --encoder NAME",
                )
            return self._indices.index(name)
        except PhotogenicError as error:
            raise to_api_error(error) from error

    async def of_photo(self, snapshot: Snapshot, photo_id: str, options: SearchOptions) -> dict[str, Any]:
        """Search the photos nearest to a photo of the store."""
        return await self.of_photos(snapshot, [photo_id], options)

    async def of_photos(
        self,
        snapshot: Snapshot,
        photo_ids: list[str],
        options: SearchOptions,
        *,
        picture: Upload | None = None,
        text: str | None = None,
        unlike: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Search the photos nearest to photos of the store, a picture and a text, which are one query together.

        Raises:
            ApiError: A photo is unknown or has no vector, the picture or the text cannot be embedded, or `where` is
                refused.
        """
        remarks: list[str] = []
        index = self.index(options.encoder if text is None else self.text_encoder(options.encoder))
        rows = [self._row(snapshot, index, photo_id) for photo_id in photo_ids]
        owners: list[str | None] = []
        if options.other_users:
            owners = [(snapshot.photo(photo_id) or {})["user_id"] for photo_id in photo_ids]
        vectors = index.vectors[rows]
        if picture is not None:
            vector = await self._run_in(self._networks, lambda: self._embedded(index, picture))
            vectors, rows, owners = np.concatenate([vectors, vector]), [*rows, -1], [*owners, None]
        if text is not None:
            vector = await self._run_in(self._networks, lambda: self._text_embedded(index, text, remarks.append))
            vectors, rows, owners = np.concatenate([vectors, vector[None]]), [*rows, -1], [*owners, None]
        n_like = len(rows)
        rows += [self._row(snapshot, index, photo_id) for photo_id in unlike]
        vectors = np.concatenate([vectors, index.vectors[rows[n_like:]]])
        selection = await self._selection(snapshot, index, options)

        def answered() -> dict[str, Any]:
            queries = combined(Queries(vectors, np.array(rows, np.int64), owners), [n_like], index.manifest.metric)
            found = search(selection, queries, options)
            answer = described(selection, options, found.plan, found.recall)
            photos = found.photos.to_dicts()
            for photo in photos:
                del photo["query"]
            return answer | {"photos": photos, "remarks": [*remarks, *found.notes]} | snapshot.said

        try:
            return await self._run_in(self._work, answered)
        except PhotogenicError as error:
            raise to_api_error(error) from error

    async def many(
        self, snapshot: Snapshot, options: SearchOptions, n_queries: int, *, strict: bool, unlike: Sequence[str] = ()
    ) -> ManySearch:
        """Prepare a search with many queries, which are photo ids and vectors.

        Raises:
            ApiError: There is no index, or `where` is refused.
        """
        index = self.index(options.encoder)
        for photo_id in unlike:
            self._row(snapshot, index, photo_id)
        selection = await self._selection(snapshot, index, options)
        return await self._run_in(
            self._work,
            lambda: ManySearch(
                *(selection, options, snapshot.cursor(), _no_files, self._indices.layout.models),
                unlike=[PhotoId(photo_id) for photo_id in unlike],
                n_queries=n_queries,
                strict=strict,
            ),
        )

    async def answer(self, many: ManySearch, block: QueryBlock) -> pa.RecordBatch:
        """Answer one block of queries.

        Raises:
            ApiError: The search is strict, and a query has a problem.
        """
        try:
            return await self._run_in(self._work, lambda: many.answer(block))
        except PhotogenicError as error:
            raise to_api_error(error) from error

    def _row(self, snapshot: Snapshot, index: Index, photo_id: str) -> int:
        """Return the row of a photo in an index.

        Raises:
            ApiError: The photo is unknown or has no vector.
        """
        if snapshot.photo(photo_id) is None:
            raise no_photo(photo_id, snapshot.deleted_at(photo_id))
        (row,) = index.rows([photo_id])
        if row < 0:
            name = index.manifest.encoder
            wants = "a photo with exactly one face" if index.manifest.input == "face" else "a readable photo"
            raise ApiError(
                "not_usable",
                f"Photo {photo_id!r} has no {name} vector. Expected: {wants}",
                f"another encoder, or features build --encoder {name}",
            )
        return int(row)

    async def embed(self, picture: Upload, encoder: str | None) -> list[float]:
        """Return the vector of an uploaded picture; None stands for the default encoder."""
        index = self.index(encoder)
        vectors = await self._run_in(self._networks, lambda: self._embedded(index, picture))
        found: list[float] = vectors[0].tolist()
        return found

    async def embed_text(self, text: str, encoder: str | None) -> tuple[str, list[float]]:
        """Return the vector of a text and its encoder; None stands for the first with a text tower."""
        index = self.index(self.text_encoder(encoder))
        vector = await self._run_in(self._networks, lambda: self._text_embedded(index, text, lambda _: None))
        found: list[float] = vector.tolist()
        return index.manifest.encoder, found

    async def _selection(self, snapshot: Snapshot, index: Index, options: SearchOptions) -> PhotoFilter:
        """Return the photos that match the options, selected once for concurrent requests."""
        known, chosen = index.manifest, options.selection
        key = (snapshot.key, known.encoder, known.generation, chosen, snapshot.moments)
        held = self._held.get(key)
        if held is None:
            for old, done in list(self._held.items()):  # selections of an older snapshot are not used again
                if old[0] != snapshot.key and done.done():
                    del self._held[old]
            held = self._held[key] = asyncio.ensure_future(self._select(snapshot, index, chosen))
            held.add_done_callback(lambda done: self._forget(key, done))
        self._held.move_to_end(key)
        return await asyncio.shield(held)

    def _forget(self, key: tuple[Any, ...], done: asyncio.Future[PhotoFilter]) -> None:
        if done.cancelled() or done.exception() is not None:
            self._held.pop(key, None)

    async def _select(self, snapshot: Snapshot, index: Index, chosen: PhotoSelection) -> PhotoFilter:
        plain, n_few = snapshot.moments.plain, 0
        if plain is not None:
            clocks = (plain.as_of.isoformat(), plain.known_at.isoformat())
            photos, n_few = await self._selected(index, chosen, clocks)
        elif chosen == PhotoSelection():
            photos = snapshot.photos.select(COLUMNS)
        else:
            photos, n_few = await self._selected(index, chosen)
        return await self._run_in(self._work, lambda: self._prepared(PhotoFilter(index, photos, n_few=n_few)))

    async def _selected(
        self, index: Index, chosen: PhotoSelection, clocks: tuple[str | None, str | None] = (None, None)
    ) -> tuple[pl.DataFrame, int]:
        try:
            return await self._sandbox.select(index.manifest.encoder, chosen, clocks=clocks)
        except ApiError as error:
            if chosen.population is None:
                raise
            raise ApiError(error.code, as_field(error.message), as_field(error.remedy), error.headers) from error

    def _prepared(self, selection: PhotoFilter) -> PhotoFilter:
        """Copy the vectors of a selection to one array if memory allows, and drop old selections."""
        done = [future.result() for future in list(self._held.values()) if future.done() and not future.exception()]
        if selection.n_bytes + sum(held.n_bytes for held in done if not held.has_all_rows) <= _PREPARED_BYTES:
            selection.prepare()
        while len(self._held) > _MOST:
            self._held.popitem(last=False)
        return selection

    def _embedded(self, index: Index, picture: Upload) -> NDArray[np.float32]:

        if picture.status != "ok":
            raise ApiError("not_usable", f"{picture.name} is {picture.status}: {picture.detail}", "another picture")
        name = index.manifest.encoder
        with as_memory_files([picture]) as paths:
            try:
                query = resolve(
                    self._embedders.cursor,
                    index,
                    lambda files: self._embedders.embed(name, files),
                    paths,
                    models=self._embedders.layout.models,
                )
            except PhotogenicError as error:
                made = to_api_error(error)
                raise ApiError(made.code, made.message.replace(str(paths[0]), picture.name), made.remedy) from error
        return query.vectors

    def text_encoder(self, encoder: str | None) -> str:
        """Return the encoder that texts are compared with; None stands for the first with a text tower.

        Raises:
            ApiError: It has no text tower, or none of the store has one.
        """
        try:
            return text_encoder(self._indices.layout, encoder)
        except PhotogenicError as error:
            raise to_api_error(error) from error

    def _text_embedded(self, index: Index, text: str, note: Callable[[str], None]) -> NDArray[np.float32]:
        try:
            return text_vector(self._indices.layout, index.manifest.encoder, Text(text), note=note)
        except PhotogenicError as error:
            raise to_api_error(error) from error

    async def _run_in(self, executor: Executor, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(executor, call)


def _no_files(paths: Sequence[Path]) -> list[Embedded]:
    raise AssertionError(f"queries of clients are photo ids and vectors, not {len(paths)} files")
