"""Weighted metrics of predictions, with intervals that keep the photos of one user together.

A metric is a function of a few weighted sums, so the bootstrap draws users with replacement, adds their sums and
evaluates the function again. `p` are predictions, from 0 to 1 unless the target is a number of any size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import scipy, sklearn
from photogenic.models.data.array_types import Array, Strings
from photogenic.models.data.targets import Target
from photogenic.models.evaluation.wilson import effective_sample_size, per_user, wilson

__all__ = [
    "bootstrap",
    "errors_of",
    "evaluate",
    "interval",
    "log_loss",
    "loss_of",
    "mse",
    "noise_floor",
    "per_user",
    "rank_correlation",
]

DRAWS = 2000
RANK_DRAWS = 1000
"""Number of bootstrap draws; the second number is for rank correlations, which are slower."""


def mse(y: Array, p: Array, weight: Array) -> float:
    """Return the weighted mean squared error."""
    return float(np.average((np.asarray(p, np.float64) - y) ** 2, weights=weight))


def log_loss(y: Array, p: Array, weight: Array) -> float:
    """Return the weighted mean cross-entropy in nats; y may be a ratio. p is clipped to 1e-7 from 0 and 1."""
    p = np.clip(np.asarray(p, np.float64), 1e-7, 1 - 1e-7)
    return float(np.average(-(y * np.log(p) + (1 - y) * np.log(1 - p)), weights=weight))


def loss_of(target: Target, y: Array, p: Array, weight: Array) -> float:
    """Return the weighted mean of the training loss of the target."""
    return (mse if target.loss == "mse" else log_loss)(y, p, weight)


def errors_of(target: Target, y: Array, p: Array) -> Array:
    """Return the error of each photo: the squared error, or 1 for a wrong answer."""
    y, p = np.asarray(y, np.float64), np.asarray(p, np.float64)
    return np.asarray((y - p) ** 2 if target.metric == "mse" else (p >= 0.5) != (y == 1), np.float64)


def noise_floor(y: Array, n: Array) -> float:
    """Return the smallest possible error of a model, caused by the finite number of swipes behind each ratio.

    A ratio y of n independent swipes has variance p (1 - p) / n around the true p of its photo, with the unbiased
    estimate y (1 - y) / (n - 1). The result is the mean of this estimate, weighted by n, over photos with at least two
    swipes, because one swipe gives no estimate. NaN if there are no such photos.
    """
    y, n = np.asarray(y, np.float64), np.asarray(n, np.float64)
    several = n >= 2
    if not several.any():
        return float("nan")
    y, n = y[several], n[several]
    return float(np.average(y * (1 - y) / (n - 1), weights=n))


def evaluate(
    target: Target,
    y: Array,
    p: Array,
    *,
    weight: Array,
    users: Strings,
    constant: float | Array,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Compute all figures of a run on one split. Accuracies get Wilson's intervals, other figures bootstrap intervals.

    Args:
        target: target that defines `metric`.
        y: labels, (n,).
        p: predictions, (n,).
        weight: weight of each photo, (n,).
        users: owner of each photo, (n,).
        constant: weighted mean label of train, the prediction of the best constant; with folds, (n,).
        rng: random generator of the bootstrap.

    Returns:
        `metric`, `baseline` (of the constant) and, by target: `gain` (error of the constant divided by the error),
        `r2`, `spearman`, `noise_floor`; or `log_loss`, `auc`, `average_precision` and `voices`, the effective number of
        answers. `intervals` holds the intervals of the first five.
    """
    y, p, weight = (np.asarray(values, np.float64) for values in (y, p, weight))
    if target.metric == "mse":
        terms = np.stack([weight, weight * (y - p) ** 2, weight * (y - constant) ** 2, weight * y, weight * y * y], 1)
        figures: dict[str, Callable[[Array], Array]] = {
            "metric": lambda s: s[..., 1] / s[..., 0],
            "baseline": lambda s: s[..., 2] / s[..., 0],
            "gain": lambda s: s[..., 2] / s[..., 1],
            "r2": lambda s: 1 - s[..., 1] / (s[..., 4] - s[..., 3] ** 2 / s[..., 0]),
        }
        further = {"noise_floor": noise_floor(y, weight)} if target.bounded else {}
    else:
        right, alike = (p >= 0.5) == (y == 1), (np.asarray(constant) >= 0.5) == (y == 1)
        terms = np.stack([weight, weight * right, weight * alike], 1)
        figures = {"metric": lambda s: s[..., 1] / s[..., 0], "baseline": lambda s: s[..., 2] / s[..., 0]}
        further = {"log_loss": log_loss(y, p, weight), **_ranking(y, p)}
    totals, draws = terms.sum(0), bootstrap(per_user(terms, users), rng)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: dict[str, Any] = {name: float(figure(totals)) for name, figure in figures.items()}
        found["intervals"] = {name: interval(figure(draws)) for name, figure in figures.items()}
        if target.metric == "accuracy":
            further["voices"] = effective_sample_size(weight, users)
            found["intervals"] = {name: wilson(found[name], further["voices"]) for name in figures}
        if target.metric == "mse":
            found["spearman"], *found["intervals"]["spearman"] = rank_correlation(y, p, users, rng)
    return {name: _nan_to_none(value) for name, value in (found | further).items()}


