"""Recipes of fine-tuning: the published schedule of the likability project, and a modern one.

published   SGD with momentum, rate 0.001, divided by 10 at every seventh of 35,000 iterations, the last layer replaced,
            train:test 3:1. Batch size, momentum, decay and the tenfold rate of the last layer are not stated in the
            paper; they are those of Caffe's example of fine-tuning, which the schedule follows.
modern      AdamW, warm-up and cosine; the new layer first, then the network from the top down, lower parts with smaller
            rates; pictures cropped and mirrored with light changes; stops when dev no longer improves.

Source: University project on likability; Loshchilov & Hutter 2019; Howard & Ruder 2018 (gradual unfreezing).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from photogenic.models.options import FinetuneOptions
from photogenic.warehouse import InputError

__all__ = ["GROUPS", "RECIPES", "Recipe", "recipe_of"]

GROUPS = 4
"""Number of parts of a network that are unfrozen one after the other, from the top down."""

_LEAST, _MOST, _EPOCHS = 300, 20_000, 20


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings of a training, without data and seed.

    Attributes:
        ratio: division into train and test, unless another is asked for.
        iterations: number of updates; 0: as many as 20 epochs have, 300 to 20,000.
        batch_size: pictures per update.
        learning_rate: largest learning rate of the top of the network.
        head_factor: rate of the new layer divided by `learning_rate`.
        group_factor: rate of each of the `GROUPS` divided by the rate of the one above it.
        weight_decay: decay of weights, not of biases and normalization.
        schedule: steps: the rate is divided by 10 at every seventh; cosine: it rises in a warm-up, then falls to 0.
        unfreezing: share of the iterations in which the network is unfrozen from the top; 0: unfrozen from the start.
        least_crop: smallest side of a crop as a share of the central square. None: crops of the network's own size.
        light: largest change of brightness and contrast, as a share.
        clip: largest norm of the gradient; 0: no limit.
        patience: evaluations on dev without improvement after which training stops; 0: no early stopping.
        evaluations: number of evaluations on dev, each with a checkpoint.
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
        """Return the recipe with its number of iterations for `n` pictures."""
        if self.iterations:
            return self
        epochs = _EPOCHS * math.ceil(n / self.batch_size)
        return replace(self, iterations=min(max(epochs, _LEAST), _MOST))

    @property
    def every(self) -> int:
        """Number of iterations between two evaluations on dev."""
        return max(self.iterations // self.evaluations, 1)

    def rate(self, step: int, group: int) -> float:
        """Return the learning rate of update `step` (from 0) for a group: 0 is the new layer, 1 the network's top."""
        scale = self.head_factor if group == 0 else self.group_factor ** (group - 1)
        if self.schedule == "steps":
            fall = 0.1 ** (7 * step // self.iterations)
        else:
            warm = max(self.iterations // 20, 1)
            progress = (step - warm) / max(self.iterations - warm, 1)
            fall = (step + 1) / warm if step < warm else (1 + math.cos(math.pi * progress)) / 2
        return self.learning_rate * scale * min(fall, 1.0)

    def opens(self, step: int, group: int) -> bool:
        """Return whether a part is trained at that update."""
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


def recipe_of(options: FinetuneOptions) -> Recipe:
    """Return the recipe that the options name, with every value that they give replaced.

    Raises:
        InputError: the name is unknown.
    """
    if options.recipe not in RECIPES:
        raise InputError(f"{options.recipe!r} is not a recipe.", f"one of {', '.join(RECIPES)}", "--recipe modern")
    names = ("iterations", "batch_size", "learning_rate")
    given: dict[str, Any] = {name: value for name in names if (value := getattr(options, name)) is not None}
    if options.random_weights:  # all of the network is trained from the start
        given["unfreezing"] = 0
    return replace(RECIPES[options.recipe], **given)
