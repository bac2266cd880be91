"""Update an IVF index: add and remove the photos that changed, and keep its cells.

When changes since the training exceed a quarter of the photos trained on, train a new index.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import pl
from photogenic.features.search.exact import Metric
from photogenic.features.search.index_files import Index
from photogenic.features.search.ivf import IvfIndex
from photogenic.warehouse.errors import StoreError

__all__ = ["DRIFT", "KeptCells", "kept_cells", "update_ivf"]

DRIFT = 0.25
"""Changes since the training, as a share of the photos trained on, above which a new index is trained."""

_BLOCK = 16_384


@dataclass(frozen=True, slots=True)
class KeptCells:
    """A former index whose cells a new one keeps.

    Attributes:
        former: the former index.
        rows: int64 (n,), the row in the former index of each photo; -1: it is new, or its vector changed.
        n_changed: changes since the training.
    """

    former: Index
    rows: NDArray[np.int64]
    n_changed: int


def kept_cells(
    former: Index | None,
    kind: str,
    metric: Metric,
    ids: pl.Series,
    X: NDArray[np.float32],
    *,
    drift: float = DRIFT,
) -> KeptCells | None:
    """Compare the photos with those of the former index; None: a new index is trained.

    Args:
        former: former index, if any.
        kind: kind of the new index; the former one may differ in the number of cells, but not in the code.
        metric: metric of the new index.
        ids: sorted photo ids.
        X: float32 (n, d), vectors of the new index.
        drift: share of changes above which a new index is trained.
    """
    if former is None or former.manifest.metric != metric or _code(former.manifest.kind) != _code(kind):
        return None
    rows = former.rows(ids)
    same = np.flatnonzero(rows >= 0)
    same = same[_equal_rows(X, same, former.vectors, rows[same])]
    n_changed = former.manifest.n_drifted + (len(ids) - len(same)) + (len(former) - len(same))
    if n_changed > drift * former.manifest.n_trained:
        return None
    kept = np.full(len(ids), -1)
    kept[same] = rows[same]
    return KeptCells(former, kept, n_changed)


def update_ivf(kept: KeptCells | None, kind: str, ids: pl.Series, X: NDArray[np.float32]) -> tuple[IvfIndex, int, int]:
    """Update the former IVF index in memory, or train a new one.

    Returns:
        The IVF index, the number of photos it was trained on, and the number of changes since then.
    """
    ivf = _opened(kept)
    if kept is None or ivf is None:
        return IvfIndex.train(X, kind), len(ids), 0
    new_rows = np.full(len(kept.former), -1)
    same = np.flatnonzero(kept.rows >= 0)
    new_rows[kept.rows[same]] = same
    ivf.renumber(new_rows)
    ivf.add(X, np.flatnonzero(kept.rows < 0))
    return ivf, kept.former.manifest.n_trained, kept.n_changed


def _opened(kept: KeptCells | None) -> IvfIndex | None:
    if kept is None:
        return None
    try:
        return kept.former.ivf
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
