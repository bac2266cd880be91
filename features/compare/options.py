"""Options of a comparison of two encoders, declared once for the command line and Python.

    compare_encoders(store, "efficientnet_lite0", "dlib_face", CompareOptions(sample=500))
    store.compare_encoders("efficientnet_lite0", "dlib_face", sample=500)

`CompareArguments` repeats names and types, so that editors and type checkers know the keyword arguments; a test
compares it with the class.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias, TypedDict

from photogenic.warehouse.option_help import Help, check_choices
from photogenic.warehouse.option_ranges import check

__all__ = ["KS", "CompareArguments", "CompareOptions", "Part"]

Part: TypeAlias = Literal["photos", "overlap", "moved", "heads", "cost"]

KS = (1, 10, 50)
"""Numbers of neighbors at which the overlap is always given, beside that of the option `k`."""


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """Options of a comparison of two encoders.

    Raises:
        InputError: a number is out of range, or there is no such part.
    """

    k: Annotated[int, Help("Number of nearest photos that are compared, besides 1, 10 and 50.", metavar="N")] = 10
    sample: Annotated[
        int,
        Help(
            "Number of photos whose neighbors are searched, drawn at random from those that both encoders have vectors "
            "of; all, if there are fewer."
        ),
    ] = 1000
    moved: Annotated[int, Help("Number of photos to list whose neighbors differ most.")] = 10
    measure: Annotated[
        int,
        Help(
            "Number of photos on which the time per photo is measured now, one at a time. 0 takes the time of the last "
            "build instead."
        ),
    ] = 0
    only: Annotated[
        Part | None,
        Help(
            "Only part to compute and print: photos, overlap, moved, heads or cost. Default: all.",
            metavar="PART",
        ),
    ] = None
    seed: Annotated[int, Help("Seed of the sample and of the bootstrap.")] = 0

    def __post_init__(self) -> None:
        check_choices(self)
        check(k=self.k, sample=self.sample, moved=self.moved, measure=self.measure, seed=self.seed)

    @property
    def ks(self) -> tuple[int, ...]:
        """Numbers of neighbors at which the overlap is given, in order."""
        return tuple(sorted({*KS, self.k}))

    def asks(self, *parts: Part) -> bool:
        """Whether one of these parts is computed."""
        return self.only is None or self.only in parts


class CompareArguments(TypedDict, total=False):
    """The fields of `CompareOptions` as keyword arguments."""

    k: int
    sample: int
    moved: int
    measure: int
    only: Part | None
    seed: int
