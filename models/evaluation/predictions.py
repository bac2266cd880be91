"""Predictions beside labels: what figures, slices and comparisons are made of."""

from __future__ import annotations

from dataclasses import dataclass

from photogenic.models.data.array_types import Array, Strings

__all__ = ["Predictions"]


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a run says of photos that it was not trained on, each once.

    Attributes:
        y: labels, (n,).
        p: predictions, (n,).
        weight: of each photo.
        constant: the best constant answer, from the same train.
    """

    photo_ids: Strings
    user_ids: Strings
    gender: Strings
    y: Array
    p: Array
    weight: Array
    constant: Array
