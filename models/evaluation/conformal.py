"""Split conformal intervals: the residuals on dev give the width of the prediction interval.

The interval `prediction +- radius` contains the observed ratio of a new photo with probability `LEVEL`, for any model,
if the photo has the same distribution as dev. Dev also chose the learning rate and the stopping point, which makes the
radius slightly too small; the results of each run hold the coverage on test.

Source: Papadopoulos et al. 2002; Lei et al. 2018, JASA 113, sec. 2.2.
"""

from __future__ import annotations

import math

import numpy as np

from photogenic.models.data.array_types import Array

__all__ = ["LEVEL", "coverage", "radius"]

LEVEL = 0.9


def radius(y: Array, p: Array, level: float = LEVEL) -> float:
    """Return the ceil((n + 1) level)-th smallest residual of dev; 1, the whole range, if dev is too small."""
    residuals = np.sort(np.abs(np.asarray(y, np.float64) - p))
    rank = math.ceil((len(residuals) + 1) * level)
    return float(residuals[rank - 1]) if rank <= len(residuals) else 1.0


def coverage(y: Array, p: Array, reach: float) -> float:
    """Return the share of photos with a label within `reach` of the prediction."""
    return float(np.mean(np.abs(np.asarray(y, np.float64) - p) <= reach))
