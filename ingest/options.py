"""Options of every ingest, as keyword arguments of `FeatureStore.ingest_users` and its like, and of `retract`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from photogenic.warehouse.moment import Instant

if TYPE_CHECKING:
    from photogenic.ingest.tabular.mapping_file import Given

__all__ = ["IngestArguments"]


class IngestArguments(TypedDict, total=False):
    """How files are read, and what they must bring.

    Attributes:
        mapping: name of the column in the file, by name of our column; or the path of a TOML file, or its tables. It
            replaces what `photogenic.toml` says of the same columns, as `values` and `units` do.
        values: what a word in the file stands for, by our column and word: `{"liked": {"boost": True}}`; None is a
            missing value.
        units: unit of the numbers in a column of times: days, hours, minutes, s, ms, us, ns, excel.
        arrived_at: when the rows arrived: an instant, or the column that says it of each row; None: the column
            `ingested_at`, if the file has it, else now.
        max_refused: most rows that may be refused, as a share of all rows (`"1%"`, 0.01) or as a number (100).
        least_rows: least number of rows that must come and not be refused, whether they are new or not.
    """

    mapping: Given
    values: Mapping[str, Mapping[str, Any]] | None
    units: Mapping[str, str] | None
    arrived_at: Instant | None
    max_refused: str | float | None
    least_rows: int | None
