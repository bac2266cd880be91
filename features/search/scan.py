"""Distances of one query to all selected photos: bounds from float32 at once, true ones of the photos that matter.

`in_order` yields positions in the order of a key that depends on the distance, without a true distance of every photo:
a photo comes only when no other one can come before it. So the order is that of keys in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photogenic.features.search.exact import SCORE_ERROR, SQUARE_ERROR, distances, unit_rows
from photogenic.features.search.filters import PhotoFilter

__all__ = ["Scan", "in_order", "scans"]

_BLOCK_BYTES = 64 * 10**6
_PART = 4096
_FIRST = 64
_ROOT_ERROR = 1e-6
"""Bound of the relative error of a root in float32."""


class Scan:
    """One query compared with the selected photos.

    Attributes:
        low, high: float32 (m,), bounds of the distance of each photo.
    """

    def __init__(self, candidates: PhotoFilter, q: NDArray[np.float32], products: NDArray[np.float32]) -> None:
        self.candidates, self.q = candidates, q
        self._known: NDArray[np.float64] | None = None
        with np.errstate(over="ignore", invalid="ignore"):
            self.low, self.high = self._bounds(products)
        if not (np.isfinite(self.low).all() and np.isfinite(self.high).all()):  # out of the range of float32
            self.low = self.high = self.distances(np.arange(len(candidates)))

    def distances(self, places: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the true distances of the photos at these positions, each computed once. float64 (len(places),)."""
        if self._known is None:
            self._known = np.full(len(self.candidates), np.nan)
        metric, missing = self.candidates.index.manifest.metric, places[np.isnan(self._known[places])]
        for start in range(0, len(missing), _PART):
            part = missing[start : start + _PART]
            vectors = self.candidates.vectors(part)
            self._known[part] = distances(vectors, np.arange(len(vectors))[None], self.q[None], metric)[0]
        return self._known[places]

    def range(self, left_out: NDArray[np.int64]) -> tuple[float, float]:
        """The smallest and the largest true distance of the photos, without those at some positions."""
        low, high = self.low.copy(), self.high.copy()
        low[left_out], high[left_out] = np.inf, np.inf
        nearest = np.flatnonzero(low <= high.min())
        low[left_out], high[left_out] = -np.inf, -np.inf
        farthest = np.flatnonzero(high >= low.max())
        return float(self.distances(nearest).min()), float(self.distances(farthest).max())

    def _bounds(self, products: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
        if self.candidates.index.manifest.metric == "cosine":
            center = 1 - products
            return np.maximum(center - 2 * SCORE_ERROR, 0), np.maximum(center + 2 * SCORE_ERROR, 0)
        length = np.float32(np.linalg.norm(self.q.astype(np.float64)))
        center = self.candidates.squares - 2 * products
        center += length * length
        noise = np.square(self.candidates.lengths + length)
        noise *= np.float32(SCORE_ERROR)
        noise += np.float32(len(self.q) * SQUARE_ERROR)
        low, high = np.sqrt(np.maximum(center - noise, 0)), np.sqrt(np.maximum(center + noise, 0))
        return low * np.float32(1 - _ROOT_ERROR), high * np.float32(1 + _ROOT_ERROR)


def scans(candidates: PhotoFilter, Q: NDArray[np.float32]) -> Iterator[Scan]:
    """Compare each query with all selected photos, in order."""
    size = max(_BLOCK_BYTES // (4 * max(len(candidates), 1)), 1)
    for start in range(0, len(Q), size):
        part = Q[start : start + size]
        with np.errstate(over="ignore", invalid="ignore"):
            products = candidates.products(unit_rows(part) if candidates.index.manifest.metric == "cosine" else part)
        for q, own in zip(part, products, strict=True):
            yield Scan(candidates, q, own)


def in_order(
    low: NDArray[Any],
    key: Callable[[NDArray[np.int64]], NDArray[np.float64]],
    skip: Callable[[], NDArray[np.bool_] | None],
) -> Iterator[int]:
    """Yield positions in the order of their true keys, equal keys in order of position.

    Args:
        low: (m,), a lower bound of each key; infinity leaves a position out. It is overwritten.
        key: function from positions to true keys.
        skip: function that returns the positions that need not come any more, bool (m,), or None.
    """
    fetch = _FIRST
    while (n_left := int(np.count_nonzero(low < np.inf))) > 0:
        if fetch >= n_left:
            places, bound = np.flatnonzero(low < np.inf), np.inf
        else:
            first = np.argpartition(low, fetch)
            places, bound = np.sort(first[:fetch]), float(low[first[fetch]])
        keys = key(places)
        order = np.lexsort((places, keys))
        certain = places[order[keys[order] < bound]]
        yield from certain.tolist()
        fetch = fetch if len(certain) > fetch // 2 else fetch * 4
        low[certain] = np.inf
        if (unwanted := skip()) is not None:
            low[unwanted] = np.inf
