"""Targets: what a head predicts, with the loss for training and the metric for evaluation."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from photogenic.warehouse import InputError

__all__ = ["TARGETS", "Target", "target"]


@dataclass(frozen=True, slots=True)
class Target:
    """One target; its labels and predictions are numbers from 0 to 1.

    Attributes:
        name: name for `features train --target`.
        loss: `mse` for a ratio, `log_loss` for a binary target.
        metric: metric of test, dev and baseline in `runs`.
        weighted: whether loss and metric weight photos by their number of swipes.
        higher_is_better: whether a higher metric is better.
        meaning: meaning of a prediction.
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
    """Return the target of that name.

    Raises:
        InputError: the name is unknown.
    """
    if name in TARGETS:
        return TARGETS[name]
    near = difflib.get_close_matches(name, TARGETS, n=1, cutoff=0.4) or ["like_ratio"]
    raise InputError(f"{name!r} is not a target.", f"one of {', '.join(TARGETS)}", f"--target {near[0]}")
