"""Compare the head with the best dev figure with each other head, photo by photo on test.

Two heads are compared on the photos that both have predicted. The bootstrap draws users for both heads together, so
the difficulty of a photo cancels out: the interval of the difference is much narrower than the two intervals suggest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from photogenic.models.data.targets import Target
from photogenic.models.evaluation.metrics import bootstrap, errors_of, interval
from photogenic.models.evaluation.predictions import Predictions
from photogenic.models.evaluation.wilson import per_user, sign_test

__all__ = ["Comparison", "Entry", "HeadComparison", "compare_heads", "compare_pair", "compare_with"]

SURE = 0.05
"""Significance level of the sign test."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One run of a comparison. `dev` is its dev figure; `predictions` are its test predictions."""

    run_id: str
    encoder: str
    head: str
    dev: float
    predictions: Predictions


@dataclass(frozen=True, slots=True)
class Comparison:
    """Comparison of the winner on dev with one other run.

    Attributes:
        n_photos: number of test photos that both have predicted.
        own, other: test figures of the winner and of the other run on these photos.
        less: error of the other run minus error of the winner, with the 95 % interval over users; a wrong answer is 1.
        ratio: error of the winner divided by error of the other run, with the 95 % interval over users. None if the
            other run has no error. There is no interval if one of the two has no wrong answer, because a bootstrap
            cannot estimate such a small error.
        verdict: less or more if the interval of `less` lies on one side of 0 and, for a binary target, a sign test over
            users is significant too; otherwise undecided.
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
        """Whether the winner has significantly less error."""
        return self.verdict == "less"


@dataclass(frozen=True, slots=True)
class HeadComparison:
    """Comparison for one target and setup: the winner on dev, or a run asked for, with the best constant and others."""

    target: str
    setup: str
    winner: Entry
    comparisons: list[Comparison]


def compare_heads(target: Target, setup: str, entries: Sequence[Entry], *, seed: int = 0) -> HeadComparison:
    """Compare the entry with the best dev figure with the best constant and every other entry, best on dev first.

    Entries without a common test photo, e.g. from before the store changed, are left out.

    Args:
        target: target that defines the error.
        setup: setup that all entries were trained on.
        entries: entries, at least one.
        seed: seed of the bootstrap.
    """
    sign = -1 if target.higher_is_better else 1
    winner, *others = sorted(entries, key=lambda entry: (sign * entry.dev, entry.run_id))
    return compare_with(target, setup, winner, others, seed=seed)


def compare_with(
    target: Target, setup: str, winner: Entry, others: Sequence[Entry], *, seed: int = 0
) -> HeadComparison:
    """Compare one entry with the best constant and with others, on the test photos that both have predicted."""
    best_constant = Entry("", "best constant", "", 0.0, _constant(winner.predictions))
    return HeadComparison(
        target.name,
        setup,
        winner,
        [
            compare_pair(target, winner.predictions, rival, seed)
            for rival in (best_constant, *others)
            if np.isin(rival.predictions.photo_ids, winner.predictions.photo_ids).any()
        ],
    )


def compare_pair(target: Target, own: Predictions, rival: Entry, seed: int = 0) -> Comparison:
    """Compare predictions with those of another entry, on the test photos that both have predicted."""
    _, i, j = np.intersect1d(own.photo_ids, rival.predictions.photo_ids, assume_unique=True, return_indices=True)
    other = rival.predictions
    ours, theirs = errors_of(target, own.y, own.p)[i], errors_of(target, other.y, other.p)[j]
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


def _constant(predictions: Predictions) -> Predictions:
    return replace(predictions, p=predictions.constant)
