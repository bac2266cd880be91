"""`linear_svm`: a linear support vector machine with calibrated probabilities."""

from __future__ import annotations

from typing import Any

from photogenic.models.heads.linear_head import ITERATIONS, LinearHead
from photogenic.models.heads.penalty_grid import PENALTIES, PenaltyGrid
from photogenic.models.heads.registry import register_head

__all__ = ["LinearSvm"]


@register_head("linear_svm")
class LinearSvm(LinearHead):
    """Linear SVM; C is chosen by average precision, as in the likability project."""

    summary = "linear SVM, for popular, gender and other yes/no targets"
    aliases = ("svm",)
    losses = ("log_loss",)
    place = 10
    penalties = PenaltyGrid("log_loss", "C", PENALTIES, "average_precision")
    calibrated = True

    def estimator(self, strength: float, seed: int) -> Any:
        from sklearn.svm import LinearSVC

        return LinearSVC(C=strength, max_iter=ITERATIONS, random_state=seed % 2**32)
