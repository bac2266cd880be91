"""How photos may be divided into train, dev and test: one frozen value object, recorded with each run.

`models.data.split` does it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from photogenic.warehouse import InputError
from photogenic.warehouse.option_ranges import check

__all__ = ["SHARES", "STORED", "Division"]

SHARES = {"8:1:1": (0.8, 0.9), "3:1": (0.675, 0.75)}
"""Where dev begins and where test begins."""


@dataclass(frozen=True, slots=True)
class Division:
    """How photos are divided into train, dev and test.

    Attributes:
        ratio: 8:1:1, or 3:1 with a tenth of train as dev.
        by_time: test on the newest photos; otherwise groups are drawn.
        folds: at least 3, and every photo is in test once, predicted by a head that was trained without it; 0: none.
        division_seed: another number, another division.
            None: 8:1:1 is that of photo_setups, others are of seed 0.
    """

    ratio: Literal["8:1:1", "3:1"] = "8:1:1"
    by_time: bool = False
    folds: int = 0
    division_seed: int | None = None

    def __post_init__(self) -> None:
        if self.ratio not in SHARES:
            raise InputError(f"{self.ratio!r} is not a ratio.", f"one of {', '.join(SHARES)}", "--ratio 8:1:1")
        check(folds=self.folds, division_seed=self.division_seed)
        if self.folds and (self.folds < 3 or self.by_time):
            what = "folds by time" if self.by_time else f"{self.folds} folds"
            raise InputError(f"There is no division into {what}.", "at least 3 folds of users", "--folds 5")

    @property
    def name(self) -> str:
        """As runs record it."""
        kind = f"{self.folds} folds" if self.folds else self.ratio
        seeded = "" if self.division_seed is None else f", seed {self.division_seed}"
        return kind + (" by time" if self.by_time else "") + seeded


STORED = Division()
