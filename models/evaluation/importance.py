"""Permutation importance: how much the error on test grows if the values of one input are shuffled among the photos.

The head is not trained again. Each input is shuffled on its own, missing values with the others; the vector is shuffled
as a whole. Inputs that say the same share their importance, so that each alone may seem unimportant. With folds,
values are shuffled among the photos of one fold.

Source: Breiman 2001, Random forests, sec. 10; Fisher, Rudin & Dominici 2019 (model reliance).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from photogenic.models.data.array_types import Array
from photogenic.models.data.samples import NO_ENCODER, Samples
from photogenic.models.data.targets import Target
from photogenic.models.evaluation.metrics import bootstrap, errors_of, interval
from photogenic.models.evaluation.wilson import per_user
from photogenic.models.heads.model import Model

__all__ = ["Importance", "permuted"]

REPEATS = 10
"""Number of times that each input is shuffled."""

MOST = 2_000
"""Largest number of test photos of a head; of more, a random sample."""


@dataclass(frozen=True, slots=True)
class Importance:
    """Importance of one input, or of the whole vector.

    Attributes:
        input: name of the column, or of the encoder.
        kind: `column` or `vector`.
        growth: error on test with shuffled values minus error, in the metric of the target: mean squared error, or
            share of wrong answers. Above 0, the head uses the input.
        low, high: 95 % interval of `growth` over users.
        n_photos: number of test photos.
    """

    input: str
    kind: str
    growth: float
    low: float | None
    high: float | None
    n_photos: int

    def recorded(self) -> dict[str, Any]:
        """Return the importance as a JSON object."""
        return asdict(self)


def permuted(
    target: Target, tests: Sequence[tuple[Model, Samples]], inputs: Sequence[str], *, encoder: str, seed: int
) -> list[Importance]:
    """Return the importance of the whole vector, if there is one, then of each input, the largest first.

    Args:
        target: target that defines the error.
        tests: heads with their test photos: one, or one per fold.
        inputs: names of the inputs, the last columns of X.
        encoder: name of the encoder of the vectors.
        seed: seed of the shuffles and of the bootstrap.
    """
    rng = np.random.default_rng(seed)
    tests = [(model, _sample(rows, rng)) for model, rows in tests]
    n_vector = tests[0][1].X.shape[1] - len(inputs)
    before = [errors_of(target, rows.y, model.predict(rows.X)) for model, rows in tests]
    parts = [(encoder, "vector", list(range(n_vector)))] if encoder != NO_ENCODER else []
    parts += [(name, "column", [n_vector + at]) for at, name in enumerate(inputs)]
    found = []
    for place, (name, kind, columns) in enumerate(parts):
        own = np.random.default_rng([seed, place])
        growth = [_growth(target, test, errors, columns, own) for test, errors in zip(tests, before, strict=True)]
        found.append(_summed(name, kind, np.concatenate(growth), [rows for _, rows in tests], seed))
    return sorted(found, key=lambda one: (one.kind != "vector", -one.growth, one.input))


def _growth(
    target: Target, test: tuple[Model, Samples], before: Array, columns: list[int], rng: np.random.Generator
) -> Array:
    """Return the mean growth of the error of each photo over the shuffles, (n,)."""
    model, rows = test
    total = np.zeros(len(rows))
    for _ in range(REPEATS):
        X = rows.X.copy()
        X[:, columns] = X[rng.permutation(len(rows))][:, columns]
        total += errors_of(target, rows.y, model.predict(X)) - before
    return total / REPEATS


def _summed(name: str, kind: str, growth: Array, tests: Sequence[Samples], seed: int) -> Importance:
    weight = np.concatenate([rows.weight for rows in tests]).astype(np.float64)
    users = np.concatenate([rows.user_ids for rows in tests])
    sums = per_user(np.stack([weight, weight * growth], 1), users)
    low, high = None, None
    if len(sums) > 1:
        draws = bootstrap(sums, np.random.default_rng(seed))
        low, high = interval(draws[:, 1] / draws[:, 0])
    return Importance(name, kind, float(np.average(growth, weights=weight)), low, high, len(growth))


def _sample(rows: Samples, rng: np.random.Generator) -> Samples:
    return rows if len(rows) <= MOST else rows.rows(np.sort(rng.choice(len(rows), MOST, replace=False)))
