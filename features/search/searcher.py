"""Nearest photos: by photo, by file, by vector, one or many at once, among all photos or those that match.

1. Turn each query into a vector (a photo's own, a file's by its encoder).
2. Find which photos may be an answer (filters.py).
3. Choose the way (planner.py) and search.
4. Drop the query photo itself, and say of each neighbour what the store knows.

The distance is the encoder's own (features/search/exact.py): Euclidean, or 1 - cos. Equal distances come in order of
photo_id. There are always exactly k answers, or all that match.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import pl
from photogenic.features.search.cache import CACHE_BYTES, SearchCache
from photogenic.features.search.filters import COLUMNS, PhotoFilter
from photogenic.features.search.planner import Plan, choose
from photogenic.features.search.queries import resolve
from photogenic.warehouse import Store
from photogenic.warehouse.duckdb_store.error_mapping import map_engine_errors
from photogenic.warehouse.option_ranges import check

__all__ = ["Found", "Searcher", "answer", "similar"]


@dataclass(frozen=True, slots=True)
class Found:
    """The answer to a search.

    Attributes:
        photos: `query` (its number), `rank`, then what is known: photo_id, user_id, distance, like_ratio,
            weight, percentile, popular, path.
        n_matching: photos that could be an answer.
        plan: how the search was carried out.
        recall: 1 when exact, else the index's measured recall@10.
    """

    photos: pl.DataFrame
    n_matching: int
    plan: Plan
    recall: float


def similar(
    store: Store,
    query: str | Path | NDArray[np.float32],
    *,
    k: int = 10,
    encoder: str | None = None,
    where: str | None = None,
    popular: bool = False,
    as_of: dt.datetime | None = None,
    exact: bool | None = None,
) -> pl.DataFrame:
    """The k photos most similar to one. See `Searcher.similar`, which also keeps what it read."""
    with Searcher(store) as searcher:
        return searcher.similar(query, k=k, encoder=encoder, where=where, popular=popular, as_of=as_of, exact=exact)


class Searcher:
    """Search in one store. Keeps indices and selections between questions, until the store changes.

    May be shared between threads.

    Args:
        store: the open store.
        cache_bytes: most memory for the vectors of frequent selections.
    """

    def __init__(self, store: Store, *, cache_bytes: int = CACHE_BYTES) -> None:
        self.cache, self.progress = SearchCache(store.database, cache_bytes), store.progress

    def __enter__(self) -> Searcher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the snapshot and of all that was kept."""
        self.cache.close()

    def similar(
        self,
        query: str | Path | NDArray[np.float32],
        *,
        k: int = 10,
        encoder: str | None = None,
        where: str | None = None,
        popular: bool = False,
        as_of: dt.datetime | None = None,
        exact: bool | None = None,
    ) -> pl.DataFrame:
        """The k photos most similar to one, nearest first; the query photo itself is not among them.

        Args:
            query: a photo id, the path of a picture, or a vector float (d,).
            k: how many.
            encoder: in whose eyes; None: the first of the default encoders that has an index, else any.
            where: SQL predicate over photo_labels and what belongs to them; None: all photos, labelled or not.
            popular: only photos above the median of their label set.
            as_of: UTC; only photos that had arrived before, with the labels they would have had.
                None: as of the last build.
            exact: True: the true nearest whatever it costs; None: unless the planner finds that too slow.
            progress: hears when fewer than k match, or when the answer is not certainly exact.

        Returns:
            rank (from 1), photo_id, user_id, distance, like_ratio, weight, percentile, popular, path.

        Raises:
            InputError: an unknown photo, a file that cannot be embedded, a vector of another shape, k < 1.
            QueryError: `where` cannot be evaluated.
            StoreError: there is no index.
        """
        found = self.find([query], k=k, encoder=encoder, where=where, popular=popular, as_of=as_of, exact=exact)
        if len(found.photos) < k:
            self.progress.note(f"{len(found.photos)} photos match; {k} were asked for.")
        if found.recall < 1:
            self.progress.note(f"Searched by the index: about {found.recall:.1%} of the true nearest.")
        return found.photos.drop("query")

    def find(
        self,
        queries: Sequence[str | Path | NDArray[np.float32]] | NDArray[np.float32],
        *,
        k: int = 10,
        encoder: str | None = None,
        where: str | None = None,
        popular: bool = False,
        as_of: dt.datetime | None = None,
        exact: bool | None = None,
    ) -> Found:
        """As `similar`, for many queries at once, with an account of how they were answered."""
        check(k=k)
        name = encoder or self.cache.default_encoder()
        with map_engine_errors(self.cache.layout):
            index = self.cache.index(name)
            asked = resolve(
                self.cache.cursor(),
                index,
                lambda paths: self.cache.embed(name, paths),
                queries,
                models=self.cache.layout.models,
            )
            selection = self.cache.selection(name, where, popular=popular, as_of=as_of)
        plan, distances, rows = answer(asked.vectors, selection, k, exclude=asked.rows, exact=exact)
        return Found(
            _table(selection, distances, rows),
            n_matching=len(selection),
            plan=plan,
            recall=1.0 if plan.way == "exact" else index.manifest.recall_at_10,
        )


