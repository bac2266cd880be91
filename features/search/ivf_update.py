"""An IVF index outlives small changes: photos that came, changed or went are put in and taken out.

The cells were learnt from the photos of their day. When a quarter of them has changed since, they are
learnt anew.
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
"""Changes since training, as a share of the photos trained on, after which the cells are learnt anew."""

_BLOCK = 16_384


def update_ivf(
    former: Index | None, kind: str, metric: Metric, ids: pl.Series, X: NDArray[np.float32]
) -> tuple[IvfIndex, int, int]:
    """The former IVF index brought up to date, or a new one.

    Args:
        former: the index that counted until now.
        kind: what is wanted now; cells may differ in number, the code may not.
        metric: what is wanted now.
        ids: sorted photo ids.
        X: float32 (n, d), their vectors as the index keeps them.

    Returns:
        The IVF index, photos it was trained on, and changes since.
    """
    anew = len(ids), 0
    ivf = _usable(former, kind, metric)
    if former is None or ivf is None:
        return IvfIndex.train(X, kind), *anew
    was = former.rows(ids)
    same = np.flatnonzero(was >= 0)
    same = same[_equal_rows(X, same, former.vectors, was[same])]
    n_changed = former.manifest.n_drifted + (len(ids) - len(same)) + (len(former) - len(same))
    if n_changed > DRIFT * former.manifest.n_trained:
        return IvfIndex.train(X, kind), *anew
    new_rows = np.full(len(former), -1)
    new_rows[was[same]] = same
    ivf.renumber(new_rows)
    ivf.add(X, np.setdiff1d(np.arange(len(ids)), same))
    return ivf, former.manifest.n_trained, n_changed


def _usable(former: Index | None, kind: str, metric: Metric) -> IvfIndex | None:
    if former is None or former.manifest.metric != metric or _code(former.manifest.kind) != _code(kind):
        return None
    try:
        return former.ivf
    except (OSError, RuntimeError, StoreError):
        return None  # damaged: it is a cache, and made anew


def _code(kind: str) -> str:
    return kind.partition(",")[2]


def _equal_rows(
    X: NDArray[np.float32], rows: NDArray[np.int64], Y: NDArray[np.float32], others: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether X[rows] equals Y[others], row by row."""
    equal = np.empty(len(rows), np.bool_)
    for start in range(0, len(rows), _BLOCK):
        part = slice(start, start + _BLOCK)
        equal[part] = (X[rows[part]] == Y[others[part]]).all(axis=1)
    return equal
