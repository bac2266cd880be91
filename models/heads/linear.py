"""Linear heads of scikit-learn: linear SVM, logistic regression and ridge regression.

Each is linear in the standardized vector, so it is stored and applied like a head without hidden layers. The penalty
is chosen by cross-validation on train, in folds by user; dev and test are not used.

Source: University project on likability (linear SVM, C from 1e-6 to 1e5, chosen by average precision).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from photogenic._lazy import sklearn
from photogenic.models.data.array_types import Array
from photogenic.models.data.samples import Samples, Standardisation
from photogenic.models.data.targets import Target
from photogenic.models.heads.base import Fitted, measured
from photogenic.models.heads.model import Link, Model
from photogenic.models.heads.penalty_grid import PenaltyGrid
from photogenic.warehouse import InputError

__all__ = ["FOLDS", "fit_linear", "fold_score", "folds_by_user", "linear_model", "platt"]

FOLDS = 5
"""Number of cross-validation folds; fewer if there are fewer users."""


def fit_linear(
    samples: Samples,
    target: Target,
    grid: PenaltyGrid,
    estimator: Callable[[float, int], Any],
    *,
    calibrated: bool = False,
    seed: int = 0,
) -> Fitted:
    """Choose the penalty on folds of train, then fit to all of train.

    If the output is a margin, a logistic curve through the margins of left-out photos turns it into a probability
    (Platt 1999); this does not change the order of photos.

    Args:
        samples: samples of one encoder and setup, of a target that the head can learn.
        target: target, which defines `samples.y`.
        grid: penalties to try, and the score that selects one.
        estimator: function from a penalty and a seed to an estimator of scikit-learn.
        calibrated: whether the output is a margin.
        seed: seed of the order of photos, if the estimator has one.

    Raises:
        InputError: train has too few users, or no fold in which both labels occur.
    """
    train = samples.part("train")
    standardise = Standardisation.of(train.X)
    X, weight = standardise(train.X).astype(np.float64), (train.weight / train.weight.mean()).astype(np.float64)
    y = train.y.astype(np.float64)
    folds = folds_by_user(train, target)
    curve: list[dict[str, Any]] = []
    outside: dict[float, Array] = {}
    for strength in grid.tried:
        outputs, settled = [], True
        for inside, left_out in folds:
            model, converged = _fit(estimator(strength, seed), X[inside], y[inside], weight[inside])
            settled &= converged
            outputs.append(_output(model, X[left_out]))
        scores = [fold_score(grid.score, y[out], z, weight[out]) for (_, out), z in zip(folds, outputs, strict=True)]
        outside[strength] = np.concatenate(outputs)
        curve.append({grid.strength: strength, "score": float(np.mean(scores)), "folds": scores, "converged": settled})
    best = max(curve, key=lambda point: point["score"])[grid.strength]
    model, converged = _fit(estimator(best, seed), X, y, weight)
    slope, shift = 1.0, 0.0
    if calibrated:
        left_out = np.concatenate([out for _, out in folds])
        slope, shift = platt(outside[best], y[left_out])
    weights, bias = slope * np.ravel(model.coef_), slope * np.ravel(model.intercept_)[0] + shift
    made = linear_model("identity" if grid.loss == "mse" else "sigmoid", weights, bias, standardise)
    chosen = {"seed": seed, grid.strength: best, "folds": len(folds), "chosen_by": grid.score}
    return measured(made, target, samples, chosen, {"penalty_curve": curve, "converged": converged})


def linear_model(link: Link, weights: Array, bias: float, standardise: Standardisation) -> Model:
    """Make the model of a linear head: one layer, which is applied like the fully connected heads."""
    arrays = {"output.weight": np.asarray(weights, np.float32), "output.bias": np.asarray(bias, np.float32)}
    return Model("fc", link, arrays | {"mean": standardise.mean, "scale": standardise.scale})


def folds_by_user(train: Samples, target: Target) -> list[tuple[Any, Any]]:
    """Return (inside, left out) rows of each fold: no user on both sides, both labels of a binary target on both.

    Raises:
        InputError: there are no such folds.
    """
    n_users = len(np.unique(train.user_ids))
    found: list[tuple[Any, Any]] = []
    if n_users > 1:
        found = list(sklearn.model_selection.GroupKFold(min(FOLDS, n_users)).split(train.X, groups=train.user_ids))
    if target.loss == "log_loss":
        found = [pair for pair in found if all(len(np.unique(train.y[rows])) == 2 for rows in pair)]
    if not found:
        rarest = "" if target.loss == "mse" else f", {_rarer(train.y)} of them with the rarer answer,"
        raise InputError(
            f"{n_users} users with {len(train)} photos in train{rarest} are too few to cross-validate.",
            "folds by user in which both answers occur",
            "train --head 0fc, or build with more labeled photos"
            + ("" if target.loss == "mse" else " of the rarer answer"),
        )
    return found


def _rarer(y: Array) -> int:
    return int(min(np.sum(y == 1), np.sum(y != 1)))


def _fit(estimator: Any, X: Array, y: Array, weight: Array) -> tuple[Any, bool]:
    """Return the fitted estimator, and whether it converged."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always", sklearn.exceptions.ConvergenceWarning)
        model = estimator.fit(X, y, sample_weight=weight)
    return model, not any(issubclass(w.category, sklearn.exceptions.ConvergenceWarning) for w in heard)


def _output(model: Any, X: Array) -> Array:
    """Return the output before any link, (n,)."""
    return np.asarray(X @ np.ravel(model.coef_) + np.ravel(model.intercept_)[0])


def fold_score(score: str, y: Array, output: Array, weight: Array) -> float:
    """Return the score of one fold; higher is better."""
    if score == "average_precision":
        return float(sklearn.metrics.average_precision_score(y, output, sample_weight=weight))
    if score == "neg_log_loss":
        return -float(np.average(np.logaddexp(0, output) - y * output, weights=weight))
    return -float(np.average((output - y) ** 2, weights=weight))


def platt(margins: Array, y: Array) -> tuple[float, float]:
    """Return (slope, shift) of the log-odds as a function of the margin; a negative slope is refused."""
    scale = float(np.std(margins)) or 1.0
    curve = sklearn.linear_model.LogisticRegression(C=1e3).fit(margins[:, None] / scale, y)
    slope = float(curve.coef_[0, 0]) / scale
    return max(slope, 1e-3 / scale), float(curve.intercept_[0])
