"""The strongest head on few photos: logistic regression by likeness, fitted to counts of swipes.

Two photos are alike as their vectors are near, by one Gaussian kernel per encoder, mixed. So an encoder of
1,280 numbers does not drown one of 128, as it does where vectors stand side by side under one penalty. A
ratio is learnt as what it is, so many likes of so many swipes (binomial likelihood); a yes or no likewise.

The shares of the encoders, the width of the Gaussians and the penalty are cross-validated on train, in folds
by user; dev and test have no part in it.

    K (n, m)   likeness to m landmarks: all of train, or a sample of it where train is large
    F = K V D^-1/2 where V D V^T is the landmarks' likeness to each other; then penalised logistic regression on F

Source: Zhu & Hastie 2005, kernel logistic regression; Williams & Seeger 2001, the landmarks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from photogenic.models.data.array_types import Array
from photogenic.models.data.samples import Samples, Standardisation
from photogenic.models.data.targets import Target
from photogenic.models.evaluation.metrics import loss_of
from photogenic.models.heads.base import Fitted
from photogenic.models.heads.linear import folds_by_user
from photogenic.models.heads.model import Model
from photogenic.warehouse import Progress, no_progress

__all__ = [
    "CHOSEN_ON",
    "LANDMARKS",
    "PENALTIES",
    "WIDTHS",
    "apply_kernel",
    "features_of",
    "fit_kernel",
    "logistic",
    "similarity",
]

WIDTHS = (1.5, 0.7, 1.0, 2.0, 3.0)
PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
LANDMARKS, CHOSEN_ON = 2000, 1000
"""Photos that others are compared with, and photos that settings are chosen on, at most."""

_FIRST_SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
_ROUNDING = 1e-5
"""Of likeness, that comes from vectors of single precision."""

_STEPS = 25
"""Of Newton's method; it ends long before."""


def fit_kernel(
    samples: Samples, target: Target, dims: Sequence[int], *, seed: int = 0, progress: Progress = no_progress
) -> Fitted:
    """Choose shares, width and penalty on folds of train, then fit all of train.

    Args:
        samples: of one encoder (`a+b`: several) and setup.
        target: what `samples.y` are.
        dims: length of each encoder's vector, in the order in which they stand side by side.
        seed: of the choice of landmarks.
        progress: hears of every setting.

    Raises:
        InputError: train has too few users to cross-validate.
    """
    train, dev, rng = samples.part("train"), samples.part("dev"), np.random.default_rng(seed)
    standardise = Standardisation.of(train.X)
    support, some = _sample(train, LANDMARKS, rng), _sample(train, CHOSEN_ON, rng)
    X, y, weight = standardise(some.X), some.y.astype(np.float64), some.weight.astype(np.float64)
    folds = folds_by_user(some, target)
    tried: list[dict[str, Any]] = []

    def try_out(shares: Sequence[float], width: float) -> None:
        alike = similarity(X, X, _blocks(dims, shares), width).astype(np.float64)
        for inside, left_out in folds:
            start, spare = None, np.ix_(left_out, inside)
            F, back = features_of(alike[np.ix_(inside, inside)])
            outside = alike[spare] @ back
            for place, penalty in enumerate(PENALTIES):
                start = logistic(F, y[inside], weight[inside] / weight.mean(), penalty, start=start)
                z = outside @ start[:-1] + start[-1]
                losses[place].append(float(np.average(np.logaddexp(0, z) - y[left_out] * z, weights=weight[left_out])))
        for place, penalty in enumerate(PENALTIES):
            found = float(np.mean(losses[place]))
            losses[place].clear()
            tried.append({"shares": list(shares), "width": width, "penalty": penalty, "loss": found})

    losses: list[list[float]] = [[] for _ in PENALTIES]
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
    learnt = logistic(F, train.y.astype(np.float64), w, best["penalty"])
    arrays = {
        "support": X,
        "dual": (back @ learnt[:-1]).astype(np.float64),
        "bias": np.asarray(learnt[-1], np.float64),
        "blocks": blocks,
        "width": np.asarray(best["width"], np.float64),
        "mean": standardise.mean,
        "scale": standardise.scale,
    }
    made = Model("kernel", "sigmoid", arrays)
    return Fitted(
        model=made,
        dev_loss=loss_of(target, dev.y, made.predict(dev.X), dev.weight),
        hyperparameters={
            "seed": seed,
            **{name: best[name] for name in ("shares", "width", "penalty")},
            "folds": len(folds),
            "landmarks": len(X),
            "likelihood": "binomial" if target.loss == "mse" else "bernoulli",
        },
        results={"kernel_tried": tried},
    )


def apply_kernel(arrays: Mapping[str, Array], X: Array) -> Array:
    """(n,) log-odds: the sum over support of dual * likeness, and bias."""
    alike = similarity(X, arrays["support"], arrays["blocks"], float(arrays["width"]))
    return np.asarray(alike @ arrays["dual"] + arrays["bias"])


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


def features_of(alike: Array) -> tuple[Array, Array]:
    """(F (m, r), back (m, r)) of m landmarks: F F^T is their likeness, and F = alike @ back.

    Directions in which they hardly differ are left out: there, rounding would speak.
    """
    sizes, directions = np.linalg.eigh(alike)
    told = sizes > _ROUNDING * sizes[-1]
    back = directions[:, told] / np.sqrt(sizes[told])
    return alike @ back, back


def logistic(F: Array, y: Array, weight: Array, penalty: float, *, start: Array | None = None) -> Array:
    """Weights and, last, bias of penalised logistic regression: sum(weight * loss) + penalty / 2 |weights|^2.

    Newton's method, each step halved until it helps. `y` may be a ratio.
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


def _sample(rows: Samples, most: int, rng: np.random.Generator) -> Samples:
    """All rows, or `most` of them drawn without replacement."""
    return rows if len(rows) <= most else rows.rows(np.sort(rng.choice(len(rows), most, replace=False)))


def _blocks(dims: Sequence[int], shares: Sequence[float]) -> Array:
    """(blocks, 3): start, stop, share."""
    stops = np.cumsum(dims)
    return np.stack([stops - dims, stops, np.asarray(shares)], 1).astype(np.float64)


def _mixes(n: int) -> list[list[float]]:
    """Shares of n encoders: each in turn has much or little, the others the rest in equal parts."""
    if n == 1:
        return [[1.0]]
    mixes = {tuple([1 / n] * n)}
    for favoured in range(n):
        for share in _FIRST_SHARES:
            rest = (1 - share) / (n - 1)
            mixes.add(tuple(round(share if place == favoured else rest, 6) for place in range(n)))
    return [list(mix) for mix in sorted(mixes)]
