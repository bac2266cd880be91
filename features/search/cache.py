"""Cache of a searcher: the snapshot, indices, recent filters and loaded networks.

Each query compares the cache with the store: a new index or snapshot replaces the cached one.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

from photogenic._lazy import duckdb
from photogenic.features.compute.embed_files import Embedded, FileEmbedder
from photogenic.features.encoders.registry import DEFAULT
from photogenic.features.search import index as indices
from photogenic.features.search.filters import RELATIONS, PhotoFilter, select_photos
from photogenic.features.search.index_files import Index
from photogenic.warehouse import Database, StoreError
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
        self._indices: dict[str, Index] = {}
        self._embedders: dict[str, FileEmbedder] = {}
        self._moments = db.moments if isinstance(db, MomentDatabase) else Moments()
        self._past = db.past if isinstance(db, MomentDatabase) else Past(db, note)
        self._filters: OrderedDict[tuple[str, str | None, bool, Moments], PhotoFilter] = OrderedDict()

    def close(self) -> None:
        with self._lock:
            if self._con is not None:
                self._con.close()
            self._past.close()
            for embedder in self._embedders.values():
                embedder.close()
            self._con = self._snapshot = None
            self._embedders.clear()
            self._indices.clear()
            self._filters.clear()

    def default_encoder(self) -> str:
        """The first default encoder that has an index, else the first encoder with an index."""
        made = [manifest.encoder for manifest in indices.manifests(self.layout)]
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

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Open a cursor on the newest snapshot; filters on an older snapshot are dropped."""
        with self._lock:
            state = _state(self.layout.snapshot)
            if self._con is None or state != self._snapshot:
                if self._con is not None:
                    self._con.close()
                self._con, self._snapshot = self.db.open_snapshot(), state
                self._filters.clear()
            cursor = self._con.cursor()
        cursor.execute("use store")
        return cursor

    def photo_filter(
        self, encoder: str, where: str | None = None, *, popular: bool = False, moments: Moments | None = None
    ) -> PhotoFilter:
        """The matching photos that are in the snapshot (or were, at another moment) and in the index."""
        moments = moments or self._moments
        index, cursor, key = self.index(encoder), self.cursor(), (encoder, where, popular, moments)
        with self._lock:
            cached = self._filters.pop(key, None)
            if cached is None or cached.index is not index:
                con = (
                    self._past.cursor(moments, RELATIONS | relations_in(where or "", self._past.catalog))
                    if moments
                    else cursor
                )
                cached = select_photos(con, index, where, popular=popular, past=bool(moments))
            self._filters[key] = cached
            self._evict()
            return cached

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


def _state(snapshot: Path) -> tuple[int, int] | None:
    try:
        stat = snapshot.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns
