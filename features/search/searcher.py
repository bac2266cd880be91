"""Find the nearest photos of photos, files or vectors, among all photos or those that match a predicate.

1. Resolve each query to a vector: the stored one of a photo, or the embedding of a file (queries.py).
2. Select the photos that may be results (filters.py).
3. Choose how to search (planner.py), and search.
4. Remove the query photo itself, and join labels to the results.

The distance depends on the encoder (features/search/exact.py): Euclidean, or 1 - cos. Equal distances are in order of
photo_id. There are always exactly k results, or all matching photos if they are fewer.
"""

from __future__ import annotations

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
from photogenic.warehouse.closing import Closing
from photogenic.warehouse.duckdb_store.error_mapping import map_engine_errors
from photogenic.warehouse.moment import Instant, Moments
from photogenic.warehouse.option_ranges import check

__all__ = ["Found", "Searcher", "answer"]


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a search.

    Attributes:
        photos: `query` (its number), `rank`, photo_id, user_id, distance, like_ratio, weight, percentile, popular,
            path.
        n_matching: photos that match the predicate.
        plan: how the search was carried out.
        recall: 1 when exact, else the index's measured recall@10.
    """

    photos: pl.DataFrame
    n_matching: int
    plan: Plan
    recall: float


class Searcher(Closing):
    """Search in one store, with a cache of indices and filters until the store changes. It is thread-safe.

    Args:
        store: the open store.
        cache_bytes: largest total size of the cached vectors of filters, in bytes.
    """

    def __init__(self, store: Store, *, cache_bytes: int = CACHE_BYTES) -> None:
        self.progress = store.progress
        self.cache = SearchCache(store.database, cache_bytes, note=store.progress.note)

    def close(self) -> None:
        """Close the snapshot and clear the cache."""
        self.cache.close()

    def similar(
        self,
        query: str | Path | NDArray[np.float32],
        *,
        k: int = 10,
        encoder: str | None = None,
        where: str | None = None,
        popular: bool = False,
        as_of: Instant | None = None,
        known_at: Instant | None = None,
        exact: bool | None = None,
    ) -> pl.DataFrame:
        """Find the k photos most similar to one, nearest first, without the query photo itself.

        Note to the progress callback when fewer than k photos match, or when the result may not be exact.

        Args:
            query: photo id, path of a picture, or vector float (d,).
            k: number of photos.
            encoder: name of the encoder; None takes the first default encoder with an index, else any.
            where: SQL predicate over the columns of `sql/search/labelled.sql`; None: all photos, labeled or not.
            popular: whether to search only photos above the median of their label set.
            as_of: only what had happened before this instant. None, without `known_at`: the published labels.
            known_at: only what had arrived before this instant. None: everything.
                A photo whose bytes changed since then is left out: there is no vector of its former bytes.
            exact: True forces exact search; None lets the planner choose by cost.

        Returns:
            rank (from 1), photo_id, user_id, distance, like_ratio, weight, percentile, popular, path.

        Raises:
            InputError: the photo is unknown, the file cannot be embedded, the vector has a wrong shape, or k < 1.
            QueryError: `where` cannot be evaluated.
            StoreError: the encoder has no index.
        """
        found = self.find(
            [query], k=k, encoder=encoder, where=where, popular=popular, as_of=as_of, known_at=known_at, exact=exact
        )
        if len(found.photos) < k:
            self.progress.note(f"{len(found.photos)} photos match; {k} were requested.")
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
        as_of: Instant | None = None,
        known_at: Instant | None = None,
        exact: bool | None = None,
    ) -> Found:
        """Do the same as `similar` for many queries at once, and report how the search was carried out."""
        check(k=k)
        moments = Moments.of(as_of, known_at) if as_of is not None or known_at is not None else Moments()
        name = encoder or self.cache.default_encoder()
        with map_engine_errors(self.cache.layout):
            index = self.cache.index(name)
            resolved = resolve(
                self.cache.cursor(),
                index,
                lambda paths: self.cache.embed(name, paths),
                queries,
                models=self.cache.layout.models,
            )
            candidates = self.cache.photo_filter(name, where, popular=popular, moments=moments)
        plan, distances, rows = answer(resolved.vectors, candidates, k, exclude=resolved.rows, exact=exact)
        return Found(
            _table(candidates, distances, rows),
            n_matching=len(candidates),
            plan=plan,
            recall=1.0 if plan.way == "exact" else index.manifest.recall_at_10,
        )


def answer(
    Q: NDArray[np.float32],
    candidates: PhotoFilter,
    k: int,
    *,
    exclude: NDArray[np.int64] | None = None,
    exact: bool | None = None,
) -> tuple[Plan, NDArray[np.float64], NDArray[np.int64]]:
    """Carry out steps 3 and 4 on arrays.

    Args:
        Q: float32 (q, d).
        candidates: photos that may be results.
        k: number of photos.
        exclude: int64 (q,), the row to leave out of each query's results; -1 leaves out none.
        exact: as in `Searcher.similar`.

    Returns:
        The plan, distances float64 (q, k), rows of the index int64 (q, k), padded with infinity and -1.
    """
    index, dim = candidates.index, candidates.index.manifest.dim
    own = np.full(len(Q), -1) if exclude is None else exclude
    n_wanted = k + bool((own >= 0).any())
    plan = choose(len(Q), len(candidates), len(index), dim, has_ivf=index.manifest.kind != "Flat", exact=exact)
    if plan.way == "exact" or index.ivf is None:
        return plan, *_without(*candidates.nearest(Q, n_wanted), own, k)
    metric = index.manifest.metric
    distances, rows = index.ivf.search(index.vectors, Q, n_wanted, metric, candidates.row_mask())
    if len(candidates) < n_wanted:
        distances, rows = candidates.nearest(Q, n_wanted)
    elif (short := rows[:, -1] < 0).any():
        distances[short], rows[short] = candidates.nearest(Q[short], n_wanted)
    return plan, *_without(distances, rows, own, k)


def _without(
    distances: NDArray[np.float64], rows: NDArray[np.int64], own: NDArray[np.int64], k: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The first k results of each query without its own row."""
    is_own = (rows == own[:, None]) & (own >= 0)[:, None]
    if is_own.any():
        order = np.argsort(is_own, axis=1, kind="stable")
        distances = np.take_along_axis(np.where(is_own, np.inf, distances), order, 1)
        rows = np.take_along_axis(np.where(is_own, -1, rows), order, 1)
    return distances[:, :k], rows[:, :k]


def _table(candidates: PhotoFilter, distances: NDArray[np.float64], rows: NDArray[np.int64]) -> pl.DataFrame:
    """One row per result, in order of query and rank."""
    is_found = rows >= 0
    query, place = np.nonzero(is_found)
    frame = candidates.photos[candidates.positions(rows[is_found])]
    return frame.select(
        pl.Series("query", query, pl.Int64),
        pl.Series("rank", place + 1, pl.Int64),
        "photo_id",
        "user_id",
        pl.Series("distance", distances[is_found], pl.Float64),
        *COLUMNS[2:],
    )
