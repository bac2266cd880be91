"""Cache of a searcher: the snapshot, indices, recent filters and loaded networks.

Each query compares the cache with the store: a new index or snapshot replaces the cached one.
"""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from photogenic._lazy import duckdb, pl
from photogenic.features.compute.embed_files import Embedded, FileEmbedder
from photogenic.features.encoders.registry import DEFAULT
from photogenic.features.search import index as indices
from photogenic.features.search.filters import PhotoFilter, relations_text, select_photos
from photogenic.features.search.index_files import FEW_IDS, Index, place
from photogenic.features.search.options import PhotoSelection
from photogenic.warehouse import Database, StoreError
from photogenic.warehouse.duckdb_store.database import snapshot_state
from photogenic.warehouse.duckdb_store.extension import Instance
from photogenic.warehouse.labels.past import MomentDatabase, Past, relations_in
from photogenic.warehouse.moment import Moments

__all__ = ["CACHE_BYTES", "SearchCache"]

CACHE_BYTES = 512 * 10**6
"""Largest total size of the cached vectors of filters, in bytes."""

_MAX_FILTERS = 64


class SearchCache:
    """Cache of the parts of a store that searches need. It is thread-safe.

    Args:
        db: the warehouse.
        n_bytes: largest total size of the cached vectors of filters, in bytes.
        note: called with the reason why relations of a moment are empty.
    """

    def __init__(
        self, db: Database, n_bytes: int = CACHE_BYTES, *, note: Callable[[str], None] = lambda _: None
    ) -> None:
        self.db, self.layout, self.n_bytes = db, db.layout, n_bytes
        self._lock = threading.RLock()
        self._con: duckdb.DuckDBPyConnection | None = None
        self._snapshot: tuple[int, int] | None = None
        self._con_state: tuple[int, int] | None = None
        self._indices: dict[str, Index] = {}
        self._embedders: dict[str, FileEmbedder] = {}
        self._moments = db.moments if isinstance(db, MomentDatabase) else Moments()
        self._past = db.past if isinstance(db, MomentDatabase) else Past(db, note)
        self._filters: OrderedDict[tuple[object, ...], PhotoFilter] = OrderedDict()
        self._photos: pl.DataFrame | None = None
        self._pinned = threading.local()

    def close(self) -> None:
        with self._lock:
            if self._con is not None:
                self._con.close()
            self._past.close()
            for embedder in self._embedders.values():
                embedder.close()
            self._con = self._con_state = self._snapshot = None
            self._embedders.clear()
            self._indices.clear()
            self._filters.clear()
            self._photos = None

    def default_encoder(self) -> str:
        """The encoder of the settings, else the first default encoder that has an index, else the first with an index.

        Raises:
            StoreError: the encoder of the settings has no index, or no encoder has one.
        """
        made = [manifest.encoder for manifest in indices.manifests(self.layout)]
        chosen = self.db.settings.encoder
        if chosen is not None and made and chosen not in made:
            raise StoreError(
                f"The settings name {chosen} as the encoder of searches, and it has no index.",
                f"one of {', '.join(made)}",
                f"features build --encoder {chosen}, or another encoder in [settings] or FEATURES_ENCODER",
            )
        if chosen in made:
            return chosen
        for name in (*DEFAULT, *made):
            if name in made:
                return name
        self.db.require()
        raise StoreError(f"There is no search index in {self.layout.root}.", "a store that was built", "features build")

    def index(self, encoder: str) -> Index:
        """The current index of an encoder.

        Raises:
            StoreError: the encoder has no index.
        """
        manifest = indices.manifest(self.layout, encoder)
        with self._lock:
            cached = self._indices.get(encoder)
            if cached is None or cached.manifest.generation != manifest.generation:
                cached = self._indices[encoder] = indices.load(self.layout, encoder)
            return cached

    @contextlib.contextmanager
    def pinned(self, instance: Instance) -> Iterator[None]:
        """Context manager in which this thread searches the snapshot and the moment of an instance.

        A search inside a query has to read what the query reads, also if a newer snapshot was published meanwhile.
        """
        self._pinned.instance = instance
        try:
            yield
        finally:
            self._pinned.instance = None

    def _pin(self) -> Instance | None:
        return getattr(self._pinned, "instance", None)

    def _read_state(self, state: tuple[int, int] | None) -> bool:
        """Drop the filters on another snapshot than this one; return whether it is another."""
        is_other = state != self._snapshot
        if is_other:
            self._filters.clear()
            self._photos = None
            self._snapshot = state
        return is_other

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Open a cursor on the newest snapshot; filters on an older snapshot are dropped."""
        with self._lock:
            if (pin := self._pin()) is not None:
                self._read_state(pin.state)
                return pin.cursor("store")
            state = snapshot_state(self.layout)
            self._read_state(state)
            if self._con is None or state != self._con_state:
                if self._con is not None:
                    self._con.close()
                self._con, self._con_state = self.db.open_snapshot(), state
            cursor = self._con.cursor()
        cursor.execute("use store")
        return cursor

    def photo_filter(
        self, encoder: str, where: str | PhotoSelection | None = None, *, moments: Moments | None = None
    ) -> PhotoFilter:
        """The matching photos that are in the snapshot (or were, at another moment) and in the index."""
        selection = where if isinstance(where, PhotoSelection) else PhotoSelection(where)
        pin = self._pin()
        moments = moments or (self._moments if pin is None else pin.moments)
        index = self.index(encoder)
        with self._lock:
            self._read_state(snapshot_state(self.layout) if pin is None else pin.state)
            key = (self._snapshot if pin is None else pin.state, encoder, selection, moments)
            cached = self._filters.pop(key, None)
            if cached is None or cached.index is not index:
                cached = select_photos(
                    self._past_cursor(moments, selection) if moments else self.cursor(),
                    index,
                    selection.where,
                    popular=selection.popular,
                    population=selection.population,
                    popularity_by=selection.popularity_by,
                    past=bool(moments),
                )
            self._filters[key] = cached
            self._evict()
            return cached

    def known(self, photo_ids: Sequence[str]) -> dict[str, str | None]:
        """The owners of those of the photos that are in the snapshot; each snapshot is read once."""
        pin = self._pin()
        with self._lock:
            self._read_state(snapshot_state(self.layout) if pin is None else pin.state)
            if self._photos is None:
                self._photos = self.cursor().sql("select photo_id, user_id from photos order by photo_id").pl()
            photos = self._photos
        if not len(photos):
            return {}
        if len(photo_ids) <= FEW_IDS:
            ids, owners = photos["photo_id"], photos["user_id"]
            at = {photo_id: place(ids, photo_id) for photo_id in photo_ids}
            return {photo_id: owners[row] for photo_id, row in at.items() if row >= 0}
        wanted = pl.Series(photo_ids, dtype=pl.String)
        places = photos["photo_id"].search_sorted(wanted)
        found = photos[np.minimum(places.to_numpy(), len(photos) - 1)]
        return dict(found.filter(found["photo_id"] == wanted).iter_rows())

    def _past_cursor(self, moments: Moments, selection: PhotoSelection) -> duckdb.DuckDBPyConnection:
        if (pin := self._pin()) is not None:
            return pin.cursor()
        return self._past.cursor(moments, relations_in(relations_text(selection), self._past.catalog))

    def embed(self, encoder: str, paths: Sequence[Path]) -> list[Embedded]:
        """Compute the vectors of files with a network that stays loaded."""
        with self._lock:
            if encoder not in self._embedders:
                self._embedders[encoder] = FileEmbedder(encoder, models=self.layout.models)
            return self._embedders[encoder](paths)

    def _evict(self) -> None:
        """Keep the vectors of the newest filters in contiguous memory within the limit, and drop the other filters."""
        left = self.n_bytes
        for age, key in enumerate(reversed(list(self._filters))):
            cached = self._filters[key]
            if cached.n_bytes <= left and age < _MAX_FILTERS:
                cached.prepare()
                left -= 0 if cached.has_all_rows else cached.n_bytes
            elif age:
                del self._filters[key]
