"""Cross-validation grid of a linear head: penalties, and the score that selects one."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PENALTIES", "PenaltyGrid"]

PENALTIES = tuple(float(f"1e{power}") for power in range(-6, 6))
"""Values of C that the likability project tried."""


@dataclass(frozen=True, slots=True)
class PenaltyGrid:
    """Penalties to cross-validate.

    Attributes:
        loss: loss of the targets that the head can learn.
        strength: scikit-learn's name of the cross-validated parameter.
        tried: values of the parameter.
        score: score of a fold; the highest mean over folds is selected.
    """

    loss: str
    strength: str
    tried: tuple[float, ...]
    score: str
