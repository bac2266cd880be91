"""Combine photos to one query: the mean of those to be like, away from the mean of those to be unlike.

    like        the mean of the query vectors
    unlike      the mean of the vectors to be unlike
    query       like + UNLIKE * (like - unlike)

Where the metric is cosine, each vector is scaled to length 1 before. One photo alone is its own vector.

Source: Rocchio 1971 (relevance feedback), with the weights beta = 1 + UNLIKE and gamma = UNLIKE. Their difference is 1,
so that a Euclidean query stays among the vectors; the cosine does not depend on the length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from photogenic.features.search.exact import Metric, unit_rows
from photogenic.warehouse.errors import InputError

if TYPE_CHECKING:
    from photogenic.features.search.filters import PhotoFilter
    from photogenic.features.search.queries import Queries

__all__ = ["UNLIKE", "CombinedQueries", "Query", "combine", "combined", "parts_of"]

UNLIKE = 0.5
"""How far the query moves away from the photos to be unlike, in units of the distance between the two means."""

Query: TypeAlias = "str | Path | NDArray[np.float32]"
"""Photo id, path of a picture, or vector."""


@dataclass(frozen=True, slots=True)
class CombinedQueries:
    """Queries, each made of one or several photos.

    Attributes:
        vectors: float32 (q, d).
        own: rows of the index, int64, that each query is made of; they are not among its results.
        owners: owners of the photos that each query should be like; empty where they are not known.
    """

    vectors: NDArray[np.float32]
    own: Sequence[NDArray[np.int64]]
    owners: Sequence[frozenset[str]] = ()

    def left_out(self, at: int, candidates: PhotoFilter, *, other_users: bool = False) -> NDArray[np.int64]:
        """Positions of the candidates that cannot be results of a query: its own photos, and those of their owners."""
        rows = self.own[at]
        places = np.searchsorted(candidates.rows, rows)
        there = candidates.rows[np.minimum(places, len(candidates) - 1)] == rows if len(candidates) else rows < 0
        left_out: NDArray[np.int64] = places[there]
        if other_users and self.owners[at]:
            numbers = candidates.owner_numbers(self.owners[at])
            owned = candidates.owners == numbers[0] if len(numbers) == 1 else np.isin(candidates.owners, numbers)
            left_out = np.union1d(left_out, np.flatnonzero(owned))
        return left_out


def parts_of(query: Query | Sequence[Query]) -> list[Query]:
    """The photos, files and vectors that a query is made of."""
    if isinstance(query, np.ndarray):
        return [query] if query.ndim < 2 else list(query)
    if isinstance(query, str | Path):
        return [query]
    return list(query)


def combine(like: NDArray[np.float32], unlike: NDArray[np.float32], metric: Metric) -> NDArray[np.float32]:
    """Combine vectors to one query vector. float32 (d,).

    Args:
        like: float32 (n, d), at least one row.
        unlike: float32 (m, d); no row: none to be unlike.
        metric: metric of the index.

    Raises:
        InputError: the vectors cancel each other, so that no direction is left.
    """
    if len(like) == 1 and not len(unlike):
        return np.asarray(like[0])
    if metric == "cosine":
        like, unlike = unit_rows(like), unit_rows(unlike)
    mean = like.mean(axis=0, dtype=np.float64)
    query = mean
    if len(unlike):
        other = unlike.mean(axis=0, dtype=np.float64)
        if np.allclose(mean, other, rtol=1e-6, atol=1e-12):
            raise InputError(
                "The photos to be like and the photos to be unlike have the same mean vector.",
                "photos to be unlike that differ from those to be like",
                "features similar PHOTO_ID --unlike OTHER_PHOTO_ID",
            )
        query = mean + UNLIKE * (mean - other)
    if metric == "cosine" and float(np.linalg.norm(query)) < 1e-6:
        raise InputError(
            "The vectors of the query photos cancel each other: their combination is 0.",
            "photos whose vectors do not point in opposite directions",
            "features similar PHOTO_ID, with fewer photos",
        )
    with np.errstate(over="ignore"):
        combined = query.astype(np.float32)
    if not np.isfinite(combined).all():
        raise InputError(
            "The combination of the query vectors is not finite.", "finite numbers of float32", "shorter vectors"
        )
    return np.asarray(combined)


def combined(resolved: Queries, sizes: Sequence[int], metric: Metric) -> CombinedQueries:
    """Combine resolved photos to queries.

    Args:
        resolved: the photos of all queries, and then those that every query should be unlike.
        sizes: number of photos of each query.
        metric: metric of the index.
    """
    ends = np.cumsum(sizes, dtype=np.int64)
    unlike = slice(int(ends[-1]) if len(ends) else 0, None)
    parts = [slice(int(end) - size, int(end)) for end, size in zip(ends, sizes, strict=True)]
    if len(resolved.vectors) == len(parts):
        vectors = resolved.vectors
    else:
        others = resolved.vectors[unlike]
        vectors = np.stack([combine(resolved.vectors[part], others, metric) for part in parts])
    rows = [np.concatenate([resolved.rows[part], resolved.rows[unlike]]) for part in parts]
    owners = [frozenset(owner for owner in resolved.owners[part] if owner is not None) for part in parts]
    return CombinedQueries(vectors, [np.unique(own[own >= 0]) for own in rows], owners)
