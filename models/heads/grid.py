"""Hyperparameter grid of fully connected heads: learning rates, penalties and the training schedule."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from photogenic.models.heads.mlp import WIDTH
from photogenic.models.heads.train_stack import PUBLISHED, Schedule

__all__ = ["PUBLISHED_GRID", "Grid", "small_set_penalty"]


@dataclass(frozen=True, slots=True)
class Grid:
    """Hyperparameter grid and training schedule.

    Attributes:
        learning_rates: learning rates of Adam at the start.
        penalties: L2 penalties on the weights. None: 0, as published, if there are enough photos for the published
            epochs; on smaller sets, 0 and `small_set_penalty`.
        width: width of hidden layers.
        schedule: batches, updates, decay and early stopping.
    """

    learning_rates: tuple[float, ...] = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
    penalties: tuple[float, ...] | None = None
    width: int = WIDTH
    schedule: Schedule = PUBLISHED

    def penalties_for(self, head: str, loss: Literal["mse", "log_loss"], n: int, dim: int) -> tuple[float, ...]:
        """Return the penalties for a head on `n` photos of dimension `dim`."""
        if self.penalties is not None:
            return self.penalties
        return (0.0, small_set_penalty(head, loss, n, dim)) if self.schedule.extends(n) else (0.0,)


PUBLISHED_GRID = Grid()


def small_set_penalty(head: str, loss: Literal["mse", "log_loss"], n: int, dim: int) -> float:
    """Return the L2 penalty that is tried besides 0 on small sets.

    0fc: the optimum of ridge regression. If all `dim` standardized dimensions matter equally and the head can explain
    half of the variance that can be explained, each weight has a prior variance of (variance of the noise) / dim, and
    the best L2 penalty is 2 dim / n for squared error, whose noise cancels out, and dim / (n pi^2/3) for cross-entropy,
    whose noise is logistic.

    There is no such theory for deeper heads. With .03, .1, .2, .3, .8 tried on twelve divisions of the rated faces, dev
    was best on average with .1 for 1fc; for 2fc with .03 (dlib_face) and .1 (efficientnet_lite0).
    """
    if head == "0fc":
        return (2 if loss == "mse" else 3 / math.pi**2) * dim / n
    return 0.1 if head == "1fc" else 0.05
