"""Random forest of 500 trees, fitted by scikit-learn and stored as arrays of nodes.

Source: University project on likability (500 trees); Breiman 2001 (square root of the dimension tried per split;
leaves of at least five photos for a ratio, of one for a binary target).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from photogenic._lazy import sklearn
from photogenic.models.data.array_types import Array
from photogenic.models.data.samples import Samples
from photogenic.models.data.targets import Target
from photogenic.models.heads.base import Fitted, measured
from photogenic.models.heads.model import Model

__all__ = ["TREES", "apply_forest", "fit_forest"]

TREES = 500


def fit_forest(samples: Samples, target: Target, *, seed: int = 0) -> Fitted:
    """Fit the trees to train; a probability is the mean share of ones in the leaves.

    Args:
        samples: samples of one encoder and setup.
        target: target, which defines `samples.y`.
        seed: seed of the trees.
    """
    train = samples.part("train")
    leaf = 5 if target.loss == "mse" else 1
    maker = sklearn.ensemble.RandomForestRegressor if target.loss == "mse" else sklearn.ensemble.RandomForestClassifier
    forest = maker(TREES, max_features="sqrt", min_samples_leaf=leaf, random_state=seed % 2**32, n_jobs=-1)
    forest.fit(train.X, train.y, sample_weight=train.weight / train.weight.mean())
    dim = train.X.shape[1]
    arrays = _rows(forest) | {"mean": np.zeros(dim, np.float32), "scale": np.ones(dim, np.float32)}
    chosen = {"seed": seed, "trees": TREES, "max_features": "sqrt", "min_samples_leaf": leaf}
    return measured(Model("forest", "identity", arrays), target, samples, chosen, {"n_nodes": len(arrays["value"])})


def apply_forest(arrays: Mapping[str, Array], X: Array) -> Array:
    """Return the means over trees, (n,); all photos descend one tree at a time.

    The nodes of all trees are concatenated: `feature` (-1 at a leaf), `threshold`, `left`, `right`, `value`; `roots`
    holds the first node of each tree.
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


def _rows(forest: Any) -> dict[str, Array]:
    """Concatenate the nodes of all trees, as `apply_forest` reads them. Integers are stored as float64."""
    trees = [grown.tree_ for grown in forest.estimators_]
    roots = np.cumsum([0, *(tree.node_count for tree in trees)])[:-1]
    classes = list(getattr(forest, "classes_", []))

    def value(tree: Any) -> Array:
        held = np.asarray(tree.value[:, 0], np.float64)
        if not classes:
            return held[:, 0]
        return held[:, classes.index(1)] / held.sum(1) if 1 in classes else np.zeros(len(held))

    def moved(name: str) -> Array:
        return np.concatenate([getattr(tree, name) + root for tree, root in zip(trees, roots, strict=True)])

    return {
        "roots": roots.astype(np.float64),
        "feature": np.concatenate([tree.feature for tree in trees]).clip(-1).astype(np.float64),
        "threshold": np.concatenate([tree.threshold for tree in trees]).astype(np.float64),
        "left": moved("children_left").astype(np.float64),
        "right": moved("children_right").astype(np.float64),
        "value": np.concatenate([value(tree) for tree in trees]),
    }
