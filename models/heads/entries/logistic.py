"""`logistic`: logistic regression."""

from __future__ import annotations

from typing import Any

from photogenic.models.heads.linear_head import ITERATIONS, LinearHead
from photogenic.models.heads.penalty_grid import PENALTIES, PenaltyGrid
from photogenic.models.heads.registry import register_head

__all__ = ["Logistic"]


@register_head("logistic")
class Logistic(LinearHead):
    """Logistic regression; C is chosen by log-loss."""

    summary = "logistic regression, for popular, gender and other yes/no targets"
    losses = ("log_loss",)
    place = 11
    penalties = PenaltyGrid("log_loss", "C", PENALTIES, "neg_log_loss")

    def estimator(self, strength: float, seed: int) -> Any:  # noqa: ARG002 - it has no random draws
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(C=strength, max_iter=ITERATIONS)
