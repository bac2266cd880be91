"""Configuration of the split into train, dev and test; each run records it.

`models.data.split` computes the split.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from photogenic.warehouse import InputError
from photogenic.warehouse.option_help import Help
from photogenic.warehouse.option_ranges import check

__all__ = ["DEFAULT_SPLIT", "SHARES", "SplitConfig"]

SHARES = {"8:1:1": (0.8, 0.9), "3:1": (0.675, 0.75)}
"""Shares at which dev and test begin."""


@dataclass(frozen=True, slots=True)
class SplitConfig:
    """Configuration of the split into train, dev and test.

    Raises:
        InputError: the ratio or the number of folds is invalid.
    """

    ratio: Annotated[
        Literal["8:1:1", "3:1"],
        Help("Sizes of train, dev and test: 8:1:1, or 3:1 for train to test with a tenth of train as dev."),
    ] = "8:1:1"
    by_time: Annotated[bool, Help("Put the newest photos into test, instead of groups of photos drawn at random.")] = (
        False
    )
    folds: Annotated[
        int,
        Help(
            "Number of folds, at least 3, or 0 for no folds. With folds, every photo is in test once, and is predicted "
            "by a head that did not learn from it."
        ),
    ] = 0
    division_seed: Annotated[
        int | None,
        Help(
            "Seed of the division into train, dev and test. Default: 8:1:1 as in the relation photo_setups, other "
            "divisions with seed 0."
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.ratio not in SHARES:
            raise InputError(f"{self.ratio!r} is not a ratio.", f"one of {', '.join(SHARES)}", "--ratio 8:1:1")
        check(folds=self.folds, division_seed=self.division_seed)
        if self.folds and (self.folds < 3 or self.by_time):
            what = "folds by time" if self.by_time else f"{self.folds} folds"
            raise InputError(f"A split into {what} is not possible.", "at least 3 folds of users", "--folds 5")

    @property
    def name(self) -> str:
        """The name of the split in the records of runs."""
        kind = f"{self.folds} folds" if self.folds else self.ratio
        seeded = "" if self.division_seed is None else f", seed {self.division_seed}"
        return kind + (" by time" if self.by_time else "") + seeded


DEFAULT_SPLIT = SplitConfig()
