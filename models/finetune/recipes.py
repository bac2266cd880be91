"""How a network is fine-tuned: the schedule of the likability project, and a modern one.

published   SGD with momentum, 0.001, divided by 10 at every seventh of 35,000 iterations, the last layer replaced,
            train:test 3:1. Batch, momentum, decay and the last layer's tenfold rate are not stated; they are those of
            Caffe's example of fine-tuning, which the schedule follows.
modern      AdamW, warm-up and cosine; the new layer first, then the network from its top down, lower parts in smaller
            steps; pictures cropped, mirrored, their light changed; stops when dev no longer improves.

Source: the university project on likability; Loshchilov & Hutter 2019; Howard & Ruder 2018 (gradual unfreezing).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from photogenic.warehouse import InputError
from photogenic.warehouse.option_ranges import check

__all__ = ["GROUPS", "RECIPES", "Recipe", "recipe"]

GROUPS = 4
"""Parts of a network, from its top down, that are opened one after the other."""

_LEAST, _MOST, _EPOCHS = 300, 20_000, 20


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides a descent but the data and the seed.

    Attributes:
        ratio: the division into train and test, unless another is asked for.
        iterations: updates; 0: as many as 20 epochs have, 300 to 20,000.
        batch_size: pictures per update.
        learning_rate: of the network's top, at its highest.
        head_factor: the new layer's rate over it.
        group_factor: each of the `GROUPS` has so much of the rate of the one above it.
        weight_decay: of weights, not of biases and normalisation.
        schedule: steps: divided by 10 at every seventh; cosine: after a warm-up, down to 0.
        unfreezing: over which share of the iterations the network is opened, from the top; 0: open from the start.
        least_crop: of the side of the middle square, at least so much is seen; None: crops of the network's own size.
        light: how much brightness and contrast change, as a share.
        clip: longest gradient; 0: any.
        patience: looks at dev without improvement after which it ends; 0: goes to the end.
        evaluations: looks at dev, each with a checkpoint.
    """

    name: str
    optimiser: Literal["sgd", "adamw"]
    ratio: Literal["8:1:1", "3:1"]
    iterations: int
    batch_size: int
    learning_rate: float
    head_factor: float
    group_factor: float
    weight_decay: float
    schedule: Literal["steps", "cosine"]
    unfreezing: float
    least_crop: float | None
    light: float
    clip: float
    patience: int
    evaluations: int = 35

    def settled(self, n: int) -> Recipe:
        """With its number of iterations, for `n` pictures."""
        if self.iterations:
            return self
        epochs = _EPOCHS * math.ceil(n / self.batch_size)
        return replace(self, iterations=min(max(epochs, _LEAST), _MOST))

    @property
    def every(self) -> int:
        """Iterations between two looks at dev."""
        return max(self.iterations // self.evaluations, 1)

    def rate(self, step: int, group: int) -> float:
        """Learning rate of the update `step` (from 0) for the new layer (group 0) or a part of the network (1: top)."""
        scale = self.head_factor if group == 0 else self.group_factor ** (group - 1)
        if self.schedule == "steps":
            fall = 0.1 ** (7 * step // self.iterations)
        else:
            warm = max(self.iterations // 20, 1)
            progress = (step - warm) / max(self.iterations - warm, 1)
            fall = (step + 1) / warm if step < warm else (1 + math.cos(math.pi * progress)) / 2
        return self.learning_rate * scale * min(fall, 1.0)

    def opens(self, step: int, group: int) -> bool:
        """Whether a part is trained at that update."""
        return step >= self.iterations * self.unfreezing * group / GROUPS


RECIPES = {
    "modern": Recipe(
        "modern",
        optimiser="adamw",
        ratio="8:1:1",
        iterations=0,
        batch_size=64,
        learning_rate=3e-4,
        head_factor=3,
        group_factor=0.6,
        weight_decay=0.05,
        schedule="cosine",
        unfreezing=0.3,
        least_crop=0.75,
        light=0.15,
        clip=1.0,
        patience=12,
    ),
    "published": Recipe(
        "published",
        optimiser="sgd",
        ratio="3:1",
        iterations=35_000,
        batch_size=50,
        learning_rate=1e-3,
        head_factor=10,
        group_factor=1.0,
        weight_decay=5e-4,
        schedule="steps",
        unfreezing=0,
        least_crop=None,
        light=0.0,
        clip=0.0,
        patience=0,
    ),
}


def recipe(
    name: str,
    *,
    iterations: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    drawn: bool = False,
) -> Recipe:
    """The recipe of that name, with what is not None in its place.

    Args:
        name: modern, published.
        iterations: at least 1.
        batch_size: at least 2.
        learning_rate: above 0.
        drawn: the network's weights are drawn, so that all of it is trained from the start.

    Raises:
        InputError: no recipe has that name, or a number makes no sense.
    """
    if name not in RECIPES:
        raise InputError(f"{name!r} is not a recipe.", f"one of {', '.join(RECIPES)}", "--recipe modern")
    check(iterations=iterations, batch_size=batch_size, learning_rate=learning_rate)
    found = RECIPES[name]
    return replace(
        found,
        iterations=found.iterations if iterations is None else iterations,
        batch_size=found.batch_size if batch_size is None else batch_size,
        learning_rate=found.learning_rate if learning_rate is None else learning_rate,
        unfreezing=0 if drawn else found.unfreezing,
    )
