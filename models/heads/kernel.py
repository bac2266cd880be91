"""Kernel logistic regression, fitted to numbers of swipes: the best head on few photos.

The similarity of two photos is a weighted mean of Gaussian kernels, one per encoder. So an encoder of dimension 1,280
does not dominate one of dimension 128, as it does if their vectors are joined under one penalty. A ratio is learned as
a number of likes in a number of swipes (binomial likelihood), a binary target as one answer (Bernoulli likelihood), a
number of any size by squared error (normal likelihood, kernel ridge regression).

The weights of the encoders, the width of the Gaussians and the penalty are chosen by cross-validation on train, in
folds by user; dev and test are not used.

    K (n, m)   similarity to m landmarks: all of train, or a sample if train is large
    F = K V D^-1/2 where V D V^T is the similarity of the landmarks; then penalized logistic regression on F

Source: Zhu & Hastie 2005, kernel logistic regression; Williams & Seeger 2001, the landmarks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from photogenic.models.data.array_types import Array
from photogenic.models.data.samples import Samples, Standardisation
from photogenic.models.data.targets import Target
from photogenic.models.heads.base import Fitted, measured
from photogenic.models.heads.linear import folds_by_user
from photogenic.models.heads.model import Model
from photogenic.warehouse import Progress, no_progress

__all__ = [
    "CHOSEN_ON",
    "LANDMARKS",
    "PENALTIES",
    "RIDGE_PENALTIES",
    "WIDTHS",
    "apply_kernel",
    "features_of",
    "fit_kernel",
    "logistic",
    "ridge",
    "similarity",
]

WIDTHS = (1.5, 0.7, 1.0, 2.0, 3.0)
PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
RIDGE_PENALTIES = (30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03)
"""Penalties of the log-odds, and of numbers with standard deviation 1."""

LANDMARKS, CHOSEN_ON = 2000, 1000
"""Largest number of landmarks, and largest number of photos for the choice of settings."""

_FIRST_SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
_ROUNDING = 1e-5
"""Rounding error of a similarity in single precision."""

_STEPS = 25
"""Largest number of Newton steps; the method usually converges much earlier."""


def fit_kernel(
    samples: Samples, target: Target, dims: Sequence[int], *, seed: int = 0, progress: Progress = no_progress
) -> Fitted:
    """Choose shares, width and penalty on folds of train, then fit to all of train.

    Args:
        samples: samples of one encoder (`a+b`: several) and setup.
        target: target, which defines `samples.y`.
        dims: dimension of the vector of each encoder, in the order in which they are joined.
        seed: seed of the choice of landmarks.
        progress: callback for progress updates.

    Raises:
        InputError: train has too few users to cross-validate.
    """
    train, rng = samples.part("train"), np.random.default_rng(seed)
    standardise = Standardisation.of(train.X)
    support, some = _sample(train, LANDMARKS, rng), _sample(train, CHOSEN_ON, rng)
    X, y, weight = standardise(some.X), some.y.astype(np.float64), some.weight.astype(np.float64)
    folds = folds_by_user(some, target)
    tried: list[dict[str, Any]] = []
    penalties = PENALTIES if target.bounded else RIDGE_PENALTIES

    def try_out(shares: Sequence[float], width: float) -> None:
        alike = similarity(X, X, _blocks(dims, shares), width).astype(np.float64)
        for inside, left_out in folds:
            start, spare = None, np.ix_(left_out, inside)
            F, back = features_of(alike[np.ix_(inside, inside)])
            outside = alike[spare] @ back
            for place, penalty in enumerate(penalties):
                w = weight[inside] / weight.mean()
                if target.bounded:
                    start = logistic(F, y[inside], w, penalty, start=start)
                else:
                    start = ridge(F, y[inside], w, penalty)
                z = outside @ start[:-1] + start[-1]
                error = np.logaddexp(0, z) - y[left_out] * z if target.bounded else (y[left_out] - z) ** 2
                losses[place].append(float(np.average(error, weights=weight[left_out])))
        for place, penalty in enumerate(penalties):
            found = float(np.mean(losses[place]))
            losses[place].clear()
            tried.append({"shares": list(shares), "width": width, "penalty": penalty, "loss": found})

    losses: list[list[float]] = [[] for _ in penalties]
    mixes = _mixes(len(dims))
    with progress.stage(f"kernel on {len(train):,} photos", len(mixes) + len(WIDTHS) - 1, "settings") as advance:
        for shares in mixes:
            try_out(shares, WIDTHS[0])
            advance(1)
        shares = min(tried, key=lambda point: point["loss"])["shares"]
        for width in WIDTHS[1:]:
            try_out(shares, width)
            advance(1)
    best = min(tried, key=lambda point: point["loss"])
    blocks, X = _blocks(dims, best["shares"]), standardise(support.X)
    F, back = features_of(similarity(X, X, blocks, best["width"]).astype(np.float64))
    if support is not train:
        F = similarity(standardise(train.X), X, blocks, best["width"]) @ back
    w = train.weight.astype(np.float64) / train.weight.mean()
    learnt = (logistic if target.bounded else ridge)(F, train.y.astype(np.float64), w, best["penalty"])
    arrays = {
        "support": X,
        "dual": (back @ learnt[:-1]).astype(np.float64),
        "bias": np.asarray(learnt[-1], np.float64),
        "blocks": blocks,
        "width": np.asarray(best["width"], np.float64),
        "mean": standardise.mean,
        "scale": standardise.scale,
    }
    chosen = {
        "seed": seed,
        **{name: best[name] for name in ("shares", "width", "penalty")},
        "folds": len(folds),
        "landmarks": len(X),
        "likelihood": "bernoulli" if target.loss == "log_loss" else "binomial" if target.bounded else "normal",
    }
    return measured(
        Model("kernel", "sigmoid" if target.bounded else "unbounded", arrays),
        target,
        samples,
        chosen,
        {"kernel_tried": tried},
    )


def apply_kernel(arrays: Mapping[str, Array], X: Array) -> Array:
    """Return log-odds or numbers, (n,): the sum over support of dual * similarity, plus bias."""
    alike = similarity(X, arrays["support"], arrays["blocks"], float(arrays["width"]))
    return np.asarray(alike @ arrays["dual"] + arrays["bias"])


def similarity(A: Array, B: Array, blocks: Array, width: float) -> Array:
    """Return the similarity of the rows of A (n, d) and B (m, d), 0 to 1: (n, m).

    Args:
        A: standardized vectors, (n, d).
        B: standardized vectors, (m, d).
        blocks: start, stop and share of each encoder, (blocks, 3); shares sum to 1.
        width: width of the Gaussians, as mean squared difference per dimension in units of its variance.
    """
    found = np.zeros((len(A), len(B)), A.dtype)
    for start, stop, share in blocks.tolist():
        a, b = A[:, int(start) : int(stop)], B[:, int(start) : int(stop)]
        distance = (a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * (a @ b.T)
        found += share * np.exp(-np.maximum(distance, 0) / ((stop - start) * 2 * width**2))
    return found


def features_of(alike: Array) -> tuple[Array, Array]:
    """Return (F (m, r), back (m, r)) of m landmarks: F F^T is their similarity, and F = alike @ back.

    Directions with almost no variance are left out, because they hold mainly rounding errors.
    """
    sizes, directions = np.linalg.eigh(alike)
    told = sizes > _ROUNDING * sizes[-1]
    back = directions[:, told] / np.sqrt(sizes[told])
    return alike @ back, back


def logistic(F: Array, y: Array, weight: Array, penalty: float, *, start: Array | None = None) -> Array:
    """Fit penalized logistic regression: sum(weight * loss) + penalty / 2 |weights|^2. Returns weights, then bias.

    Newton's method; each step is halved until the loss falls. `y` may be a ratio.
    """
    n, m = F.shape
    one = np.concatenate([F, np.ones((n, 1))], 1)
    ridge = penalty * np.r_[np.ones(m), 0]

    def loss(v: Array) -> float:
        z = one @ v
        return float(weight @ (np.logaddexp(0, z) - y * z) + (ridge * v) @ v / 2)

    v = np.zeros(m + 1) if start is None else start
    now = loss(v)
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(one @ v, -50, 50)))
        slope = one.T @ (weight * (p - y)) + ridge * v
        bend = (one * (weight * p * (1 - p))[:, None]).T @ one
        bend[np.diag_indices_from(bend)] += ridge + 1e-9
        step, size = np.linalg.solve(bend, slope), 1.0
        while (then := loss(v - size * step)) > now and size > 1e-4:
            size /= 2
        if then > now:
            break
        v, gained, now = v - size * step, now - then, then
        if gained < 1e-7 * max(abs(now), 1e-12):
            break
    return v


def ridge(F: Array, y: Array, weight: Array, penalty: float) -> Array:
    """Fit ridge regression: sum(weight * squared error) + penalty |weights|^2. Returns weights, then bias."""
    one = np.concatenate([F, np.ones((len(F), 1))], 1)
    bend = (one * weight[:, None]).T @ one
    bend[np.diag_indices_from(bend)] += np.r_[np.full(F.shape[1], penalty), 1e-9]
    return np.asarray(np.linalg.solve(bend, one.T @ (weight * y)))


def _sample(rows: Samples, most: int, rng: np.random.Generator) -> Samples:
    """Return all rows, or `most` rows drawn without replacement."""
    return rows if len(rows) <= most else rows.rows(np.sort(rng.choice(len(rows), most, replace=False)))


def _blocks(dims: Sequence[int], shares: Sequence[float]) -> Array:
    """Return start, stop and share of each encoder, (blocks, 3)."""
    stops = np.cumsum(dims)
    return np.stack([stops - dims, stops, np.asarray(shares)], 1).astype(np.float64)


def _mixes(n: int) -> list[list[float]]:
    """Return the shares to try: each of n encoders has a small or large share in turn, the others equal ones."""
    if n == 1:
        return [[1.0]]
    mixes = {tuple([1 / n] * n)}
    for favoured in range(n):
        for share in _FIRST_SHARES:
            rest = (1 - share) / (n - 1)
            mixes.add(tuple(round(share if place == favoured else rest, 6) for place in range(n)))
    return [list(mix) for mix in sorted(mixes)]