def bootstrap(sums: Array, rng: np.random.Generator, draws: int = DRAWS) -> Array:
    """Return totals of `draws` samples of users, drawn with replacement: (users, k) -> (draws, k)."""
    return np.stack([times @ sums for times in _drawn(len(sums), rng, draws)])


def _drawn(n: int, rng: np.random.Generator, draws: int) -> Iterator[NDArray[np.intp]]:
    """Yield, for each draw, how often each of `n` users is in a sample of `n`."""
    return (np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(draws))


def interval(values: Array) -> list[float | None]:
    """Return the middle 95 % of the draws in which the figure is defined."""
    defined = values[np.isfinite(values)]
    if not len(defined):
        return [None, None]
    low, high = np.quantile(defined, [0.025, 0.975])
    return [float(low), float(high)]


def _nan_to_none(value: Any) -> Any:
    """Return None for an undefined figure; JSON and SQL have no NaN."""
    return None if isinstance(value, float) and not np.isfinite(value) else value


def rank_correlation(
    y: Array, p: Array, users: Strings, rng: np.random.Generator
) -> tuple[float | None, float | None, float | None]:
    """Return Spearman's rank correlation with its interval over users."""
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = interval(_spearman_draws(y, p, users, rng))
        return _nan_to_none(_spearman(y, p)), low, high


def _spearman(y: Array, p: Array) -> float:

    a, b = scipy.stats.rankdata(y), scipy.stats.rankdata(p)
    if len(a) < 2 or a.std() == 0 or b.std() == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def _spearman_draws(y: Array, p: Array, users: Strings, rng: np.random.Generator) -> Array:
    """Return rank correlations of samples of users; each sort is computed once, ranks once per sample."""
    _, owner = np.unique(users, return_inverse=True)
    places = [np.unique(values, return_inverse=True)[1] for values in (y, p)]
    found = []
    for times in _drawn(owner.max() + 1, rng, RANK_DRAWS):
        weight, ranks = times[owner], []
        for place in places:
            held = np.bincount(place, weight)
            rank = (np.cumsum(held) - held / 2)[place]
            ranks.append(rank - np.average(rank, weights=weight))
        (a, b), covariance = ranks, (weight * ranks[0] * ranks[1]).sum()
        found.append(covariance / np.sqrt((weight * a * a).sum() * (weight * b * b).sum()))
    return np.array(found)


def _ranking(y: Array, p: Array) -> dict[str, float]:

    if len(np.unique(y)) < 2:
        return {"auc": float("nan"), "average_precision": float("nan")}
    return {
        "auc": float(sklearn.metrics.roc_auc_score(y, p)),
        "average_precision": float(sklearn.metrics.average_precision_score(y, p)),
    }
