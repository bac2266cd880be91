"""Inspect a Parquet file or a frame before its rows are read: its columns by their names, and why it is unreadable.

DuckDB ignores case in names, and renames the second of two that differ in case only: `sender_id` after `Sender_ID`
would be `sender_id_1`. So the names come from the file's own schema, and columns are read by position.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from photogenic._lazy import duckdb
from photogenic.ingest.readers.input_files import shell_quoted
from photogenic.ingest.readers.memory_errors import memory_error
from photogenic.ingest.sources.arrow_frame import ArrowFrame
from photogenic.ingest.tabular.parsing import shown
from photogenic.warehouse import InputError, PhotogenicError
from photogenic.warehouse.duckdb_store.error_mapping import is_memory_error

__all__ = [
    "Scanned",
    "Uuids",
    "columns",
    "damaged",
    "extract",
    "first_values",
    "frame_columns",
    "leaves",
    "table_function",
    "unreadable",
    "uuids",
]

Scanned: TypeAlias = Path | ArrowFrame
"""What DuckDB scans by columns: a Parquet file, or a frame that is registered on the connection."""

Uuids = Literal["all", "some"]
"""Which values of a column are UUIDs: all, or those of 16 bytes that cannot be text."""

_CONTROL = r"'[\x00-\x1f\x7f]'"
_DEEPEST = 20

_UNSUPPORTED = ("ncrypt", "nsupported", "ot supported", "ot implemented", "Unrecognized")


def table_function(scanned: Scanned, *, with_lines: bool = False) -> str:
    """What is read. Folders named `key=value` add no columns; lines count from 0, and are the last column."""
    if isinstance(scanned, ArrowFrame):
        return scanned.view if with_lines else f"(select * exclude (line) from {scanned.view})"
    path = scanned
    name = glob.escape(str(path)).replace("'", "''")
    return f"read_parquet('{name}', hive_partitioning = false{', file_row_number = true' if with_lines else ''})"


def columns(con: duckdb.DuckDBPyConnection, path: Path, name: str) -> tuple[list[tuple[str, Any]], int]:
    """Read name and DuckDB type of every column, in order, and the number of rows.

    Raises:
        InputError: the file is not readable Parquet.
        StoreError: there is too little memory.
    """
    file = glob.escape(str(path))
    try:
        types = con.sql(f"select * from {table_function(path)}").types
        schema = con.execute("select name, num_children from parquet_schema($1)", [file]).fetchall()
        [(n_rows,)] = con.execute("select num_rows from parquet_file_metadata($1)", [file]).fetchall()
    except (duckdb.Error, MemoryError) as error:
        raise unreadable(error, path, name) from error
    names = _top_level(schema)
    if len(names) != len(types):
        raise InputError(
            f"{name}: its schema names {len(names)} columns, and {len(types)} can be read.",
            "a Parquet file with one schema",
            "write it again as CSV or Parquet",
        )
    return list(zip(names, types, strict=True)), int(n_rows)


def frame_columns(con: duckdb.DuckDBPyConnection, frame: ArrowFrame, name: str) -> list[tuple[str, Any]]:
    """Read name and DuckDB type of every column of a frame. All values of a type that DuckDB does not have are NULL.

    Raises:
        InputError: it has no columns.
    """
    if not frame.names:
        raise InputError(f"{name} holds no columns.", "a frame with columns", "name the columns of the frame")
    return list(zip(frame.names, frame.types(con), strict=True))


def leaves(name: str, type_: Any) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Yield path, DuckDB type and places (from 1) of each value inside the objects of a column: `photo.id`."""
    waiting: list[tuple[str, Any, tuple[int, ...]]] = [(name, type_, ())]
    while waiting:
        path, at, places = waiting.pop()
        if at.id != "struct":
            yield path, str(at), places
        elif len(places) < _DEEPEST:
            inside = [(f"{path}.{child}", inner, (*places, n)) for n, (child, inner) in enumerate(at.children, 1)]
            waiting.extend(reversed(inside))


