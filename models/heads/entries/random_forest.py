"""`random_forest`: 500 trees; models/heads/forest.py has the computation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from photogenic.models.heads.base import FitData, FitSettings, Fitted, Head
from photogenic.models.heads.registry import register_head

if TYPE_CHECKING:
    from photogenic.models.data.array_types import Array

__all__ = ["RandomForest"]


@register_head("random_forest")
class RandomForest(Head):
    """Random forest, fitted by scikit-learn and stored as arrays of nodes."""

    summary = "500 trees"
    kind = "forest"
    place = 20

    def fit(self, data: FitData, settings: FitSettings) -> Fitted:
        from photogenic.models.heads.forest import fit_forest

        return fit_forest(data.samples, data.target, seed=settings.seed)

    def apply(self, arrays: Mapping[str, Array], X: Array) -> Array:
        from photogenic.models.heads.forest import apply_forest

        return apply_forest(arrays, X)
