"""How far off may a prediction be? Split conformal intervals: dev's residuals say how wide.

The interval `prediction +- radius` holds a new photo's observed ratio with probability `LEVEL`, whatever
the model is worth, as long as the photo comes from where dev came from. Dev has also chosen learning rate
and stopping, which makes the radius a little short; what it held on test is in each run's results.

Source: Papadopoulos et al. 2002; Lei et al. 2018, JASA 113, sec. 2.2.
"""

from __future__ import annotations

import math

import numpy as np

from photogenic.models.data.array_types import Array

__all__ = ["LEVEL", "coverage", "radius"]

LEVEL = 0.9


def radius(y: Array, p: Array, level: float = LEVEL) -> float:
    """The ceil((n + 1) level)-th smallest residual of dev; 1, the whole range, where dev is too small for that."""
    residuals = np.sort(np.abs(np.asarray(y, np.float64) - p))
    rank = math.ceil((len(residuals) + 1) * level)
    return float(residuals[rank - 1]) if rank <= len(residuals) else 1.0


def coverage(y: Array, p: Array, reach: float) -> float:
    """The share of photos whose label lies within `reach` of its prediction."""
    return float(np.mean(np.abs(np.asarray(y, np.float64) - p) <= reach))
