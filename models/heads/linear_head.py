"""A head that is linear in the standardised vector: scikit-learn's, its penalty cross-validated."""

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
"""Of an estimator that descends, at most."""


class LinearHead(Head):
    """A head of scikit-learn that is kept and applied as one without hidden layers.

    Attributes:
        penalties: that are tried.
        calibrated: whether its output is a margin, which a logistic curve makes a probability.
    """

    kind = "fc"
    penalties: ClassVar[PenaltyGrid]
    calibrated: ClassVar[bool] = False

    def estimator(self, strength: float, seed: int) -> Any:
        """One of scikit-learn, not fitted yet."""
        raise NotImplementedError(f"{type(self).__name__}.estimator")

    def tried(self, grid: Grid) -> dict[str, Any]:  # noqa: ARG002 - that of layers
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
