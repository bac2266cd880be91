"""Options of an export."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, TypedDict

from photogenic.warehouse.errors import ConflictError
from photogenic.warehouse.option_help import Help, check_choices
from photogenic.warehouse.option_ranges import check

__all__ = ["ExportArguments", "ExportOptions", "FileFormat"]

FileFormat = Literal["parquet", "csv", "delta", "lance", "feast", "postgresql"]


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """How rows are written.

    Raises:
        ConflictError: options contradict each other.
        InputError: a value is not among its words, or out of range.
    """

    format: Annotated[
        FileFormat | None,
        Help(
            "Format to write: parquet or csv, which are files; delta or lance, which are tables; feast, a repository; "
            "postgresql, tables of a database. Default: postgresql for an address of one, else parquet.",
            metavar="FORMAT",
            option="as",
        ),
    ] = None
    table: Annotated[
        str | None,
        Help("Name of the folder or table that the rows go to. Default: the name of what is exported.", metavar="NAME"),
    ] = None
    partition: Annotated[
        Sequence[str] | None,
        Help(
            "Column whose values become folders, COLUMN=VALUE; may be given several times. Default: none.",
            metavar="COLUMN",
        ),
    ] = None
    max_rows_per_file: Annotated[
        int, Help("Largest number of rows of one file of Parquet or CSV.", metavar="N", least=1)
    ] = 8_000_000
    append: Annotated[
        bool, Help("Add the rows to a Delta, Lance or PostgreSQL table, instead of replacing its rows.")
    ] = False
    every: Annotated[
        str | None,
        Help(
            "For feast: step of time at whose beginnings relations that depend on the clock are computed, such as 7d "
            "or 1mo. Default: they are computed once, as of the moment of the export.",
            metavar="STEP",
        ),
    ] = None
    verify: Annotated[
        bool, Help("Read every written file again, and compare its rows and checksums; files of unchanged items too.")
    ] = False

    def __post_init__(self) -> None:
        check_choices(self)
        check(max_rows_per_file=self.max_rows_per_file)
        if isinstance(self.partition, str):
            object.__setattr__(self, "partition", (self.partition,))
        if self.every is not None and self.format != "feast":
            raise ConflictError("--every is for feature views.", "--as feast", f"--as feast --every {self.every[:20]}")
        if self.append and self.format in ("parquet", "csv", "feast"):
            raise ConflictError(
                f"--append adds to a table, and --as {self.format} writes files that are replaced.",
                "--append with delta, lance or postgresql",
                "--as delta --append",
            )


class ExportArguments(TypedDict, total=False):
    """The fields of `ExportOptions`, for methods that take them as keywords."""

    format: FileFormat | None
    table: str | None
    partition: str | Sequence[str] | None
    max_rows_per_file: int
    append: bool
    every: str | None
    verify: bool
