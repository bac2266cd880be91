"""The true nearest rows of a matrix: a fast first look in float32, then a judgement in float64 that is certain.

A distance in float32 carries rounding noise, so a cut at exactly k rows could drop a true neighbour or
order equal ones by chance. Hence more than k rows are fetched and measured again in float64; if the
rows left out could still reach into the first k, more are fetched. Rows at one distance come in row
order, which is the order of photo_id.
"""

from __future__ import annotations

import os
import threading
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import faiss

__all__ = ["Metric", "distances", "is_extreme", "nearest", "on_gpu", "unit_rows"]

Metric = Literal["l2", "cosine"]
"""l2: Euclidean, not squared. cosine: 1 - cos, between 0 and 2; a zero vector is at 1 from everything."""

_MARGIN = 16
_BLOCK = 256
_FETCH_MOST = 1024
_SCAN = 4096
_GPU_MOST = 2048
_GPU_LEAST = 32
"""Queries that make up for sending the matrix: 53 ms of 400 MB to an H200, in which 16 cores answer some thirty."""

_GPU_PART = 2**31
"""Bytes of vectors, and of queries, on the GPU at a time: a matrix may be larger than its memory."""

_GPU_SCRATCH = 2**28
_PER_THREAD = threading.local()
_FEW = 4
_SHORT, _LONG = 1e-15, 1e15
"""Lengths between which sums of squares are neither rounded to zero nor infinite in float32."""

_LEAST = 2.0**-146
"""Absolute error granted to each square: float32 has no smaller numbers than 2^-149."""

_NOISE = 64 * 2.0**-24
"""Relative error granted to a float32 score; the sums behind it are blocked, so it hardly grows with dim."""


def on_gpu() -> bool:
    """Whether FAISS may use a GPU: there is one, and `FEATURES_GPU` is not 0.

    Only brute-force search and training run there, on exactly the rows in question: GPU indexes
    accept selectors and ignore them.
    """
    return os.environ.get("FEATURES_GPU") != "0" and faiss.get_num_gpus() > 0


