"""Base class of heads that are linear in the standardized vector: estimators of scikit-learn, cross-validated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar

from photogenic.models.heads.base import FitData, FitSettings, Fitted, Head
from photogenic.models.heads.penalty_grid import PenaltyGrid

if TYPE_CHECKING:
    from photogenic.models.data.array_types import Array
    from photogenic.models.heads.grid import Grid

__all__ = ["ITERATIONS", "LinearHead"]

ITERATIONS = 2000
"""Largest number of iterations of an iterative estimator."""


class LinearHead(Head):
    """A head of scikit-learn that is stored and applied like one without hidden layers.

    Attributes:
        penalties: penalties to try.
        calibrated: whether the output is a margin, which a logistic curve turns into a probability.
    """

    kind = "fc"
    penalties: ClassVar[PenaltyGrid]
    calibrated: ClassVar[bool] = False

    def estimator(self, strength: float, seed: int) -> Any:
        """Return an unfitted estimator of scikit-learn."""
        raise NotImplementedError(f"{type(self).__name__}.estimator")

    def tried(self, grid: Grid) -> dict[str, Any]:  # noqa: ARG002 - the grid is for layers
        return asdict(self.penalties)

    def fit(self, data: FitData, settings: FitSettings) -> Fitted:
        from photogenic.models.heads.linear import fit_linear

        return fit_linear(
            data.samples,
            data.target,
            self.penalties,
            self.estimator,
            calibrated=self.calibrated,
            seed=settings.seed,
        )

    def apply(self, arrays: Mapping[str, Array], X: Array) -> Array:
        from photogenic.models.heads.mlp import apply_head

        return apply_head(arrays, X)
