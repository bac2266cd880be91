"""Search for the nearest photos in concurrent requests: indices and selections of photos stay in memory.

Predicates are SQL of clients and are evaluated by the sandbox. This module only searches arrays.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from photogenic.app.serve.http.errors import ApiError, to_api_error
from photogenic.app.serve.http.photo_urls import no_photo
from photogenic.app.serve.http.uploads import Upload, as_memory_files
from photogenic.app.serve.snapshot import Snapshot
from photogenic.app.serve.sql_sandbox.pool import Sandbox
from photogenic.features.search import index as indices
from photogenic.features.search.cache import SearchCache
from photogenic.features.search.filters import COLUMNS, PhotoFilter
from photogenic.features.search.index_files import Index
from photogenic.features.search.queries import resolve
from photogenic.features.search.searcher import answer
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

    async def of_photo(self, snapshot: Snapshot, photo_id: str, **options: Any) -> dict[str, Any]:
        """Search the photos nearest to a photo of the store. `options` are those of `_find`."""
        index = self.index(options.pop("encoder"))
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
        return await self._find(snapshot, index, index.vectors[row : row + 1], int(row), **options)

    async def of_upload(self, snapshot: Snapshot, picture: Upload, **options: Any) -> dict[str, Any]:
        """Search the photos nearest to an uploaded picture. `options` are those of `_find`."""
        index = self.index(options.pop("encoder"))
        vector = await self._run_in(self._networks, lambda: self._embedded(index, picture))
        return await self._find(snapshot, index, vector, -1, **options)

    async def _find(
        self,
        snapshot: Snapshot,
        index: Index,
        vector: NDArray[np.float32],
        own: int,
        *,
        k: int,
        where: str | None,
        popular: bool,
        exact: bool | None = None,
    ) -> dict[str, Any]:

        selection = await self._selection(snapshot, index, where, popular)
        exclude = np.array([own])

        def search() -> dict[str, Any]:
            plan, distances, rows = answer(np.ascontiguousarray(vector), selection, k, exclude=exclude, exact=exact)
            there = rows[0] >= 0
            rows_found = selection.photos[selection.positions(rows[0][there])].to_dicts()
            photos = [
                {"rank": rank, "photo_id": photo["photo_id"], "user_id": photo["user_id"], "distance": float(distance)}
                | {name: photo[name] for name in COLUMNS[2:]}
                for rank, (photo, distance) in enumerate(zip(rows_found, distances[0][there], strict=True), 1)
            ]
            recall = 1.0 if plan.way == "exact" else index.manifest.recall_at_10
            found = {
                "encoder": index.manifest.encoder,
                "recall": recall,
                "n_matching": len(selection),
                "photos": photos,
            }
            return found | snapshot.said

        return await self._run_in(self._work, search)

    async def _selection(self, snapshot: Snapshot, index: Index, where: str | None, popular: bool) -> PhotoFilter:
        """Return the photos that match a predicate, evaluated once for concurrent requests."""
        key = (snapshot.key, index.manifest.encoder, index.manifest.generation, where, popular, snapshot.moments)
        held = self._held.get(key)
        if held is None:
            for old, done in list(self._held.items()):  # selections of an older snapshot are not used again
                if old[0] != snapshot.key and done.done():
                    del self._held[old]
            held = self._held[key] = asyncio.ensure_future(self._select(snapshot, index, where, popular))
            held.add_done_callback(lambda done: self._forget(key, done))
        self._held.move_to_end(key)
        return await asyncio.shield(held)

    def _forget(self, key: tuple[Any, ...], done: asyncio.Future[PhotoFilter]) -> None:
        if done.cancelled() or done.exception() is not None:
            self._held.pop(key, None)

    async def _select(self, snapshot: Snapshot, index: Index, where: str | None, popular: bool) -> PhotoFilter:
        plain = snapshot.moments.plain
        if plain is not None:
            clocks = (plain.as_of.isoformat(), plain.known_at.isoformat())
            photos = await self._sandbox.select(index.manifest.encoder, where, popular=popular, clocks=clocks)
        elif where is None and not popular:
            photos = snapshot.photos.select(COLUMNS)
        else:
            photos = await self._sandbox.select(index.manifest.encoder, where, popular=popular)
        return await self._run_in(self._work, lambda: self._prepared(PhotoFilter(index, photos)))

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
                    self._embedders.cursor(),
                    index,
                    lambda files: self._embedders.embed(name, files),
                    paths,
                    models=self._embedders.layout.models,
                )
            except PhotogenicError as error:
                made = to_api_error(error)
                raise ApiError(made.code, made.message.replace(str(paths[0]), picture.name), made.remedy) from error
        return query.vectors

    async def _run_in(self, executor: Executor, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(executor, call)
