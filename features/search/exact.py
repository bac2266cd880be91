"""Exact nearest rows of a matrix: a fast search in float32, then distances in float64.

Rounding errors of float32 could drop a true neighbor at rank k or order equal distances at random. So the search
fetches more than k rows and computes their distances in float64. Where a row that was not fetched could still be among
the first k, it fetches more. Rows at equal distance are sorted by row, which is the order of photo_id.
"""

from __future__ import annotations

import os
import threading
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import faiss

__all__ = [
    "SCORE_ERROR",
    "SQUARE_ERROR",
    "Metric",
    "distances",
    "is_extreme",
    "merged",
    "nearest",
    "nearest_rows",
    "on_gpu",
    "unit_rows",
]

Metric = Literal["l2", "cosine"]
"""l2: Euclidean, not squared. cosine: 1 - cos, between 0 and 2; a zero vector is at 1 from everything."""

_MARGIN = 16
_BLOCK = 256
_BLOCK_BYTES = 2**27
"""Bytes of the candidates in float64 that `distances` holds at a time."""

_FETCH_MOST = 1024
_SCAN = 4096
_GPU_MOST = 2048
_GPU_LEAST = 32
"""Queries from which the GPU is faster: sending 400 MB to an H200 takes 53 ms, in which 16 cores answer about 30."""

_GPU_PART = 2**31
"""Bytes of vectors, and of queries, on the GPU at a time, because a matrix may be larger than the GPU's memory."""

_GPU_SCRATCH = 2**28
_PER_THREAD = threading.local()
_FEW_QUERIES = 4
_SHORT, _LONG = 1e-15, 1e15
"""Range of lengths whose sums of squares neither underflow nor overflow in float32."""

SQUARE_ERROR = 2.0**-146
"""Bound of the absolute error of each square; the smallest float32 is 2^-149."""

SCORE_ERROR = 64 * 2.0**-24
"""Bound of the relative error of a float32 score; sums are blocked, so it hardly grows with the dimension."""


def on_gpu() -> bool:
    """Whether FAISS may use a GPU: there is one, and `FEATURES_GPU` is not 0.

    Only brute-force search and training run on it, on exactly the candidate rows, because GPU indexes silently ignore
    selectors.
    """
    return os.environ.get("FEATURES_GPU") != "0" and faiss.get_num_gpus() > 0


def unit_rows(X: NDArray[np.float32]) -> NDArray[np.float32]:
    """Divide each row by its length; zero rows stay zero. float32 (n, d).

    Very long and very short rows, whose squares are out of the range of float32, are computed in float64.
    """
    with np.errstate(over="ignore", under="ignore"):
        lengths = np.linalg.norm(X, axis=1, keepdims=True)
    if len(X) and lengths.min() > _SHORT and lengths.max() < _LONG:
        return np.asarray(X / lengths)
    unit: NDArray[np.float32] = np.divide(X, lengths, out=np.zeros_like(X), where=lengths > _SHORT)
    extreme = np.flatnonzero(~((lengths > _SHORT) & (lengths < _LONG))[:, 0])
    if len(extreme):
        rows = X[extreme].astype(np.float64)
        true = np.linalg.norm(rows, axis=1, keepdims=True)
        unit[extreme] = np.divide(rows, true, out=np.zeros_like(rows), where=true > 0)
    return unit


def is_extreme(X: NDArray[np.float32]) -> bool:
    """Whether vectors are so long or so short that their squares are out of the range of float32."""
    largest = max((float(np.abs(X[at : at + _SCAN]).max(initial=0.0)) for at in range(0, len(X), _SCAN)), default=0.0)
    return not (largest == 0 or _SHORT < largest < _LONG)


