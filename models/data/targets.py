"""Targets: what a head predicts, with the loss for training and the metric for evaluation.

target("popular")                                      one of the program's own
target_of(con, "shop.bought", weight="shop.n")         a column: a boolean is yes or no, a number any number
recorded("shop.bought", "accuracy")                    that of a run, even if the relation is gone
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from photogenic._lazy import duckdb
from photogenic.warehouse import InputError
from photogenic.warehouse.columns import ColumnRef, resolve

__all__ = ["TARGETS", "Target", "is_column", "names_in", "recorded", "target", "target_of"]


@dataclass(frozen=True, slots=True)
class Target:
    """One target; labels and predictions are numbers.

    Attributes:
        name: name for `features train --target`; `relation.column` for a column.
        loss: `mse` for a number, `log_loss` for a binary target.
        metric: metric of test, dev and baseline in `runs`.
        weighted: whether loss and metric weight photos: by their number of swipes, or by the column `weight`.
        higher_is_better: whether a higher metric is better.
        meaning: meaning of a prediction.
        bounded: whether labels and predictions are from 0 to 1. Other labels are standardized before a head sees them.
        column: column of the labels. None: those of `photo_labels`, or the store is not asked.
        weight: column of the weights of a column. None: all photos have the same weight.
    """

    name: str
    loss: Literal["mse", "log_loss"]
    metric: Literal["mse", "accuracy"]
    weighted: bool
    higher_is_better: bool
    meaning: str
    bounded: bool = True
    column: ColumnRef | None = None
    weight: ColumnRef | None = None

    @property
    def answers(self) -> tuple[str, str]:
        """What a photo with label 0 and a photo with label 1 of a binary target is, in words."""
        own = f"{self.name} = false", f"{self.name} = true"
        return {"gender": ("a man's", "a woman's"), "popular": ("not popular", "popular")}.get(self.name, own)

    @property
    def error_words(self) -> str:
        """The error of a prediction, in words."""
        return "mean squared error" if self.metric == "mse" else "share of wrong answers"


TARGETS = {
    entry.name: entry
    for entry in (
        Target("like_ratio", "mse", "mse", True, False, "likes per swipe"),
        Target("popular", "log_loss", "accuracy", False, True, "probability to be above the median"),
        Target("gender", "log_loss", "accuracy", False, True, "probability that the owner is a woman"),
    )
}


def target(name: str, among: Iterable[str] = ()) -> Target:
    """Return the program's own target of that name.

    Args:
        name: name of a target.
        among: further names to suggest, such as those of trained heads.

    Raises:
        InputError: the name is unknown.
    """
    if name in TARGETS:
        return TARGETS[name]
    known = list(dict.fromkeys([*TARGETS, *among]))
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4) or ["like_ratio"]
    raise InputError(
        f"{name[:80]!r} is not a target.",
        f"one of {', '.join(known)}; or relation.column, for a column of a relation",
        f"--target {near[0]}",
    )


def is_column(name: str) -> bool:
    """Return whether the name of a target is that of a column of a relation."""
    return "." in name


def target_of(con: duckdb.DuckDBPyConnection, name: str, *, weight: str | None = None) -> Target:
    """Return the target of that name; a column must be a boolean or a number.

    Args:
        con: connection to the store.
        name: name of a target, or `relation.column`.
        weight: `relation.column` of the weights. None: no weights.

    Raises:
        InputError: there is no such target, column or weight, or a column has another type.
    """
    if not is_column(name):
        return target(name)
    if name.endswith(".*"):
        raise InputError(f"--target {name} names several columns.", "one column", "--target relation.column")
    (column,) = resolve(con, [name], option="--target")
    by: ColumnRef | None = None
    if weight is not None:
        if weight.endswith(".*"):
            raise InputError(f"--weight {weight} names several columns.", "one column", "--weight relation.column")
        (by,) = resolve(con, [weight], option="--weight")
        if not by.is_number:
            raise InputError(
                f"--weight {weight} is a {by.type}.", "a column of numbers above 0", "--weight relation.column"
            )
    made = recorded(column.name, "accuracy" if column.is_boolean else "mse", weighted=by is not None)
    return replace(made, meaning=column.comment, column=column, weight=by)


def recorded(name: str, metric: str, *, weighted: bool = False) -> Target:
    """Return the target of a run from its row in `runs`, without the store."""
    if name in TARGETS:
        return TARGETS[name]
    if metric == "accuracy":
        return Target(name, "log_loss", "accuracy", weighted, True, f"probability of {name}")
    return Target(name, "mse", "mse", weighted, False, name, bounded=False)


def names_in(runs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the targets of rows of `runs`: the program's own in their order, then the others by name."""
    found = {str(run["target"]) for run in runs}
    return [*(name for name in TARGETS if name in found), *sorted(found - set(TARGETS))]
