"""Read the bytes of pictures from a column of rows, a few at a time: of Parquet, of a frame, or of text in base64."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from typing import Any

from photogenic._lazy import duckdb, pa, pq
from photogenic.ingest.images.folders import MAX_BYTES, Unread
from photogenic.ingest.readers import parquet_schema
from photogenic.ingest.readers.source_files import Source

__all__ = ["picture_bytes"]

_ROWS = 32
"""Rows that are read at a time."""

_DATA_URL = re.compile(r"data:[\w./+-]*;base64,", re.ASCII)


def picture_bytes(
    con: duckdb.DuckDBPyConnection, source: Source, lines: Sequence[int]
) -> Iterator[tuple[int, bytes | Unread]]:
    """Yield the line and picture of each of these rows that has one.

    Args:
        con: connection on which text was staged (ingest/tabular/staging.py).
        source: a source with a column of pictures.
        lines: lines, ascending, from 1.

    Raises:
        InputError: a Parquet file is damaged.
    """
    assert source.picture is not None
    if source.frame is not None:
        found = _of_frame(source, set(lines))
    elif source.format == "parquet":
        found = _of_parquet(source, lines)
    else:
        found = _of_text(con, lines)
    for line, value in found:
        if value is not None:
            yield line, _content(value)


def _content(value: bytes | str) -> bytes | Unread:
    """The bytes of a picture; text is base64, also of a data URL."""
    if isinstance(value, str):
        if len(value) > MAX_BYTES * 4 // 3 + 1000:
            return Unread("too_large", f"{len(value):,} characters of base64")
        start = _DATA_URL.match(value)
        try:
            value = base64.b64decode("".join(value[start.end() if start else 0 :].split()), validate=True)
        except (binascii.Error, ValueError):
            return Unread("unreadable", "text that is not base64")
    return value if len(value) <= MAX_BYTES else Unread("too_large", f"{len(value):,} bytes")


def _of_parquet(source: Source, lines: Sequence[int]) -> Iterator[tuple[int, Any]]:
    """Read only this column, and only the row groups that have these lines."""
    number, *places = _place(source)
    try:
        with pq.ParquetFile(source.path, buffer_size=1 << 20) as file:
            column = _leaf(file.schema_arrow, number, places)
            start, wanted = 1, list(lines)
            for group in range(file.metadata.num_row_groups):
                end = start + file.metadata.row_group(group).num_rows
                here = {line for line in wanted if start <= line < end}
                if here:
                    at = start
                    for batch in file.reader.iter_batches(_ROWS, [group], column_indices=[column], use_threads=False):
                        yield from _rows(batch.column(0), at, here)
                        at += len(batch)
                start = end
    except (pa.ArrowException, OSError) as error:
        raise parquet_schema.damaged(error, source.name) from error


def _rows(array: pa.Array, first: int, wanted: set[int]) -> Iterator[tuple[int, Any]]:
    """The wanted values of an array whose first value has this line."""
    if wanted.isdisjoint(range(first, first + len(array))):
        return
    while pa.types.is_struct(array.type):
        array = array.flatten()[0]  # the file was asked for one value inside
    for at in range(len(array)):
        if first + at in wanted:
            yield first + at, array[at].as_py()


def _leaf(schema: pa.Schema, number: int, places: Sequence[int]) -> int:
    """The number of a column among all values of the file, where those of structures count one by one."""
    at = sum(_n_leaves(schema.field(before).type) for before in range(number))
    type_ = schema.field(number).type
    for place in places:
        at += sum(_n_leaves(type_.field(before).type) for before in range(place - 1))
        type_ = type_.field(place - 1).type
    return at


def _n_leaves(type_: pa.DataType) -> int:
    return sum(_n_leaves(type_.field(at).type) for at in range(type_.num_fields)) if type_.num_fields else 1


def _of_frame(source: Source, wanted: set[int]) -> Iterator[tuple[int, Any]]:
    number, *places = _place(source)
    first = 1
    for batch in pa.RecordBatchReader.from_stream(source.frame):
        array = batch.column(number)
        for place in places:
            array = array.flatten()[place - 1]
        for start in range(0, len(array), _ROWS):
            here = array.slice(start, _ROWS)
            if not wanted.isdisjoint(range(first + start, first + start + len(here))):
                for at in range(len(here)):
                    if first + start + at in wanted:
                        yield first + start + at, here[at].as_py()
        first += len(array)


def _of_text(con: duckdb.DuckDBPyConnection, lines: Sequence[int]) -> Iterator[tuple[int, Any]]:
    """Read from the staged rows: text is read once, and only in its order."""
    for at in range(0, len(lines), _ROWS):
        some = list(lines[at : at + _ROWS])
        query = "select line, image from staged where line between $1 and $2 and list_contains($3, line) order by line"
        yield from con.execute(query, [some[0], some[-1], some]).fetchall()


def _place(source: Source) -> tuple[int, ...]:
    """The number of the column, and the places inside it."""
    assert source.picture is not None
    return source.fields[source.picture].places or (source.picture,)
