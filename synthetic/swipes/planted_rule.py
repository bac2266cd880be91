"""The rule by which users of the synthetic world like photos.

The probability that a viewer likes a photo is `logistic(offset[viewer, owner] + score(photo))`. The score is a
weighted sum of traits of the photo, not of the person. The offsets are set so that the like ratio of each pair
of genders is that of table 1 of the paper.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["GROUP", "NOBODY", "RULE", "TABLE_1", "chances", "fit_offsets", "scores"]

Floats = NDArray[np.float64]

RULE: dict[str, float] = {"smile": 2.0, "closeness": 1.8, "brightness": 0.9, "warmth": 0.7}
"""Change of the log-odds from one end of a trait to the other."""

GROUP, NOBODY = -0.5, -1.0
"""Change of the log-odds for several people in the image, and for no person."""

TABLE_1: Floats = np.array([[0.33, 0.24], [0.75, 0.31]])
"""Like ratio by the gender of sender (row) and recipient (column), female first.

Source: Bogatyy & Tom, Table 1.
"""


def scores(traits: dict[str, NDArray[np.float32]], n_people: NDArray[np.int8]) -> Floats:
    """Return the log-odds of each photo, up to an offset, float64 (n,)."""
    total: Floats = np.where(n_people == 0, NOBODY, np.where(n_people > 1, GROUP, 0.0))
    for trait, weight in RULE.items():
        total = total + weight * (traits[trait].astype(np.float64) - 0.5)
    return total


def fit_offsets(score: Floats, weight: Floats, owner: NDArray[np.int8]) -> Floats:
    """Fit the offset (2, 2) of each pair of genders so that its weighted mean probability is that of `TABLE_1`.

    Args:
        score: score of each photo (n,).
        weight: rate at which each photo is seen (n,).
        owner: gender of each owner (n,), 0 female, 1 male.
    """
    low, high = np.full((2, 2), -12.0), np.full((2, 2), 12.0)  # bisection
    for _ in range(40):
        middle = (low + high) / 2
        for gender in (0, 1):
            mine = owner == gender
            share = weight[mine] / max(weight[mine].sum(), 1e-9)
            for viewer in (0, 1):
                rate = (chances(middle[viewer, gender] + score[mine]) * share).sum()
                side = low if rate < TABLE_1[viewer, gender] else high
                side[viewer, gender] = middle[viewer, gender]
    return np.asarray((low + high) / 2)


def chances(log_odds: Floats) -> Floats:
    """The logistic function."""
    return np.asarray(1.0 / (1.0 + np.exp(-log_odds)))
