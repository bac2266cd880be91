"""Functions in Python that a query with an answered NEAREST join calls with Arrow arrays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import pa, pc
from photogenic.features.vector_sql.candidates import Candidates
from photogenic.features.vectors.reader import VectorSet

__all__ = ["NO_ROW", "Decode", "OfMarkers", "Search", "same", "vectors_of", "whole"]


NO_ROW = -1
"""Number of a row of the right side whose columns are NULL, for left rows without neighbors in a LEFT join."""


class Search:
    """The function that a query calls with vectors of its left side. Returns row numbers, nearest first."""

    def __init__(self, candidates: Candidates, k: int, *, keeps_empty: bool) -> None:
        self.candidates, self.k, self.keeps_empty = candidates, k, keeps_empty

    def __call__(self, column: pa.Array) -> pa.Array:
        Q, is_null = vectors_of(column)
        counts, rows = self.candidates.nearest(Q, self.k)
        return self.lists(counts, rows, is_null)

    def lists(self, counts: NDArray[np.int64], rows: NDArray[np.int64], is_null: NDArray[np.bool_]) -> pa.Array:
        """Lists of row numbers: none for a missing vector; `NO_ROW` instead of none if the left row is kept."""
        every = np.zeros(len(is_null), np.int64)
        every[~is_null] = counts
        if not self.keeps_empty:
            return pa.ListArray.from_arrays(pa.array(np.cumsum([0, *every]), pa.int32()), pa.array(rows, pa.int64()))
        size = np.maximum(every, 1)
        ends = np.cumsum(size)
        out = np.full(int(size.sum()), NO_ROW, np.int64)
        is_found = np.ones(len(out), np.bool_)
        is_found[(ends - size)[every == 0]] = False
        out[is_found] = rows
        return pa.ListArray.from_arrays(pa.array(np.concatenate([[0], ends]), pa.int32()), pa.array(out))


class Decode:
    """The function that returns the vectors of markers."""

    def __init__(self, vectors: VectorSet) -> None:
        self.vectors = vectors

    def __call__(self, markers: pa.Array) -> pa.Array:
        markers = whole(markers)
        rows = markers.field(0)
        is_null = np.asarray(pc.or_(markers.is_null(), rows.is_null()).to_numpy(zero_copy_only=False))
        positions = rows.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        found = np.zeros((len(positions), self.vectors.dim), np.float32)
        found[~is_null] = self.vectors.at(positions[~is_null])
        mask = pa.array(is_null) if is_null.any() else None
        return pa.FixedSizeListArray.from_arrays(pa.array(found.ravel()), self.vectors.dim, mask=mask)


class OfMarkers:
    """The function of a search that gets markers in the place of vectors of the left side."""

    def __init__(self, search: Callable[..., pa.Array], vectors: VectorSet) -> None:
        self.search, self.decode = search, Decode(vectors)

    def __call__(self, *columns: pa.Array) -> pa.Array:
        markers, *arguments = columns
        return self.search(self.decode(markers), *arguments)


def same(column: pa.Array) -> pa.Array:
    return column


def whole(column: pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def vectors_of(column: pa.Array) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The vectors of a column, float32 (q, d), and which of its values are NULL, bool (n,)."""
    column = whole(column)
    is_null = np.asarray(column.is_null().to_numpy(zero_copy_only=False))
    flat = column.drop_null().flatten()
    if flat.null_count:
        raise ValueError("A vector on the left side of NEAREST contains NULL.")
    return flat.to_numpy(zero_copy_only=False).reshape(-1, column.type.list_size), is_null
