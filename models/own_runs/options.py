"""Options of a run of the user's own, declared once for the command line and `FeatureStore.add_run`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

from photogenic.models.data.split_config import DEFAULT_SPLIT, SplitConfig
from photogenic.warehouse.option_help import Help
from photogenic.warehouse.option_ranges import check

if TYPE_CHECKING:
    from photogenic.ingest.tabular.mapping_file import Given

__all__ = ["AddRunArguments", "AddRunOptions"]


@dataclass(frozen=True, slots=True)
class AddRunOptions:
    """What the predictions are about, and by which test they are evaluated.

    Raises:
        InputError: a number is out of range.
    """

    target: Annotated[
        str,
        Help(
            "Target of the predictions: like_ratio, popular, gender, or a column as relation.column; of what is yes or "
            "no, a probability."
        ),
    ] = "like_ratio"
    weight: Annotated[
        str | None,
        Help(
            "Column with the weight of each photo or user, for a target that is a column too. Default: all weigh the "
            "same.",
            metavar="RELATION.COLUMN",
        ),
    ] = None
    setup: Annotated[
        str, Help("Photos by which they are evaluated: all, or one_face for those with exactly one face.")
    ] = "one_face"
    division: Annotated[SplitConfig, Help("Division")] = DEFAULT_SPLIT
    seed: Annotated[int, Help("Seed of the bootstrap.")] = 0

    def __post_init__(self) -> None:
        check(seed=self.seed)


class AddRunArguments(TypedDict, total=False):
    """How predictions are read, and what they must bring.

    Attributes:
        mapping: name of the column in the file, by name of our column; or the path of a TOML file, or its tables.
        values: what a word in the file stands for, by our column and word; None is a missing value.
        trained_on: photos that the predictions were learned from: ids, or a file or frame with a column photo_id. The
            column `split` of the predictions says it too.
        max_refused: most rows that may be refused, as a share of all rows or as a number.
        least_rows: least number of rows that must come and not be refused.
    """

    mapping: "Given"
    values: Mapping[str, Mapping[str, Any]] | None
    trained_on: Any
    max_refused: str | float | None
    least_rows: int | None
