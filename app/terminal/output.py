"""One renderer for everything that is printed: a table to read, or CSV and JSON to process.

Data goes to stdout and nothing else does. Times are UTC and say so in CSV and JSON (`...Z`), unknown
is an empty field, null or ∅. A table never loses a column: what does not fit the terminal is shown
as records, one column a line, and a pipe or a file gets the full width.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Literal, TextIO

from photogenic._lazy import pa, pl, pq
from photogenic.app.terminal.cells import plain

__all__ = ["Format", "Table", "say", "show", "write_csv", "write_json", "write_parquet"]

Format = Literal["table", "csv", "json"]

# A row group of Parquet: whichever comes first.
_GROUP_ROWS, _GROUP_BYTES = 100_000, 64 * 10**6


@dataclass(frozen=True, slots=True)
class Table:
    """Named columns and rows in their order. `rows` may be an iterator; it is walked once."""

    columns: tuple[str, ...]
    rows: Iterable[Sequence[object]]

    @classmethod
    def of(cls, frame: pl.DataFrame) -> Table:
        return cls(tuple(frame.columns), frame.iter_rows())

    @classmethod
    def of_records(cls, records: Sequence[Mapping[str, object]]) -> Table:
        """From dictionaries with the same keys; the first one gives the order."""
        columns = tuple(records[0]) if records else ()
        return cls(columns, ([record[name] for name in columns] for record in records))


def show(table: Table, form: Format = "table", *, title: str | None = None, file: TextIO | None = None) -> None:
    """Print a table on stdout, or on `file`.

    Args:
        table: what to print.
        form: `table` for people, `csv` with a header line, `json` as one array of objects.
        title: a line above; for people only.
        file: instead of stdout.
    """
    out = file or sys.stdout
    if form == "json":
        write_json(table, out)
    elif form == "csv":
        write_csv(table, out)
    else:
        from photogenic.app.terminal.text_table import write_grid

        write_grid(table.columns, list(table.rows), out, title=title)
    out.flush()


def say(text: str) -> None:
    """A line for the person, on stderr: never part of the data."""
    print(text, file=sys.stderr, flush=True)


def write_csv(table: Table, out: TextIO) -> None:
    """RFC 4180 with a header line and plain newlines."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([_csv_field(plain(value)) for value in row] for row in table.rows)


def write_json(table: Table, out: TextIO) -> None:
    """One array, one object a line; a column name that comes twice gets a number, so that none is lost."""
    names, is_ascii = _distinct(table.columns), not _shows_everything(out)
    separator = "[\n"
    for row in table.rows:
        values = dict(zip(names, map(plain, row), strict=True))
        out.write(separator + json.dumps(values, ensure_ascii=is_ascii, allow_nan=False))
        separator = ",\n"
    out.write("[]\n" if separator == "[\n" else "\n]\n")


def write_parquet(batches: pa.RecordBatchReader, out: IO[bytes] | io.RawIOBase) -> int:
    """As Parquet, a row group in memory at a time.

    Returns: the number of rows.
    """
    n_rows, group = 0, list[pa.RecordBatch]()
    with pq.ParquetWriter(out, batches.schema, compression="zstd") as writer:

        def write() -> None:
            writer.write_table(pa.Table.from_batches(group, batches.schema))
            group.clear()

        for batch in batches:
            group.append(batch)
            n_rows += batch.num_rows
            if sum(map(len, group)) >= _GROUP_ROWS or sum(each.nbytes for each in group) >= _GROUP_BYTES:
                write()
        if group:
            write()
    return n_rows


def _shows_everything(out: TextIO) -> bool:
    """Whether there is a byte sequence for each character; JSON has escapes of its own for where there is none."""
    return (getattr(out, "encoding", None) or "utf-8").lower().startswith("utf")


def _csv_field(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value


def _distinct(names: Sequence[str]) -> list[str]:
    distinct: list[str] = []
    for name in names:
        candidate, n = name, 0
        while candidate in distinct:
            n += 1
            candidate = f"{name}_{n}"
        distinct.append(candidate)
    return distinct
