"""Nearest photos, for many who ask at once: indices stay mapped, and so do the photos that a predicate picked.

Predicates are SQL that strangers wrote, so the sandbox evaluates them; here only arrays are searched.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from photogenic.app.serve.http.errors import ApiError, translated
from photogenic.app.serve.http.uploads import Upload, in_memory
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
        db: the warehouse.
        sandbox: evaluates predicates.
        work: threads that search.
        networks: the one thread in which networks run.
    """

    def __init__(self, db: Database, sandbox: Sandbox, work: Executor, networks: Executor) -> None:
        self._sandbox, self._work, self._networks = sandbox, work, networks
        # Two, for the one that embeds is locked while it does.
        self._indices, self._embedders = SearchCache(db), SearchCache(db)
        self._held: OrderedDict[tuple[Any, ...], asyncio.Future[PhotoFilter]] = OrderedDict()

    def close(self) -> None:
        self._indices.close()
        self._embedders.close()

    def encoders(self) -> list[str]:
        """Those that have an index."""
        return [known.encoder for known in indices.manifests(self._indices.layout)]

    def usable(self, encoder: str | None) -> str | None:
        """The encoder by whose vectors photos are told; None: the default one, or none where none has any.

        Raises:
            ApiError: it has no vectors.
        """
        folder = self._indices.layout.embeddings("any").parent
        if encoder is not None and folder.is_dir() and encoder in {held.name for held in folder.iterdir()}:
            return encoder
        known = self.encoders()
        if encoder is None:
            return self._indices.default_encoder() if known else None
        raise ApiError(
            "not_usable",
            f"{encoder!r} has no vectors here. Expected: {', '.join(known) or 'a store with vectors'}",
            f"features build --encoder {encoder}",
        )

    def index(self, encoder: str | None) -> Index:
        """The index of an encoder; None: of the default one.

        Raises:
            ApiError: there is none.
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
            raise translated(error) from error

    async def of_photo(self, snapshot: Snapshot, photo_id: str, **asked: Any) -> dict[str, Any]:
        """The photos nearest to one of the store. `asked` as in `_find`."""
        index = self.index(asked.pop("encoder"))
        if snapshot.photo(photo_id) is None:
            raise ApiError(
                "not_found",
                f"There is no photo {photo_id[:200]!r}.",
                'features sql "select photo_id from photos limit 10"',
            )
        (row,) = index.rows([photo_id])
        if row < 0:
            name = index.manifest.encoder
            wants = "a photo with exactly one face" if index.manifest.input == "face" else "a readable photo"
            raise ApiError(
                "not_usable",
                f"Photo {photo_id!r} has no {name} vector. Expected: {wants}",
                f"another encoder, or features build --encoder {name}",
            )
        return await self._find(snapshot, index, index.vectors[row : row + 1], int(row), **asked)

    async def of_upload(self, snapshot: Snapshot, picture: Upload, **asked: Any) -> dict[str, Any]:
        """The photos nearest to a picture. `asked` as in `_find`."""
        index = self.index(asked.pop("encoder"))
        vector = await self._in(self._networks, lambda: self._embedded(index, picture))
        return await self._find(snapshot, index, vector, -1, **asked)

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
            found = selection.photos[selection.places(rows[0][there])].to_dicts()
            photos = [
                {"rank": rank, "photo_id": photo["photo_id"], "user_id": photo["user_id"], "distance": float(distance)}
                | {name: photo[name] for name in COLUMNS[2:]}
                for rank, (photo, distance) in enumerate(zip(found, distances[0][there], strict=True), 1)
            ]
            recall = 1.0 if plan.way == "exact" else index.manifest.recall_at_10
            return {"encoder": index.manifest.encoder, "recall": recall, "n_matching": len(selection), "photos": photos}

        return await self._in(self._work, search)

    async def _selection(self, snapshot: Snapshot, index: Index, where: str | None, popular: bool) -> PhotoFilter:
        """The photos that may be an answer; whoever asks first works it out, the others wait for it."""
        key = (snapshot.key, index.manifest.encoder, index.manifest.generation, where, popular)
        held = self._held.get(key)
        if held is None:
            for old, done in list(self._held.items()):  # what an older snapshot said is not asked for again
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
        if where is None and not popular:
            photos = snapshot.photos.select(COLUMNS)
        else:
            photos = await self._sandbox.select(index.manifest.encoder, where, popular=popular)
        return await self._in(self._work, lambda: self._prepared(PhotoFilter(index, photos)))

    def _prepared(self, selection: PhotoFilter) -> PhotoFilter:
        """Its vectors side by side where there is room; older ones make it."""
        done = [future.result() for future in list(self._held.values()) if future.done() and not future.exception()]
        if selection.n_bytes + sum(held.n_bytes for held in done if not held.every) <= _PREPARED_BYTES:
            selection.prepare()
        while len(self._held) > _MOST:
            self._held.popitem(last=False)
        return selection

    def _embedded(self, index: Index, picture: Upload) -> NDArray[np.float32]:

        if picture.status != "ok":
            raise ApiError("not_usable", f"{picture.name} is {picture.status}: {picture.detail}", "another picture")
        name = index.manifest.encoder
        with in_memory([picture]) as paths:
            try:
                asked = resolve(
                    self._embedders.cursor(),
                    index,
                    lambda files: self._embedders.embed(name, files),
                    paths,
                    models=self._embedders.layout.models,
                )
            except PhotogenicError as error:
                made = translated(error)
                raise ApiError(made.code, made.message.replace(str(paths[0]), picture.name), made.remedy) from error
        return asked.vectors

    async def _in(self, executor: Executor, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(executor, call)
