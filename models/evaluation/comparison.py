"""Which head wins, and by how much? The one that dev prefers against each other one, photo by photo on test.

Both are judged on the photos that both were judged on, and users are drawn together, so that what is hard for
both cancels out: the interval of a difference is much narrower than those of the two figures let one expect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from photogenic.models.data.array_types import Array
from photogenic.models.data.targets import Target
from photogenic.models.evaluation.metrics import bootstrap, interval
from photogenic.models.evaluation.predictions import Predictions
from photogenic.models.evaluation.wilson import per_user, sign_test

__all__ = ["Comparison", "Entry", "HeadComparison", "compare_heads"]

SURE = 0.05
"""Of the sign test."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A run that is compared. `dev` is its figure on dev; `predictions` are those of test."""

    run_id: str
    encoder: str
    head: str
    dev: float
    predictions: Predictions


@dataclass(frozen=True, slots=True)
class Comparison:
    """The winner against one other.

    Attributes:
        n_photos: of test, that both were judged on.
        own, other: test figures of the winner and of the rival on these photos.
        less: how much less error the winner makes, with its 95 % interval over users; wrong answers count as 1.
        ratio: error of the winner over that of the rival, likewise. None where the rival makes none; without interval
            where either answers all right, for no draw of these photos could say how rare their errors are.
        verdict: whether the winner surely makes less error, or more: the interval of `less` lies on one side of 0, and
            of a yes or no a sign test over users says so too, which knows how few they are. Else undecided.
    """

    run_id: str
    encoder: str
    head: str
    n_photos: int
    own: float
    other: float
    less: tuple[float, float | None, float | None]
    ratio: tuple[float | None, float | None, float | None]
    verdict: Literal["less", "more", "undecided"]

    @property
    def sure(self) -> bool:
        """Whether the winner surely makes less error."""
        return self.verdict == "less"


@dataclass(frozen=True, slots=True)
class HeadComparison:
    """Of one target and setup: what dev prefers, and how it stands against the best constant and all others."""

    target: str
    setup: str
    winner: Entry
    comparisons: list[Comparison]


def compare_heads(target: Target, setup: str, entries: Sequence[Entry], *, seed: int = 0) -> HeadComparison:
    """The entry that dev prefers against the best constant and every other entry, best on dev first.

    Entries that were judged on none of its photos, as of a store that has changed since, are left out.

    Args:
        target: decides what an error is.
        setup: that all were trained on.
        entries: at least one.
        seed: of the bootstrap.
    """
    sign = -1 if target.higher_is_better else 1
    ordered = sorted(entries, key=lambda entry: (sign * entry.dev, entry.run_id))
    winner = ordered[0]
    nobody = Entry("", "best constant", "", 0.0, _constant(winner.predictions))
    return HeadComparison(
        target.name,
        setup,
        winner,
        [
            _against(target, winner.predictions, rival, seed)
            for rival in (nobody, *ordered[1:])
            if np.isin(rival.predictions.photo_ids, winner.predictions.photo_ids).any()
        ],
    )


def _against(target: Target, own: Predictions, rival: Entry, seed: int) -> Comparison:
    _, i, j = np.intersect1d(own.photo_ids, rival.predictions.photo_ids, assume_unique=True, return_indices=True)
    ours, theirs = _wrong(target, own)[i], _wrong(target, rival.predictions)[j]
    weight = own.weight[i].astype(np.float64)
    sums = per_user(np.stack([weight, weight * ours, weight * theirs], 1), own.user_ids[i])
    n, a, b = sums.sum(0)
    drawn_n, drawn_a, drawn_b = bootstrap(sums, np.random.default_rng(seed)).T
    low, high = interval((drawn_b - drawn_a) / drawn_n)
    with np.errstate(divide="ignore", invalid="ignore"):
        lowest, highest = interval(drawn_a / drawn_b)
    if target.metric == "accuracy" and not (a and b):
        lowest = highest = None
    verdict: Literal["less", "more", "undecided"] = "undecided"
    if low is not None and high is not None and (low > 0 or high < 0):
        better, worse = int((sums[:, 2] > sums[:, 1]).sum()), int((sums[:, 2] < sums[:, 1]).sum())
        if target.metric == "mse" or sign_test(better, worse) < SURE:
            verdict = "less" if low > 0 else "more"
    figures = [1 - error / n if target.higher_is_better else error / n for error in (a, b)]
    return Comparison(
        rival.run_id,
        rival.encoder,
        rival.head,
        len(i),
        float(figures[0]),
        float(figures[1]),
        (float((b - a) / n), low, high),
        (float(a / b) if b else None, lowest, highest),
        verdict,
    )


def _wrong(target: Target, predictions: Predictions) -> Array:
    """Squared errors, or 1 where the answer is wrong."""
    y, p = predictions.y.astype(np.float64), predictions.p.astype(np.float64)
    return np.asarray((y - p) ** 2 if target.metric == "mse" else (p >= 0.5) != (y == 1), np.float64)


def _constant(predictions: Predictions) -> Predictions:
    return replace(predictions, p=predictions.constant)
