"""What is predicted: three targets, each with the loss it trains on and the metric it is judged in."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from photogenic.warehouse import InputError

__all__ = ["TARGETS", "Target", "target"]


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to predict, always a number in 0..1.

    Attributes:
        name: as in `features train --target`.
        loss: `mse` of a ratio, `log_loss` of a yes or no.
        metric: of test, dev and baseline in `runs`.
        weighted: whether photos count by their swipes, in loss and metric; if not, all count alike.
        higher_is_better: of the metric.
        meaning: of a prediction.
    """

    name: str
    loss: Literal["mse", "log_loss"]
    metric: Literal["mse", "accuracy"]
    weighted: bool
    higher_is_better: bool
    meaning: str


TARGETS = {
    entry.name: entry
    for entry in (
        Target("like_ratio", "mse", "mse", True, False, "likes per swipe"),
        Target("popular", "log_loss", "accuracy", False, True, "probability to be above the median"),
        Target("gender", "log_loss", "accuracy", False, True, "probability that the owner is a woman"),
    )
}


def target(name: str) -> Target:
    """The target of that name.

    Raises:
        InputError: there is none.
    """
    if name in TARGETS:
        return TARGETS[name]
    near = difflib.get_close_matches(name, TARGETS, n=1, cutoff=0.4) or ["like_ratio"]
    raise InputError(f"{name!r} is not a target.", f"one of {', '.join(TARGETS)}", f"--target {near[0]}")
