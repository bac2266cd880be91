"""Search the neighbors of a sample of photos by both encoders, exactly, in bounded memory.

The search reads vectors and not indices, so that neither the error of an index nor a missing one enters. It passes over
the vectors of each encoder once, block by block, and keeps the nearest photos found so far: among all photos, and among
those whose owners have the gender of the query's owner. Only photos that both encoders have vectors of are searched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from photogenic.features.compare.shared_photos import SharedPhotos
from photogenic.features.search.exact import nearest, unit_rows
from photogenic.features.vectors.reader import VectorSet
from photogenic.warehouse import Progress

__all__ = ["Neighborhoods", "draw", "search"]

_BLOCK_BYTES = 64 * 10**6
"""Bytes of the vectors that are searched at a time."""

_QUERIES = 1024
"""Queries that are searched at a time."""

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Neighborhoods:
    """The nearest photos of each query by two encoders, as positions in `SharedPhotos.photos`.

    Attributes:
        queries: int64 (q,), the photos that were searched with, ascending.
        all_a, all_b: int64 (q, k), nearest first, padded with -1.
        within_a, within_b: the same among photos of the same gender.
    """

    queries: Rows
    all_a: Rows
    all_b: Rows
    within_a: Rows
    within_b: Rows


def draw(n: int, sample: int, seed: int) -> Rows:
    """Draw positions of photos at random, ascending; all if they are not more than `sample`."""
    if n <= sample:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, sample, replace=False))


def search(shared: SharedPhotos, queries: Rows, k: int, progress: Progress) -> Neighborhoods:
    """Find the k nearest photos of each query by both encoders, without the query itself.

    Args:
        shared: photos that may be results.
        queries: int64 (q,), positions in `shared.photos`.
        k: number of neighbors.
        progress: callback for progress updates.
    """
    genders = shared.photos["gender"].fill_null("").to_numpy().astype(np.str_)
    found = []
    for vectors, rows in ((shared.a, shared.rows_a), (shared.b, shared.rows_b)):
        with progress.stage(f"neighbors by {vectors.manifest.encoder}", len(rows), "photos") as advance:
            found.append(_nearest(vectors, rows, queries, genders=genders, k=k, advance=advance))
    (all_a, within_a), (all_b, within_b) = found
    return Neighborhoods(queries, all_a, all_b, within_a, within_b)


class _Best:
    """The nearest photos found so far."""

    def __init__(self, n_queries: int, k: int) -> None:
        self.k = k
        self.distances, self.rows = np.full((n_queries, k), np.inf), np.full((n_queries, k), -1)

    def add(self, which: Rows, distances: NDArray[np.float64], rows: Rows) -> None:
        """Merge candidates of the queries at `which`; equal distances are in order of photo_id."""
        together = np.hstack([self.distances[which], distances]), np.hstack([self.rows[which], rows])
        order = np.lexsort((np.where(together[1] < 0, np.iinfo(np.int64).max, together[1]), together[0]))[:, : self.k]
        self.distances[which] = np.take_along_axis(together[0], order, 1)
        self.rows[which] = np.take_along_axis(together[1], order, 1)

    def without(self, own: Rows) -> Rows:
        """The rows but for each query's own, int64 (q, k - 1), padded with -1."""
        is_own = self.rows == own[:, None]
        order = np.argsort(is_own, axis=1, kind="stable")
        kept: Rows = np.take_along_axis(np.where(is_own, -1, self.rows), order, 1)[:, : self.k - 1]
        return kept


def _nearest(
    vectors: VectorSet,
    rows: Rows,
    queries: Rows,
    *,
    genders: NDArray[np.str_],
    k: int,
    advance: Callable[[int], None],
) -> tuple[Rows, Rows]:
    """Return the neighbors of each query among all photos, and among those of its gender."""
    metric, dim = vectors.manifest.metric, vectors.dim
    Q = vectors.at(rows[queries])
    known = np.isfinite(Q).all(axis=1)  # former versions stored vectors that are not finite
    everywhere, within = _Best(len(queries), k + 1), _Best(len(queries), k + 1)
    size = max(_BLOCK_BYTES // (4 * dim), _QUERIES)
    for start in range(0, len(rows), size):
        X = vectors.at(rows[start : start + size])
        at = np.arange(start, start + len(X))
        finite = np.isfinite(X).all(axis=1)
        if not finite.all():
            X, at = np.ascontiguousarray(X[finite]), at[finite]
        if metric == "cosine":
            X = unit_rows(X)
        groups = [(everywhere, known, np.ones(len(X), bool))]
        groups += [(within, known & (genders[queries] == name), genders[at] == name) for name in np.unique(genders[at])]
        for best, asked, may_be in groups:
            chosen = X if may_be.all() else np.ascontiguousarray(X[may_be])
            places = at[may_be]
            for which in np.split(np.flatnonzero(asked), range(_QUERIES, int(asked.sum()), _QUERIES)):
                if len(which) and len(chosen):
                    distances, found = nearest(chosen, np.ascontiguousarray(Q[which]), k + 1, metric)
                    best.add(which, distances, places[found])
        advance(min(size, len(rows) - start))
    return everywhere.without(queries), within.without(queries)