def unit_rows(X: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row divided by its length; zero rows stay zero. float32 (n, d). Rows of any size: the squares of very long
    and very short ones are beyond float32.
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
    """Whether vectors are so long or so short that squares of their numbers are beyond float32."""
    largest = max((float(np.abs(X[at : at + _SCAN]).max(initial=0.0)) for at in range(0, len(X), _SCAN)), default=0.0)
    return not (largest == 0 or _SHORT < largest < _LONG)


def distances(
    X: NDArray[np.float32], rows: NDArray[np.int64], Q: NDArray[np.float32], metric: Metric
) -> NDArray[np.float64]:
    """Distance from each query to its own candidate rows, in float64.

    Args:
        X: float32 (n, d).
        rows: int64 (q, c), rows of X; -1 stands for none, at infinity.
        Q: float32 (q, d).
        metric: see `Metric`.

    Returns:
        float64 (q, c).
    """
    out = np.empty(rows.shape)
    for start in range(0, len(Q), _BLOCK):
        part = slice(start, start + _BLOCK)
        near = X[rows[part]].astype(np.float64)  # (b, c, d)
        query = Q[part, None, :].astype(np.float64)  # (b, 1, d)
        if metric == "l2":
            near -= query
            out[part] = np.sqrt(np.einsum("bcd,bcd->bc", near, near))
        else:
            dots = np.einsum("bcd,bcd->bc", near, np.broadcast_to(query, near.shape))
            lengths = np.sqrt(np.einsum("bcd,bcd->bc", near, near) * np.einsum("bcd,bcd->bc", query, query))
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
    """The min(k, n) rows of X nearest to each query, nearest first, equal ones in row order.

    Args:
        X: float32 (n, d), C-contiguous; unit rows where the metric is cosine.
        Q: float32 (q, d).
        k: how many, at least 1.
        metric: see `Metric`.
        squares: float32 (n,), the squared lengths of X where they are known: makes l2 faster for a few queries.

    Returns:
        distances float64 (q, k) and rows int64 (q, k).
    """
    n, k = len(X), min(k, len(X))
    found = np.empty((len(Q), k)), np.empty((len(Q), k), np.int64)
    if k == 0 or not len(Q):
        return found
    if metric == "cosine":
        Q = unit_rows(Q)
    open_, fetch = np.arange(len(Q)), min(n, k + _MARGIN)
    while len(open_):
        with np.errstate(over="ignore", invalid="ignore"):
            scores, rows = _first_look(X, Q[open_], fetch, metric, squares)
        if not np.isfinite(scores).all() or rows.min() < 0:  # float32 cannot tell
            beyond = ~np.isfinite(scores).all(axis=1) | (rows < 0).any(axis=1)
            for i in open_[beyond]:
                found[0][i], found[1][i] = _full_scan(X, Q[i : i + 1], k, metric)
            open_, scores, rows = open_[~beyond], scores[~beyond], rows[~beyond]
            if not len(open_):
                break
        true = distances(X, rows, Q[open_], metric)
        order = np.lexsort((rows, true))[:, :k]
        found[0][open_] = np.take_along_axis(true, order, 1)
        found[1][open_] = np.take_along_axis(rows, order, 1)
        if fetch == n:
            break
        kth = found[0][open_, -1]
        open_ = open_[_least_left_out(scores[:, -1], Q[open_], kth, metric) <= kth]
        fetch *= 4
        if fetch >= min(n, _FETCH_MOST):
            for i in open_:
                found[0][i], found[1][i] = _full_scan(X, Q[i : i + 1], k, metric)
            break
    return found


def _first_look(
    X: NDArray[np.float32],
    Q: NDArray[np.float32],
    k: int,
    metric: Metric,
    squares: NDArray[np.float32] | None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Squared distances (l2) or inner products (cosine) of the k best rows, best first, in float32."""
    kind = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    if len(Q) <= _FEW and (metric == "cosine" or squares is not None):
        return _by_products(X, Q, k, squares if metric == "l2" else None)
    if len(Q) >= _GPU_LEAST and k <= _GPU_MOST and on_gpu():
        scores, rows = faiss.knn_gpu(
            _gpu(), Q, X, k, metric=kind, vectorsMemoryLimit=_GPU_PART, queriesMemoryLimit=_GPU_PART
        )
    else:
        scores, rows = faiss.knn(Q, X, k, metric=kind)
    return scores, rows


def _gpu() -> Any:
    """This thread's streams and scratch memory on the GPU, made once: FAISS shares them among no two threads."""
    if not hasattr(_PER_THREAD, "resources"):
        resources = faiss.StandardGpuResources()
        resources.setTempMemory(_GPU_SCRATCH)
        _PER_THREAD.resources = resources
    return _PER_THREAD.resources


def _by_products(
    X: NDArray[np.float32], Q: NDArray[np.float32], k: int, squares: NDArray[np.float32] | None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """As `_first_look`, one matrix-vector product a query: on all cores, where FAISS gives a query one."""
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
    """The last resort for one query with a crowd at the k-th distance: every row in float64."""
    every = [
        distances(X, np.arange(start, min(start + _SCAN, len(X)))[None], q, metric)[0]
        for start in range(0, len(X), _SCAN)
    ]
    true = np.concatenate(every)
    rows = np.argsort(true, kind="stable")[:k]
    return true[rows], rows


def _least_left_out(
    last: NDArray[np.float32], Q: NDArray[np.float32], kth: NDArray[np.float64], metric: Metric
) -> NDArray[np.float64]:
    """What a row that was left out, and could reach the k-th distance, is at least away. float64 (q,).

    Args:
        last: float32 (q,), score of the last row that was fetched.
        Q: float32 (q, d).
        kth: float64 (q,), distance of the k-th row.
        metric: see `Metric`.
    """
    score = last.astype(np.float64)
    if metric == "cosine":
        return np.asarray(1.0 - score - 2 * _NOISE)
    length = np.linalg.norm(Q.astype(np.float64), axis=1)  # such a row is at most kth longer than the query
    noise = _NOISE * (np.square(length + kth) + np.square(length)) + Q.shape[1] * _LEAST
    return np.asarray(np.sqrt(np.maximum(score - noise, 0.0)))