def distances(
    X: NDArray[np.float32], rows: NDArray[np.int64], Q: NDArray[np.float32], metric: Metric
) -> NDArray[np.float64]:
    """Compute the distance from each query to its own candidate rows, in float64.

    Args:
        X: float32 (n, d).
        rows: int64 (q, c), rows of X; -1 marks a missing candidate, at infinite distance.
        Q: float32 (q, d).
        metric: see `Metric`.

    Returns:
        float64 (q, c).
    """
    out = np.empty(rows.shape)
    size = min(max(_BLOCK_BYTES // (8 * max(rows.shape[1] * X.shape[1], 1)), 1), _BLOCK)
    for start in range(0, len(Q), size):
        part = slice(start, start + size)
        candidates = X[rows[part]].astype(np.float64)  # (b, c, d)
        query = Q[part, None, :].astype(np.float64)  # (b, 1, d)
        if metric == "l2":
            candidates -= query
            out[part] = np.sqrt(np.einsum("bcd,bcd->bc", candidates, candidates))
        else:
            dots = np.einsum("bcd,bcd->bc", candidates, np.broadcast_to(query, candidates.shape))
            lengths = np.sqrt(np.einsum("bcd,bcd->bc", candidates, candidates) * np.einsum("bcd,bcd->bc", query, query))
            cosines = np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0)
            out[part] = np.maximum(1.0 - cosines, 0.0)
    out[rows < 0] = np.inf
    return out


def nearest(
    X: NDArray[np.float32],
    Q: NDArray[np.float32],
    k: int,
    metric: Metric,
    *,
    squares: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Find the min(k, n) rows of X nearest to each query, nearest first, equal distances in row order.

    Args:
        X: float32 (n, d), C-contiguous; unit rows where the metric is cosine.
        Q: float32 (q, d).
        k: number of rows, at least 1.
        metric: see `Metric`.
        squares: float32 (n,), the squared lengths of X, if known; they make l2 faster for a few queries.

    Returns:
        distances float64 (q, k) and rows int64 (q, k).
    """
    n, k = len(X), min(k, len(X))
    found = np.empty((len(Q), k)), np.empty((len(Q), k), np.int64)
    if k == 0 or not len(Q):
        return found
    if metric == "cosine":
        Q = unit_rows(Q)
    pending, fetch = np.arange(len(Q)), min(n, k + _MARGIN)
    while len(pending):
        with np.errstate(over="ignore", invalid="ignore"):
            scores, rows = _search_float32(X, Q[pending], fetch, metric, squares)
        if not np.isfinite(scores).all() or rows.min() < 0:  # out of the range of float32
            beyond = ~np.isfinite(scores).all(axis=1) | (rows < 0).any(axis=1)
            for i in pending[beyond]:
                found[0][i], found[1][i] = _full_scan(X, Q[i : i + 1], k, metric)
            pending, scores, rows = pending[~beyond], scores[~beyond], rows[~beyond]
            if not len(pending):
                break
        true = distances(X, rows, Q[pending], metric)
        order = np.lexsort((rows, true))[:, :k]
        found[0][pending] = np.take_along_axis(true, order, 1)
        found[1][pending] = np.take_along_axis(rows, order, 1)
        if fetch == n:
            break
        kth = found[0][pending, -1]
        pending = pending[_lower_bound_of_rest(scores[:, -1], Q[pending], kth, metric) <= kth]
        fetch *= 4
        if fetch >= min(n, _FETCH_MOST):
            for i in pending:
                found[0][i], found[1][i] = _full_scan(X, Q[i : i + 1], k, metric)
            break
    return found


def nearest_rows(
    X: NDArray[np.float32], Q: NDArray[np.float32], k: int, metric: Metric, *, margin: int = 4
) -> NDArray[np.int64]:
    """Find the same rows as `nearest`, faster for many queries, because few distances are computed in float64.

    Candidates are ranked by direct distances in float32, whose errors are much smaller than those of the search. Only
    queries with two of these within the error of each other, or that may have missed a row, are searched by `nearest`.

    Args:
        X: float32 (n, d), C-contiguous; unit rows where the metric is cosine.
        Q: float32 (q, d).
        k: number of rows, at least 1.
        metric: see `Metric`.
        margin: rows to fetch beyond k.

    Returns:
        int64 (q, min(k, n)), nearest first, equal distances in row order.
    """
    n, k = len(X), min(k, len(X))
    fetch = min(n, k + margin)
    if len(Q) <= _FEW_QUERIES or fetch > _FETCH_MOST:
        return nearest(X, Q, k, metric)[1]
    Q = np.ascontiguousarray(unit_rows(Q) if metric == "cosine" else Q)
    with np.errstate(over="ignore", invalid="ignore"):
        scores, rows = _search_float32(X, Q, fetch, metric, None)
        if not np.isfinite(scores).all() or (fetch and rows.min() < 0):
            return nearest(X, Q, k, metric)[1]
        direct = np.empty(rows.shape, np.float32)
        compare = faiss.fvec_L2sqr_by_idx if metric == "l2" else faiss.fvec_inner_products_by_idx
        compare(*map(faiss.swig_ptr, (direct, Q, X, rows)), Q.shape[1], len(Q), fetch)
        if metric == "cosine":
            np.subtract(1.0, direct, out=direct)
    order = np.argsort(direct, axis=1, kind="stable")
    ranked = np.take_along_axis(direct, order, 1).astype(np.float64)
    found: NDArray[np.int64] = np.take_along_axis(rows, order[:, :k], 1)
    error = SCORE_ERROR * ranked + Q.shape[1] * SQUARE_ERROR if metric == "l2" else np.full(ranked.shape, SCORE_ERROR)
    unclear = (ranked[:, 1 : k + 1] - ranked[:, :k][:, : fetch - 1] <= 2 * error[:, 1 : k + 1]).any(axis=1)
    unclear |= ~np.isfinite(ranked).all(axis=1)
    if k > 0 and fetch < n:
        kth = ranked[:, k - 1] + error[:, k - 1]
        kth = np.sqrt(kth) if metric == "l2" else kth
        unclear |= _lower_bound_of_rest(scores[:, -1], Q, kth, metric) <= kth
    if unclear.any():
        found[unclear] = nearest(X, Q[unclear], k, metric)[1]
    return found


def merged(
    found: tuple[NDArray[np.float64], NDArray[np.int64]], more: tuple[NDArray[np.float64], NDArray[np.int64]], k: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Merge the nearest of two sets of rows: the k nearest of both, equal distances in row order.

    Args:
        found: distances float64 (q, a) and rows int64 (q, a).
        more: distances float64 (q, b) and rows int64 (q, b).
        k: number of rows.
    """
    distances, rows = np.hstack([found[0], more[0]]), np.hstack([found[1], more[1]])
    order = np.lexsort((rows, distances))[:, :k]
    return np.take_along_axis(distances, order, 1), np.take_along_axis(rows, order, 1)


def _search_float32(
    X: NDArray[np.float32],
    Q: NDArray[np.float32],
    k: int,
    metric: Metric,
    squares: NDArray[np.float32] | None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Compute squared distances (l2) or inner products (cosine) of the k best rows, best first, in float32."""
    kind = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    if len(Q) <= _FEW_QUERIES and (metric == "cosine" or squares is not None):
        return _search_by_products(X, Q, k, squares if metric == "l2" else None)
    if len(Q) >= _GPU_LEAST and k <= _GPU_MOST and on_gpu():
        scores, rows = faiss.knn_gpu(
            _gpu(), Q, X, k, metric=kind, vectorsMemoryLimit=_GPU_PART, queriesMemoryLimit=_GPU_PART
        )
    else:
        scores, rows = faiss.knn(Q, X, k, metric=kind)
    return scores, rows


def _gpu() -> Any:
    """Streams and scratch memory of this thread on the GPU, created once: FAISS cannot share them between threads."""
    if not hasattr(_PER_THREAD, "resources"):
        resources = faiss.StandardGpuResources()
        resources.setTempMemory(_GPU_SCRATCH)
        _PER_THREAD.resources = resources
    return _PER_THREAD.resources


def _search_by_products(
    X: NDArray[np.float32], Q: NDArray[np.float32], k: int, squares: NDArray[np.float32] | None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Do the same as `_search_float32` with a matrix-vector product per query, on all cores; FAISS uses one core."""
    scores, rows = np.empty((len(Q), k), np.float32), np.empty((len(Q), k), np.int64)
    for at, q in enumerate(Q):
        every = np.asarray(X @ q)
        rank = np.negative(every) if squares is None else squares - 2 * every
        best = np.argpartition(rank, k - 1)[:k] if k < len(X) else np.arange(len(X))
        rows[at] = best[np.argsort(rank[best])]
        scores[at] = every[rows[at]] if squares is None else rank[rows[at]] + q @ q
    return scores, rows


def _full_scan(
    X: NDArray[np.float32], q: NDArray[np.float32], k: int, metric: Metric
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Compute every distance in float64 for one query, for which many rows are near the k-th distance."""
    every = [
        distances(X, np.arange(start, min(start + _SCAN, len(X)))[None], q, metric)[0]
        for start in range(0, len(X), _SCAN)
    ]
    true = np.concatenate(every)
    rows = np.argsort(true, kind="stable")[:k]
    return true[rows], rows


def _lower_bound_of_rest(
    last: NDArray[np.float32], Q: NDArray[np.float32], kth: NDArray[np.float64], metric: Metric
) -> NDArray[np.float64]:
    """Lower bound of the distance of rows that were not fetched and could reach the k-th distance. float64 (q,).

    Args:
        last: float32 (q,), score of the last fetched row.
        Q: float32 (q, d).
        kth: float64 (q,), distance of the k-th row.
        metric: see `Metric`.
    """
    score = last.astype(np.float64)
    if metric == "cosine":
        return np.asarray(1.0 - score - 2 * SCORE_ERROR)
    length = np.linalg.norm(Q.astype(np.float64), axis=1)  # such a row is at most kth longer than the query
    noise = SCORE_ERROR * (np.square(length + kth) + np.square(length)) + Q.shape[1] * SQUARE_ERROR
    return np.asarray(np.sqrt(np.maximum(score - noise, 0.0)))
