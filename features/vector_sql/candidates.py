"""The rows of the right side of a NEAREST join, and the nearest of them to vectors.

Each row has a vector of one encoder, given by its position among the encoder's vectors, which are sorted by photo_id.
Several rows may have the same vector, where a photo is repeated. Rows at equal distance come in order of photo_id,
then in the order in which DuckDB returned them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from photogenic.features.search.exact import Metric, merged, nearest, nearest_rows, unit_rows
from photogenic.features.search.index_files import Index
from photogenic.features.search.planner import BATCH, choose
from photogenic.features.vector_sql.ranking import Measure
from photogenic.features.vectors.reader import VectorSet

__all__ = ["HELD_BYTES", "Candidates", "IrregularError"]

HELD_BYTES = 256 * 10**6
"""Largest size of vectors that are copied once for all blocks of a query; larger ones are read in parts each time."""

_PART_BYTES = 64 * 10**6

Found = tuple[NDArray[np.float64], NDArray[np.int64]]


class IrregularError(Exception):
    """The right side has vectors whose distances have no order: not finite, or of length zero for a cosine."""


class Candidates:
    """Rows of a right side with their vectors.

    Args:
        vectors: the vectors of the encoder.
        positions: int64 (m,), the position of each row's vector; -1 where it has none.
        measure: what the ranking measures.
        index: the index of these vectors; None: they have none that is up to date.
        approx: whether the index may answer approximately.
        is_checked: whether the vectors are known not to be irregular.

    Attributes:
        n_rows: rows.
        n_vectors: different vectors among them.
        recall: 1 when exact, else the index's measured recall@10.

    Raises:
        IrregularError: see there.
    """

    def __init__(
        self,
        vectors: VectorSet,
        positions: NDArray[np.int64],
        measure: Measure,
        *,
        index: Index | None = None,
        approx: bool = False,
        is_checked: bool = False,
    ) -> None:
        self.vectors, self.measure, self.dim, self._is_checked = vectors, measure, vectors.dim, is_checked
        self.metric: Metric = "cosine" if measure == "cosine" else "l2"
        self._positions, self.n_rows = positions, len(positions)
        by_position = np.argsort(positions, kind="stable")
        self._rows = by_position[np.searchsorted(positions[by_position], 0) :]
        self.positions, self._starts, self._counts = np.unique(
            positions[self._rows], return_index=True, return_counts=True
        )
        self.n_vectors = len(self.positions)
        self.index = index if index is not None and index.manifest.metric == measure else None
        self.way, self.recall = "exact", 1.0
        if self.index is not None and approx:
            has_ivf = self.index.manifest.kind != "Flat"
            self.way = choose(BATCH, self.n_vectors, len(self.index), self.dim, has_ivf=has_ivf).way
            self.recall = 1.0 if self.way == "exact" else self.index.manifest.recall_at_10
        self._matrix: NDArray[np.float32] | None = None
        if self.index is not None and self.n_vectors == len(self.index):
            self._matrix = self.index.vectors
            self._refuse_irregular(self._matrix)
        elif self.n_vectors * self.dim * 4 <= HELD_BYTES:
            self._matrix = self._part(0, self.n_vectors)
        elif not is_checked:
            size = self._part_size()
            for start in range(0, self.n_vectors, size):
                self._part(start, start + size)

    def nearest(self, Q: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Find the rows nearest to each query, nearest first.

        Args:
            Q: float32 (q, d), finite.
            k: number of rows.

        Returns:
            The number of rows of each query, at most k, int64 (q,), and their rows one after the other.
        """
        return self.rows_of(self.nearest_vectors(Q, k), k)

    def nearest_vectors(self, Q: NDArray[np.float32], k: int) -> NDArray[np.int64]:
        """Find the k different vectors nearest to each query: their places in `positions`, int64 (q, k)."""
        k = min(k, self.n_vectors)
        if self.way != "exact" and self.index is not None and self.index.ivf is not None:
            mask = None
            if self.n_vectors < len(self.index):
                mask = np.zeros(len(self.index), np.bool_)
                mask[self.positions] = True
            _, found = self.index.ivf.search(self.index.vectors, Q, k, self.metric, mask)
            places = np.searchsorted(self.positions, np.maximum(found, 0))
            if k and (short := found[:, -1] < 0).any():
                places[short] = self._exact(Q[short], k)
            return np.asarray(places)
        return self._exact(Q, k)

    def rows_of(self, places: NDArray[np.int64], k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The first k rows of vectors in order: places int64 (q, c), -1 for none. Returned as by `nearest`."""
        if self.n_vectors == len(self._rows) and (places.shape[1] == 0 or places.min(initial=0) >= 0):
            chosen = places[:, :k]
            return np.full(len(places), chosen.shape[1]), self._rows[chosen].ravel()
        counts = np.where(places >= 0, self._counts[places] if self.n_vectors else 0, 0)
        before = np.cumsum(counts, axis=1) - counts
        counts = np.clip(k - before, 0, counts)
        flat = counts.ravel()
        first = np.repeat(np.cumsum(flat) - flat, flat)
        starts = np.repeat(self._starts[places].ravel() if self.n_vectors else flat, flat)
        return counts.sum(axis=1), self._rows[starts + np.arange(int(flat.sum())) - first]

    def subset(self, allowed: NDArray[np.bool_]) -> Candidates:
        """The candidates among some rows of the right side; bool (m,)."""
        positions = np.where(allowed, self._positions, -1)
        return Candidates(self.vectors, positions, self.measure, index=self.index, is_checked=True)

    @property
    def n_bytes(self) -> int:
        """Size of its copy of the vectors."""
        return 0 if self._matrix is None else self._matrix.nbytes

    def _exact(self, Q: NDArray[np.float32], k: int) -> NDArray[np.int64]:
        if self._matrix is not None and self.measure != "product":
            return nearest_rows(self._matrix, Q, k, self.metric)
        found: Found = (np.empty((len(Q), 0)), np.empty((len(Q), 0), np.int64))
        size = self._part_size()
        for start in range(0, self.n_vectors, size):
            stop = min(start + size, self.n_vectors)
            X = self._part(start, stop) if self._matrix is None else self._matrix[start:stop]
            distances, places = self._search(X, Q, k)
            found = merged(found, (distances, start + places), k)
        return found[1]

    def _search(self, X: NDArray[np.float32], Q: NDArray[np.float32], k: int) -> Found:
        if self.measure == "product":
            return _largest_products(X, Q, k)
        return nearest(X, Q, k, self.metric)

    def _part_size(self) -> int:
        return max(_PART_BYTES // (4 * self.dim), 1)

    def _part(self, start: int, stop: int) -> NDArray[np.float32]:
        return self._gather(self.positions[start:stop])

    def _gather(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        X = self.vectors.at(positions)
        self._refuse_irregular(X)
        return unit_rows(X) if self.measure == "cosine" else X

    def _refuse_irregular(self, X: NDArray[np.float32]) -> None:
        if self._is_checked:
            return
        for start in range(0, len(X), size := self._part_size()):
            part = X[start : start + size]
            if not np.isfinite(part).all() or (self.measure == "cosine" and not part.any(axis=1).all()):
                raise IrregularError


def _largest_products(X: NDArray[np.float32], Q: NDArray[np.float32], k: int, block: int = 256) -> Found:
    """Find the min(k, n) rows of X with the largest inner products, in float64; equal ones in row order."""
    k = min(k, len(X))
    distances, rows = np.empty((len(Q), k)), np.empty((len(Q), k), np.int64)
    if not k:
        return distances, rows
    wide = X.astype(np.float64)
    for start in range(0, len(Q), block):
        part = slice(start, start + block)
        with np.errstate(invalid="ignore"):  # infinite numbers
            negative = -(Q[part].astype(np.float64) @ wide.T)
        kth = np.partition(negative, k - 1, axis=1)[:, k - 1]
        for at, (line, limit) in enumerate(zip(negative, kth, strict=True), start):
            reached = np.flatnonzero(~(line > limit))  # products that are not numbers come last
            rows[at] = reached[np.argsort(line[reached], kind="stable")[:k]]
            distances[at] = line[rows[at]]
    return distances, rows
