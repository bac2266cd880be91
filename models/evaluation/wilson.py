"""Wilson's interval of a share: for 9 right answers of 9 it is 0.70 to 1, where a bootstrap gives 1 to 1.

    wilson(1.0, 9)          [0.70, 1.0]

Answers for photos of one user are not independent: `effective_sample_size` computes their effective number.

Source: Wilson 1927, JASA 22; Kish 1965 (the effective size of a sample with weights).
"""

from __future__ import annotations

import math

import numpy as np

from photogenic.models.data.array_types import Array, Strings

__all__ = ["effective_sample_size", "per_user", "sign_test", "wilson"]

_Z = 1.959963984540054
"""Standard deviations around the mean that contain 95 % of a normal distribution."""


def per_user(terms: Array, users: Strings) -> Array:
    """Return the sums of `terms` (n, k) over the photos of each user, (users, k)."""
    _, owner = np.unique(users, return_inverse=True)
    sums = np.zeros((owner.max() + 1, terms.shape[1]))
    np.add.at(sums, owner, terms)
    return sums


def wilson(share: float, n: float) -> list[float | None]:
    """Return the 95 % interval of a share of `n` independent answers; [None, None] if n is 0.

    Args:
        share: share of right answers, 0 to 1.
        n: number of answers, or their effective number.
    """
    if not (n > 0 and math.isfinite(share)):
        return [None, None]
    spread = _Z**2 / n
    centre = (share + spread / 2) / (1 + spread)
    reach = _Z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    # At 0 and 1 the end of the interval is the share itself; rounding would give a slightly different number.
    return [0.0 if share <= 0 else max(centre - reach, 0.0), 1.0 if share >= 1 else min(centre + reach, 1.0)]


def effective_sample_size(weight: Array, users: Strings) -> float:
    """Return the effective number of independent answers, if all photos of a user have the same answer."""
    sums = per_user(np.asarray(weight, np.float64)[:, None], users)[:, 0] if len(users) else np.zeros(0)
    square = float((sums**2).sum())
    return float(sums.sum() ** 2 / square) if square > 0 else 0.0


def sign_test(better: int, worse: int) -> float:
    """Return the probability that a fair coin splits better + worse users at least as unevenly."""
    n = better + worse
    tail = sum(math.comb(n, k) for k in range(min(better, worse) + 1))
    return float(min(2 * tail / 2**n, 1.0))
