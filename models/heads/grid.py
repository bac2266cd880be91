"""What dev chooses from, for fully connected heads: learning rates, penalties, and how each is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from photogenic.models.heads.mlp import WIDTH
from photogenic.models.heads.train_stack import PUBLISHED, Schedule

__all__ = ["PUBLISHED_GRID", "Grid", "small_set_penalty"]


@dataclass(frozen=True, slots=True)
class Grid:
    """What dev chooses from, and how each is trained.

    Attributes:
        learning_rates: of Adam, at the start.
        penalties: l2 on the weights. None: 0, as published, where photos suffice for the published
            epochs; on smaller sets `small_set_penalty` competes with it.
        width: of hidden layers.
        schedule: batches, updates, decay, patience.
    """

    learning_rates: tuple[float, ...] = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
    penalties: tuple[float, ...] | None = None
    width: int = WIDTH
    schedule: Schedule = PUBLISHED

    def penalties_for(self, head: str, loss: Literal["mse", "log_loss"], n: int, dim: int) -> tuple[float, ...]:
        """Of a head on `n` photos of `dim` numbers each."""
        if self.penalties is not None:
            return self.penalties
        return (0.0, small_set_penalty(head, loss, n, dim)) if self.schedule.extends(n) else (0.0,)


PUBLISHED_GRID = Grid()


def small_set_penalty(head: str, loss: Literal["mse", "log_loss"], n: int, dim: int) -> float:
    """The l2 that competes with none where photos are few.

    0fc: ridge regression's own answer. If all `dim` standardised numbers matter alike and the head can
    explain half of what is to be explained, each weight has a prior variance of (variance of the noise) / dim,
    and the best l2 is 2 dim / n for squared error, whose noise cancels out, and dim / (n pi^2/3) for
    cross-entropy, whose noise is logistic.

    Deeper heads have no such theory. With .03, .1, .2, .3, .8 tried on twelve divisions of the rated faces, dev was
    best on average with .1 for 1fc; for 2fc with .03 (dlib_face) and .1 (efficientnet_lite0).
    """
    if head == "0fc":
        return (2 if loss == "mse" else 3 / math.pi**2) * dim / n
    return 0.1 if head == "1fc" else 0.05
