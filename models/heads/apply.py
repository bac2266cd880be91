"""What a trained head says before its link, from its arrays alone. X is float32 (n, d), standardised if the head is.

kernel   sum over support of dual * similarity + bias; similarity mixes one Gaussian kernel per block
forest   mean of the leaves that the trees lead to
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from photogenic.models.data.array_types import Array

__all__ = ["apply_forest", "apply_kernel", "similarity"]


def similarity(A: Array, B: Array, blocks: Array, width: float) -> Array:
    """How alike rows of A (n, d) and B (m, d) are, 0 to 1: (n, m).

    Args:
        A: standardised vectors.
        B: likewise.
        blocks: (blocks, 3): where one starts and ends, and its share; shares add up to 1.
        width: of the Gaussians, in mean squared standard deviations per number.
    """
    found = np.zeros((len(A), len(B)), A.dtype)
    for start, stop, share in blocks.tolist():
        a, b = A[:, int(start) : int(stop)], B[:, int(start) : int(stop)]
        distance = (a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * (a @ b.T)
        found += share * np.exp(-np.maximum(distance, 0) / ((stop - start) * 2 * width**2))
    return found


def apply_kernel(arrays: Mapping[str, Array], X: Array) -> Array:
    """(n,) log-odds."""
    alike = similarity(X, arrays["support"], arrays["blocks"], float(arrays["width"]))
    return np.asarray(alike @ arrays["dual"] + arrays["bias"])


def apply_forest(arrays: Mapping[str, Array], X: Array) -> Array:
    """(n,) means over trees, all photos walking down one tree at a time.

    Nodes of all trees stand in one row: `feature` (-1 at a leaf), `threshold`, `left`, `right`, `value`;
    `roots` says where each tree begins.
    """
    feature, left, right = (arrays[name].astype(np.intp) for name in ("feature", "left", "right"))
    rows, total = np.arange(len(X)), np.zeros(len(X))
    for root in arrays["roots"].astype(np.intp).tolist():
        node = np.full(len(X), root)
        walking = rows[feature[node] >= 0]
        while len(walking):
            at = node[walking]
            goes_left = X[walking, feature[at]] <= arrays["threshold"][at]
            node[walking] = np.where(goes_left, left[at], right[at])
            walking = walking[feature[node[walking]] >= 0]
        total += arrays["value"][node]
    return total / len(arrays["roots"])
