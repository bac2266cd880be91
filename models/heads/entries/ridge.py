"""`ridge`: ridge regression."""

from __future__ import annotations

from typing import Any

from photogenic.models.heads.linear_head import LinearHead
from photogenic.models.heads.penalty_grid import PenaltyGrid
from photogenic.models.heads.registry import register_head

__all__ = ["RidgeRegression"]


@register_head("ridge")
class RidgeRegression(LinearHead):
    """Ridge regression; the penalty is chosen by squared error."""

    summary = "ridge regression, for like_ratio and other numbers"
    losses = ("mse",)
    place = 12
    penalties = PenaltyGrid("mse", "alpha", tuple(float(f"1e{power}") for power in range(-1, 7)), "neg_mse")

    def estimator(self, strength: float, seed: int) -> Any:  # noqa: ARG002 - it has no random draws
        from sklearn.linear_model import Ridge

        return Ridge(alpha=strength)
