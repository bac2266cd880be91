"""Split conformal intervals: the residuals on dev give the width of the prediction interval.

The interval `prediction +- radius` contains the observed value of a new photo with probability `LEVEL`, for any model,
if the photo has the same distribution as dev. Dev also chose the learning rate and the stopping point, which makes the
radius slightly too small; the results of each run hold the coverage on test.

Source: Papadopoulos et al. 2002; Lei et al. 2018, JASA 113, sec. 2.2.
"""

from __future__ import annotations

import math
from typing import Any, Literal, overload

import numpy as np

from photogenic.models.data.array_types import Array
from photogenic.models.data.targets import Target
from photogenic.models.evaluation.predictions import Predictions

__all__ = ["LEVEL", "bounds", "coverage", "radius"]

LEVEL = 0.9


@overload
def radius(y: Array, p: Array, level: float = LEVEL, *, bounded: Literal[True] = True) -> float: ...


@overload
def radius(y: Array, p: Array, level: float = LEVEL, *, bounded: bool) -> float | None: ...


def radius(y: Array, p: Array, level: float = LEVEL, *, bounded: bool = True) -> float | None:
    """Return the ceil((n + 1) level)-th smallest residual of dev.

    If dev is too small, the radius is 1, the whole range, or None if labels have no bounds.
    """
    residuals = np.sort(np.abs(np.asarray(y, np.float64) - p))
    rank = math.ceil((len(residuals) + 1) * level)
    if rank <= len(residuals):
        return float(residuals[rank - 1])
    return 1.0 if bounded else None


def bounds(target: Target, dev: Predictions, test: Predictions) -> dict[str, Any]:
    """Return the entry `conformal` of the results of a run; none of a binary target, or if dev is too small."""
    if target.metric != "mse" or not len(dev.y):
        return {}
    reach = radius(dev.y, dev.p, bounded=target.bounded)
    if reach is None:
        return {}
    return {"conformal": {"level": LEVEL, "radius": reach, "coverage": coverage(test.y, test.p, reach)}}


def coverage(y: Array, p: Array, reach: float) -> float:
    """Return the share of photos with a label within `reach` of the prediction."""
    return float(np.mean(np.abs(np.asarray(y, np.float64) - p) <= reach))
