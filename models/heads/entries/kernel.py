"""`kernel`: kernel logistic regression; models/heads/kernel.py has the computation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from photogenic.models.heads.base import FitData, FitSettings, Fitted, Head
from photogenic.models.heads.registry import register_head

if TYPE_CHECKING:
    from photogenic.models.data.array_types import Array

__all__ = ["Kernel"]


@register_head("kernel")
class Kernel(Head):
    """Kernel head; its arrays hold vectors of training photos."""

    summary = "kernel logistic regression, one kernel per encoder"
    keeps_vectors = True
    place = 21

    def fit(self, data: FitData, settings: FitSettings) -> Fitted:
        from photogenic.models.heads.kernel import fit_kernel

        return fit_kernel(data.samples, data.target, data.dims, seed=settings.seed, progress=settings.progress)

    def apply(self, arrays: Mapping[str, Array], X: Array) -> Array:
        from photogenic.models.heads.kernel import apply_kernel

        return apply_kernel(arrays, X)
