"""How good are predictions? Weighted metrics, each with an interval that knows photos of one user belong together.

Sums decide: a metric is a function of a few weighted sums, so a bootstrap draws users with
replacement, adds up their sums and asks the function again. `p` are predictions in 0..1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import scipy, sklearn
from photogenic.models.data.array_types import Array, Strings
from photogenic.models.data.targets import Target
from photogenic.models.evaluation.wilson import per_user, voices, wilson

__all__ = [
    "bootstrap",
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
"""Of the bootstrap, and of that of ranks, which costs more."""


def mse(y: Array, p: Array, weight: Array) -> float:
    """Weighted mean of squared error."""
    return float(np.average((np.asarray(p, np.float64) - y) ** 2, weights=weight))


def log_loss(y: Array, p: Array, weight: Array) -> float:
    """Weighted mean of cross-entropy in nats; y may be a ratio. p is kept 1e-7 away from 0 and 1."""
    p = np.clip(np.asarray(p, np.float64), 1e-7, 1 - 1e-7)
    return float(np.average(-(y * np.log(p) + (1 - y) * np.log(1 - p)), weights=weight))


def loss_of(target: Target, y: Array, p: Array, weight: Array) -> float:
    """The weighted mean loss that the target is trained on."""
    return (mse if target.loss == "mse" else log_loss)(y, p, weight)


def noise_floor(y: Array, n: Array) -> float:
    """The error that no model of the photo can beat, since each ratio stands on finitely many swipes.

    A ratio y of n independent swipes has variance p (1 - p) / n around its photo's true p, of which
    y (1 - y) / (n - 1) is the unbiased estimate; returned is its mean, weighted by n, over the photos
    with at least two swipes (one swipe says nothing about its own noise). NaN where there is none.
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
    """Every figure of one run on one split; shares of right answers have Wilson's intervals, all others a bootstrap's.

    Args:
        target: decides what `metric` is.
        y: labels, (n,).
        p: predictions, (n,).
        weight: of each photo, (n,).
        users: owner of each photo, (n,).
        constant: the weighted mean of the labels of train: what a model that sees nothing answers; of folds, (n,).
        rng: of the bootstrap.

    Returns:
        `metric`, `baseline` (the constant's) and by target: `gain` (times less error than the constant),
        `r2`, `spearman`, `noise_floor`; or `log_loss`, `auc`, `average_precision` and `voices`, what the answers are
        worth. `intervals` of the first five.
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
        further = {"noise_floor": noise_floor(y, weight)}
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
            further["voices"] = voices(weight, users)
            found["intervals"] = {name: wilson(found[name], further["voices"]) for name in figures}
        if target.metric == "mse":
            found["spearman"], *found["intervals"]["spearman"] = rank_correlation(y, p, users, rng)
    return {name: _defined(value) for name, value in (found | further).items()}


def bootstrap(sums: Array, rng: np.random.Generator, draws: int = DRAWS) -> Array:
    """Totals of `draws` samples of users, drawn with replacement: (users, k) -> (draws, k)."""
    return np.stack([times @ sums for times in _drawn(len(sums), rng, draws)])


def _drawn(n: int, rng: np.random.Generator, draws: int) -> Iterator[NDArray[np.intp]]:
    """How often each of `n` users is in a sample of `n`."""
    return (np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(draws))


def interval(values: Array) -> list[float | None]:
    """The middle 95 % of the draws in which the figure is defined."""
    defined = values[np.isfinite(values)]
    if not len(defined):
        return [None, None]
    low, high = np.quantile(defined, [0.025, 0.975])
    return [float(low), float(high)]


def _defined(value: Any) -> Any:
    """None, which JSON and SQL know, for what the data leaves undefined."""
    return None if isinstance(value, float) and not np.isfinite(value) else value


def rank_correlation(
    y: Array, p: Array, users: Strings, rng: np.random.Generator
) -> tuple[float | None, float | None, float | None]:
    """Spearman's, with its interval over users."""
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = interval(_spearman_draws(y, p, users, rng))
        return _defined(_spearman(y, p)), low, high


def _spearman(y: Array, p: Array) -> float:

    a, b = scipy.stats.rankdata(y), scipy.stats.rankdata(p)
    if len(a) < 2 or a.std() == 0 or b.std() == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def _spearman_draws(y: Array, p: Array, users: Strings, rng: np.random.Generator) -> Array:
    """Rank correlations of samples of users: ranks are drawn anew, each sort is made once."""
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
