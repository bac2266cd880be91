"""What a searcher keeps between questions: the snapshot, indices, frequent selections, loaded networks.

Everything is checked against the store at each question: a new index or a new snapshot replaces what was kept.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from photogenic._lazy import duckdb
from photogenic.features.compute.embed_files import Embedded, FileEmbedder
from photogenic.features.encoders.registry import DEFAULT
from photogenic.features.search import index as indices
from photogenic.features.search.as_of import open_past
from photogenic.features.search.filters import PhotoFilter, select
from photogenic.features.search.index_files import Index
from photogenic.warehouse import Database, StoreError

__all__ = ["CACHE_BYTES", "SearchCache"]

CACHE_BYTES = 512 * 10**6
"""Vectors of frequent selections that are kept side by side."""

_MOST = 64


class SearchCache:
    """May be shared between threads.

    Args:
        db: the warehouse.
        n_bytes: most memory for the vectors of selections.
    """

    def __init__(self, db: Database, n_bytes: int = CACHE_BYTES) -> None:
        self.db, self.layout, self.n_bytes = db, db.layout, n_bytes
        self._lock = threading.RLock()
        self._con: duckdb.DuckDBPyConnection | None = None
        self._snapshot: tuple[int, int] | None = None
        self._indices: dict[str, Index] = {}
        self._embedders: dict[str, FileEmbedder] = {}
        self._past: tuple[dt.datetime, duckdb.DuckDBPyConnection] | None = None
        self._selections: OrderedDict[tuple[str, str | None, bool, dt.datetime | None], PhotoFilter] = OrderedDict()

    def close(self) -> None:
        with self._lock:
            if self._con is not None:
                self._con.close()
            self._close_past()
            for embedder in self._embedders.values():
                embedder.close()
            self._con = self._snapshot = None
            self._embedders.clear()
            self._indices.clear()
            self._selections.clear()

    def default_encoder(self) -> str:
        """The first of the default encoders that has an index, else the first there is."""
        made = [known.encoder for known in indices.manifests(self.layout)]
        for name in (*DEFAULT, *made):
            if name in made:
                return name
        raise StoreError(f"There is no search index in {self.layout.root}.", "a store that was built", "features build")

    def index(self, encoder: str) -> Index:
        """The index of an encoder as it is now.

        Raises:
            StoreError: there is none.
        """
        known = indices.manifest(self.layout, encoder)
        with self._lock:
            held = self._indices.get(encoder)
            if held is None or held.manifest.generation != known.generation:
                held = self._indices[encoder] = indices.load(self.layout, encoder)
            return held

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """On the newest snapshot; what was selected from an older one is dropped."""
        with self._lock:
            state = _state(self.layout.snapshot)
            if self._con is None or state != self._snapshot:
                if self._con is not None:
                    self._con.close()
                self._close_past()
                self._con, self._snapshot = self.db.open_snapshot(), state
                self._selections.clear()
            cursor = self._con.cursor()
        cursor.execute("use store")
        return cursor

    def selection(
        self, encoder: str, where: str | None = None, *, popular: bool = False, as_of: dt.datetime | None = None
    ) -> PhotoFilter:
        """The photos that match, of those in the snapshot (as of an instant, UTC) and in the index."""
        index, cursor, key = self.index(encoder), self.cursor(), (encoder, where, popular, as_of)
        with self._lock:
            held = self._selections.pop(key, None)
            if held is None or held.index is not index:
                con = cursor if as_of is None else self._as_of(as_of)
                held = select(con, index, where, popular=popular)
            self._selections[key] = held
            self._make_room()
            return held

    def _as_of(self, instant: dt.datetime) -> duckdb.DuckDBPyConnection:
        """The snapshot as of then. The last instant that was asked for is kept: its labels took a while."""
        if self._past is None or self._past[0] != instant:
            self._close_past()
            self._past = instant, open_past(self.db, instant)
        return self._past[1]

    def _close_past(self) -> None:
        if self._past is not None:
            self._past[1].close()
            self._past = None

    def embed(self, encoder: str, paths: Sequence[Path]) -> list[Embedded]:
        """Vectors of files, by a network that stays loaded."""
        with self._lock:
            if encoder not in self._embedders:
                self._embedders[encoder] = FileEmbedder(encoder, models=self.layout.models)
            return self._embedders[encoder](paths)

    def _make_room(self) -> None:
        """Newest first: lay the vectors of a selection side by side while there is room, forget the rest."""
        left = self.n_bytes
        for age, key in enumerate(reversed(list(self._selections))):
            held = self._selections[key]
            if held.n_bytes <= left and age < _MOST:
                held.prepare()
                left -= 0 if held.every else held.n_bytes
            elif age:
                del self._selections[key]


def _state(snapshot: Path) -> tuple[int, int] | None:
    try:
        stat = snapshot.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns
