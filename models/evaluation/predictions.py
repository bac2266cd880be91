"""Predictions with their labels: the input of figures, slices and comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from photogenic.models.data.array_types import Array, Strings

if TYPE_CHECKING:
    from photogenic.models.data.samples import Samples

__all__ = ["Predictions"]


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predictions of a run for photos that it was not trained on, one per photo.

    Attributes:
        y: labels, (n,).
        p: predictions, (n,).
        weight: weight of each photo, (n,).
        constant: best constant prediction, from the same train, (n,).
    """

    photo_ids: Strings
    user_ids: Strings
    gender: Strings
    y: Array
    p: Array
    weight: Array
    constant: Array

    @classmethod
    def of(cls, rows: Sequence[Samples], p: Array, constants: Sequence[float]) -> Predictions:
        """Return predictions of the photos of each part, one after another, with the best constant of each part."""
        columns = {
            name: np.concatenate([getattr(part, name) for part in rows])
            for name in ("photo_ids", "user_ids", "gender", "y", "weight")
        }
        means = [np.full(len(part), mean) for part, mean in zip(rows, constants, strict=True)]
        return cls(**columns, p=p, constant=np.concatenate(means))
