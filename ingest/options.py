"""Sources and options of every ingest, as arguments of `FeatureStore.ingest_users` and its like, and of `retract`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypedDict

from photogenic.warehouse.moment import Instant

if TYPE_CHECKING:
    import polars as pl

    from photogenic.ingest.tabular.mapping_file import Given

__all__ = ["ArrowStream", "IngestArguments", "Rowlike", "SourceOptions"]


class ArrowStream(Protocol):
    """What hands out its rows by the PyCapsule interface of Arrow.

    Frames of polars and pandas, tables, batches and readers of pyarrow, relations of DuckDB, and others.
    """

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return a capsule with a stream of record batches."""


Rowlike: TypeAlias = "str | os.PathLike[str] | ArrowStream | pl.LazyFrame | Iterable[Mapping[str, Any]]"
"""A source of rows: a path, glob, folder or address, `-` for standard input; a frame, an Arrow table, reader or
dataset, or dictionaries, one a row. The guide of sources lists them."""


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
        query: for a database: the query whose rows are read.
    """

    mapping: Given
    values: Mapping[str, Mapping[str, Any]] | None
    units: Mapping[str, str] | None
    arrived_at: Instant | None
    max_refused: str | float | None
    least_rows: int | None
    query: str | None


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """Options of sources other than files.

    Attributes:
        query: for a database: the query whose rows are read.
    """

    query: str | None = None