def answer(
    Q: NDArray[np.float32],
    selection: PhotoFilter,
    k: int,
    *,
    exclude: NDArray[np.int64] | None = None,
    exact: bool | None = None,
) -> tuple[Plan, NDArray[np.float64], NDArray[np.int64]]:
    """Steps 3 and 4 on arrays.

    Args:
        Q: float32 (q, d).
        selection: which photos may be an answer.
        k: how many.
        exclude: int64 (q,), for each query the row that is no answer; -1: none.
        exact: as in `Searcher.similar`.

    Returns:
        The plan, distances float64 (q, k), rows of the index int64 (q, k); where there are fewer, infinity and -1.
    """
    index, dim = selection.index, selection.index.manifest.dim
    own = np.full(len(Q), -1) if exclude is None else exclude
    more = k + bool((own >= 0).any())
    plan = choose(len(Q), len(selection), len(index), dim, shortcut=index.manifest.kind != "Flat", exact=exact)
    if plan.way == "exact" or index.ivf is None:
        return plan, *_without(*selection.nearest(Q, more), own, k)
    metric = index.manifest.metric
    distances, rows = index.ivf.search(index.vectors, Q, more, metric, selection.keep())
    if len(selection) < more:
        distances, rows = selection.nearest(Q, more)
    elif (short := rows[:, -1] < 0).any():
        distances[short], rows[short] = selection.nearest(Q[short], more)
    return plan, *_without(distances, rows, own, k)


def _without(
    distances: NDArray[np.float64], rows: NDArray[np.int64], own: NDArray[np.int64], k: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The first k of each line that are not the query's own row."""
    mine = (rows == own[:, None]) & (own >= 0)[:, None]
    if mine.any():
        order = np.argsort(mine, axis=1, kind="stable")
        distances = np.take_along_axis(np.where(mine, np.inf, distances), order, 1)
        rows = np.take_along_axis(np.where(mine, -1, rows), order, 1)
    return distances[:, :k], rows[:, :k]


def _table(selection: PhotoFilter, distances: NDArray[np.float64], rows: NDArray[np.int64]) -> pl.DataFrame:
    """One line per answer, in order of query and rank."""
    there = rows >= 0
    query, place = np.nonzero(there)
    frame = selection.photos[selection.places(rows[there])]
    return frame.select(
        pl.Series("query", query, pl.Int64),
        pl.Series("rank", place + 1, pl.Int64),
        "photo_id",
        "user_id",
        pl.Series("distance", distances[there], pl.Float64),
        *COLUMNS[2:],
    )
