"""What is cross-validated of a linear head: penalties, and the score that decides."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PENALTIES", "PenaltyGrid"]

PENALTIES = tuple(float(f"1e{power}") for power in range(-6, 6))
"""Values of C, as the likability project tried them."""


@dataclass(frozen=True, slots=True)
class PenaltyGrid:
    """What is cross-validated.

    Attributes:
        loss: of the targets that the head can learn.
        strength: what scikit-learn calls the number that is cross-validated.
        tried: its values.
        score: what the folds are scored by; the mean over folds decides, more is better.
    """

    loss: str
    strength: str
    tried: tuple[float, ...]
    score: str
