"""Output of tables: an aligned table to read, or CSV and JSON to process.

Only data is written to stdout. Times are in UTC and are marked so in CSV and JSON (`...Z`). NULL is an empty field,
null or ∅. Every column is printed: a table that is wider than the terminal folds or cuts its long texts, or is
printed as records with one column per line, and a pipe or a file receives the full width.
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
from photogenic.app.terminal.cells import message, to_plain

__all__ = ["Format", "Table", "print_message", "print_table", "write_csv", "write_json", "write_parquet"]

Format = Literal["table", "csv", "json"]

# Limits of a Parquet row group, in rows and in bytes.
_GROUP_ROWS, _GROUP_BYTES = 100_000, 64 * 10**6


@dataclass(frozen=True, slots=True)
class Table:
    """Named columns and rows in order. `rows` may be an iterator; it is iterated once."""

    columns: tuple[str, ...]
    rows: Iterable[Sequence[object]]

    @classmethod
    def of(cls, frame: pl.DataFrame) -> Table:
        return cls(tuple(frame.columns), frame.iter_rows())

    @classmethod
    def of_records(cls, records: Sequence[Mapping[str, object]]) -> Table:
        """Make a table from dictionaries with the same keys. The first one gives the order of the columns."""
        columns = tuple(records[0]) if records else ()
        return cls(columns, ([record[name] for name in columns] for record in records))


def print_table(
    table: Table,
    form: Format = "table",
    *,
    title: str | None = None,
    file: TextIO | None = None,
    records: bool = False,
) -> None:
    """Print a table on stdout, or on `file`.

    Args:
        table: Table to print.
        form: `table` for an aligned table, `csv` with a header line, `json` for one array of objects.
        title: Line above an aligned table.
        file: Stream to write to. Default: stdout.
        records: Whether to print records with one value per line instead of an aligned table.
    """
    out = file or sys.stdout
    if form == "json":
        write_json(table, out)
    elif form == "csv":
        write_csv(table, out)
    else:
        from photogenic.app.terminal.text_table import write_grid

        write_grid(table.columns, list(table.rows), out, title=title, records=records)
    out.flush()


def print_message(text: str) -> None:
    """Print a message on stderr, apart from the data on stdout. Control characters are escaped."""
    print(message(text), file=sys.stderr, flush=True)


def write_csv(table: Table, out: TextIO) -> None:
    """Write CSV after RFC 4180 with a header line; lines end with a line feed."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([_csv_field(to_plain(value)) for value in row] for row in table.rows)


def write_json(table: Table, out: TextIO) -> None:
    """Write one JSON array with one object per line. Repeated column names get a number, so that no column is lost."""
    names, is_ascii = _distinct(table.columns), not _shows_everything(out)
    separator = "[\n"
    for row in table.rows:
        values = dict(zip(names, map(to_plain, row), strict=True))
        out.write(separator + json.dumps(values, ensure_ascii=is_ascii, allow_nan=False))
        separator = ",\n"
    out.write("[]\n" if separator == "[\n" else "\n]\n")


def write_parquet(batches: pa.RecordBatchReader, out: IO[bytes] | io.RawIOBase) -> int:
    """Write Parquet with one row group in memory at a time.

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
    """Return whether the encoding of a stream has every character. JSON escapes characters for other encodings."""
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
