"""Read the rows of a query, and export them to a file.

Rows are read from DuckDB while it computes them. The first rows do not wait for the last ones, and the memory that
an export takes does not depend on the number of rows.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from photogenic._lazy import pa
from photogenic.app.terminal.output import Table, write_csv, write_json, write_parquet
from photogenic.warehouse.duckdb_store.query import Cursor
from photogenic.warehouse.errors import InputError

__all__ = ["Batches", "all_rows", "count_rows", "export", "first_rows"]


def all_rows(cursor: Cursor) -> Table:
    """Return all rows as a table that can be iterated once."""
    return Table(cursor.columns, cursor.rows())


def first_rows(cursor: Cursor, limit: int) -> tuple[Table, bool]:
    """Return at most `limit` rows, and whether there are more."""
    found = list(itertools.islice(cursor.rows(), limit + 1))
    return Table(cursor.columns, found[:limit]), len(found) > limit


def count_rows(rows: Iterable[object], seconds: float) -> tuple[int, bool]:
    """Count rows for at most some seconds. Return their number, and whether these are all."""
    deadline, n = time.monotonic() + seconds, 0
    for n, _ in enumerate(rows, start=1):
        if time.monotonic() > deadline:
            return n, False
    return n, True


class Batches:
    """The rows of a stream of Arrow, read once, with the interface of a cursor that `export` needs."""

    def __init__(self, reader: pa.RecordBatchReader) -> None:
        self._reader, self.columns = reader, tuple(reader.schema.names)

    def rows(self) -> Iterator[tuple[object, ...]]:
        """Yield each row; memory holds one batch."""
        for batch in self._reader:
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)

    def batches(self) -> pa.RecordBatchReader:
        """Return the stream."""
        return self._reader


def export(cursor: Cursor | Batches, path: Path, *, arrow: bool = False) -> int:
    """Write all rows to a .csv, .json or .parquet file. The file appears when it is complete.

    Args:
        cursor: the rows.
        path: the file.
        arrow: whether the file may also be an .arrow file.

    Returns: the number of rows.

    Raises:
        InputError: The file name has another ending, or the folder cannot be written to.
    """
    known = {".csv": _to_csv, ".json": _to_json, ".parquet": _to_parquet} | ({".arrow": _to_arrow} if arrow else {})
    write = known.get(path.suffix.lower())
    if write is None:
        *others, last = known
        raise InputError(
            f"The file name {path.name} has no known ending.", f"a name that ends in {', '.join(others)} or {last}"
        )
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        n = write(cursor, temporary)
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.", "a file in a folder that exists") from error
    finally:
        temporary.unlink(missing_ok=True)
    return n


def _to_csv(cursor: Cursor | Batches, path: Path) -> int:
    return _to_text(cursor, path, write_csv)


def _to_json(cursor: Cursor | Batches, path: Path) -> int:
    return _to_text(cursor, path, write_json)


def _to_text(cursor: Cursor | Batches, path: Path, write: Callable[..., None]) -> int:
    counter = itertools.count()
    rows = (row for row, _ in zip(cursor.rows(), counter, strict=False))
    with path.open("w", encoding="utf-8", newline="") as file:
        write(Table(cursor.columns, rows), file)
    return next(counter)


def _to_parquet(cursor: Cursor | Batches, path: Path) -> int:
    with path.open("wb") as file:
        return write_parquet(cursor.batches(), file)


def _to_arrow(cursor: Cursor | Batches, path: Path) -> int:
    n_rows, batches = 0, cursor.batches()
    with path.open("wb") as file, pa.ipc.new_file(file, batches.schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
            n_rows += batch.num_rows
    return n_rows
