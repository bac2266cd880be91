"""How sure is a share? Wilson's interval: of 9 right answers of 9 it says 0.70 to 1, where a bootstrap says 1 to 1.

    wilson(1.0, 9)          [0.70, 1.0]

Photos of one user are no independent answers: `voices` says how many of these they are worth, at least one per user.

Source: Wilson 1927, JASA 22; Kish 1965 (the effective size of a sample with weights).
"""

from __future__ import annotations

import math

import numpy as np

from photogenic.models.data.array_types import Array, Strings

__all__ = ["per_user", "sign_test", "voices", "wilson"]

_Z = 1.959963984540054
"""95 % of a normal distribution lie within so many standard deviations."""


def per_user(terms: Array, users: Strings) -> Array:
    """Sums of `terms` (n, k) over each user's photos, (users, k)."""
    _, owner = np.unique(users, return_inverse=True)
    sums = np.zeros((owner.max() + 1, terms.shape[1]))
    np.add.at(sums, owner, terms)
    return sums


def wilson(share: float, n: float) -> list[float | None]:
    """The 95 % interval of a share of `n` independent answers; [None, None] where there are none.

    Args:
        share: 0..1.
        n: how many answers, or what they are worth.
    """
    if not (n > 0 and math.isfinite(share)):
        return [None, None]
    spread = _Z**2 / n
    centre = (share + spread / 2) / (1 + spread)
    reach = _Z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    # At 0 and 1 the end is the share itself, which rounding would miss.
    return [0.0 if share <= 0 else max(centre - reach, 0.0), 1.0 if share >= 1 else min(centre + reach, 1.0)]


def voices(weight: Array, users: Strings) -> float:
    """How many independent answers these are worth, if all photos of a user are answered alike."""
    sums = per_user(np.asarray(weight, np.float64)[:, None], users)[:, 0] if len(users) else np.zeros(0)
    square = float((sums**2).sum())
    return float(sums.sum() ** 2 / square) if square > 0 else 0.0


def sign_test(better: int, worse: int) -> float:
    """The probability of so uneven a split, or more, of better + worse users, if a fair coin decides for each."""
    n = better + worse
    tail = sum(math.comb(n, k) for k in range(min(better, worse) + 1))
    return float(min(2 * tail / 2**n, 1.0))
