"""Update an IVF index: add and remove the photos that changed, and keep its cells.

When changes since the training exceed a quarter of the photos trained on, train a new index.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import pl
from photogenic.features.search.exact import Metric
from photogenic.features.search.index_files import Index
from photogenic.features.search.ivf import IvfIndex
from photogenic.warehouse.errors import StoreError

__all__ = ["DRIFT", "update_ivf"]

DRIFT = 0.25
"""Changes since the training, as a share of the photos trained on, above which a new index is trained."""

_BLOCK = 16_384


def update_ivf(
    former: Index | None,
    kind: str,
    metric: Metric,
    ids: pl.Series,
    X: NDArray[np.float32],
    *,
    drift: float = DRIFT,
) -> tuple[IvfIndex, int, int]:
    """Update the former IVF index, or train a new one.

    Args:
        former: former index, if any.
        kind: kind of the new index; the former one may differ in the number of cells, but not in the code.
        metric: metric of the new index.
        ids: sorted photo ids.
        X: float32 (n, d), vectors of the new index.
        drift: share of changes above which a new index is trained.

    Returns:
        The IVF index, the number of photos it was trained on, and the number of changes since then.
    """
    all_new = len(ids), 0
    ivf = _usable(former, kind, metric)
    if former is None or ivf is None:
        return IvfIndex.train(X, kind), *all_new
    former_rows = former.rows(ids)
    same = np.flatnonzero(former_rows >= 0)
    same = same[_equal_rows(X, same, former.vectors, former_rows[same])]
    n_changed = former.manifest.n_drifted + (len(ids) - len(same)) + (len(former) - len(same))
    if n_changed > drift * former.manifest.n_trained:
        return IvfIndex.train(X, kind), *all_new
    new_rows = np.full(len(former), -1)
    new_rows[former_rows[same]] = same
    ivf.renumber(new_rows)
    ivf.add(X, np.setdiff1d(np.arange(len(ids)), same))
    return ivf, former.manifest.n_trained, n_changed


def _usable(former: Index | None, kind: str, metric: Metric) -> IvfIndex | None:
    if former is None or former.manifest.metric != metric or _code(former.manifest.kind) != _code(kind):
        return None
    try:
        return former.ivf
    except (OSError, RuntimeError, StoreError):
        return None  # damaged: the index is a cache and is built again


def _code(kind: str) -> str:
    return kind.partition(",")[2]


def _equal_rows(
    X: NDArray[np.float32], rows: NDArray[np.int64], Y: NDArray[np.float32], others: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether X[rows] equals Y[others], per row. bool (len(rows),)."""
    equal = np.empty(len(rows), np.bool_)
    for start in range(0, len(rows), _BLOCK):
        part = slice(start, start + _BLOCK)
        equal[part] = (X[rows[part]] == Y[others[part]]).all(axis=1)
    return equal
