"""How far two rankings of neighbors agree: the share in common at k, and rank-biased overlap.

Source: Webber, Moffat and Zobel 2010, "A similarity measure for indefinite rankings", ACM TOIS 28 (equation 32).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["PERSISTENCE", "in_common", "rank_biased_overlap", "share_at"]

PERSISTENCE = 0.9
"""The parameter p of rank-biased overlap: the first 10 ranks have 86 % of the weight."""

_QUERIES = 512


def in_common(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count, for each query and depth, the photos among the first `depth` of both rankings. int64 (q, k).

    Args:
        a: int64 (q, k), rankings without repetitions, padded with -1.
        b: the same of the other encoder.
    """
    found = np.zeros(a.shape, np.int64)
    for start in range(0, len(a), _QUERIES):
        part = slice(start, start + _QUERIES)
        same = (a[part, :, None] == b[part, None, :]) & (a[part, :, None] >= 0)
        query, rank_a, rank_b = np.nonzero(same)
        np.add.at(found[part], (query, np.maximum(rank_a, rank_b)), 1)
    return np.cumsum(found, axis=1)


def share_at(common: NDArray[np.int64], n_ranked: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Return the share of the first k that is in common, 0 to 1; of all, where fewer are ranked; NaN where none is.

    Args:
        common: result of `in_common`.
        n_ranked: int64 (q,), number of photos in both rankings.
        k: depth.
    """
    depth = np.minimum(n_ranked, min(k, common.shape[1]))
    counts = np.take_along_axis(common, np.maximum(depth - 1, 0)[:, None], 1)[:, 0]
    shares: NDArray[np.float64] = np.divide(counts, depth, out=np.full(len(depth), np.nan), where=depth > 0)
    return shares


def rank_biased_overlap(
    common: NDArray[np.int64], n_ranked: NDArray[np.int64], p: float = PERSISTENCE
) -> NDArray[np.float64]:
    """Return the extrapolated rank-biased overlap of each query, 0 to 1; NaN where nothing is ranked.

    Args:
        common: result of `in_common`.
        n_ranked: int64 (q,), number of photos in both rankings.
        p: persistence, above 0 and below 1: the larger, the deeper ranks count.
    """
    depths = np.arange(1, common.shape[1] + 1)
    terms = np.cumsum(common / depths * p**depths, axis=1)
    last = np.maximum(n_ranked - 1, 0)[:, None]
    agreed = np.take_along_axis(terms, last, 1)[:, 0]
    tail = share_at(common, n_ranked, common.shape[1]) * p ** n_ranked.astype(np.float64)
    found: NDArray[np.float64] = np.where(n_ranked > 0, tail + (1 - p) / p * agreed, np.nan)
    return found