def first_values(
    con: duckdb.DuckDBPyConnection, scanned: Scanned, n: int, values: Sequence[tuple[str, tuple[int, ...]]]
) -> list[list[str]]:
    """The first values of some columns, as text; empty if they cannot be read.

    Args:
        con: a connection.
        scanned: the file or frame.
        n: number of its columns.
        values: DuckDB type of each, and its place: number of the column, then places inside it.
    """
    names = ", ".join(f"f{at}" for at in range(n))
    texts = ", ".join(shown(type_, extract(f"f{at}", tuple(inside))) for type_, (at, *inside) in values)
    try:
        rows = con.execute(f"select {texts} from {table_function(scanned)} as given({names}) limit 200").fetchall()
    except duckdb.Error as error:
        if is_memory_error(error):
            raise
        return [[] for _ in values]
    return [[text for text in column if text is not None] for column in zip(*rows, strict=True)] or [[] for _ in values]


def extract(field: str, places: tuple[int, ...]) -> str:
    """The expression of a value inside the objects of a column."""
    for place in places:
        field = f"struct_extract_at({field}, {place})"
    return field


def uuids(
    con: duckdb.DuckDBPyConnection, scanned: Scanned, n: int, number: int, places: tuple[int, ...]
) -> Uuids | None:
    """Whether a column of bytes holds UUIDs of 16 bytes: some that cannot be text, because of control characters or as
    they are not UTF-8. `all`: every value has 16 bytes.

    Args:
        con: a connection.
        scanned: the file or frame.
        n: number of its columns.
        number: number of the column, from 0.
        places: places of the value inside it.
    """
    names = ", ".join(f"f{at}" for at in range(n))
    try:
        [(some, every)] = con.execute(
            f"""
            select coalesce(bool_or(is_long and is_odd), false), coalesce(bool_and(is_long), false)
            from (
                select octet_length(v) = 16 as is_long,
                    coalesce(regexp_matches(try(decode(v)), {_CONTROL}), true) as is_odd
                from (select {extract(f"f{number}", places)} as v from {table_function(scanned)} as given({names}))
                where v is not null
            )
            """
        ).fetchall()
    except duckdb.Error as error:
        if is_memory_error(error):
            raise
        return None  # The error comes again when the rows are read.
    return None if not some else "all" if every else "some"


def unreadable(error: BaseException, path: Path, name: str) -> PhotogenicError:
    """Make the error of a Parquet file that cannot be opened."""
    text = _first_line(error)
    if is_memory_error(error):
        return memory_error(error, name)
    if "at least one non-root column" in text:
        return InputError(f"{name} holds no columns.", "a Parquet file with columns", "write the file again")
    if any(sign in text for sign in _UNSUPPORTED):
        return InputError(
            f"{name} cannot be read: {text}",
            "Parquet without encryption, in encodings and codecs that DuckDB supports",
            "write it again, as plain Parquet or CSV",
        )
    if _is_cut(path):
        return InputError(
            f"{name} begins as a Parquet file, but cannot be read, as its end is missing: {text}",
            "a complete Parquet file; this one was cut short",
            f"copy it again, or ls -l {shell_quoted(name)}",
        )
    return InputError(
        f"{name} begins as a Parquet file, but cannot be read: {text}",
        "a valid Parquet file; this one may be damaged",
        "copy it again, or write it again",
    )


def damaged(error: BaseException, name: str) -> PhotogenicError:
    """Make the error of a file that cannot be read to its end."""
    text = _first_line(error)
    if is_memory_error(error):
        return memory_error(error, name)
    if any(sign in text for sign in _UNSUPPORTED):
        return InputError(
            f"{name} cannot be read to its end: {text}",
            "encodings and codecs that DuckDB supports; nothing of it was taken in",
            "write it again, as plain Parquet or CSV",
        )
    return InputError(
        f"{name} cannot be read to its end: {text}",
        "a complete file. This one was cut short or damaged; nothing of it was taken in",
        "copy it again",
    )


def _top_level(schema: list[tuple[str, int | None]]) -> list[str]:
    """The names of the top-level columns of a schema that lists every node before its children."""
    names, at = list[str](), 1
    while at < len(schema):
        names.append(schema[at][0])
        left = 1
        while left:
            left += (schema[at][1] or 0) - 1
            at += 1
    return names


def _is_cut(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) < 12:
            return True
        file.seek(-4, os.SEEK_END)
        return file.read() not in {b"PAR1", b"PARE"}


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
