"""Predictions with their labels: the input of figures, slices and comparisons."""

from __future__ import annotations

from dataclasses import dataclass

from photogenic.models.data.array_types import Array, Strings

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
