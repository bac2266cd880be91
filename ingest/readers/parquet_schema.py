"""Inspect a Parquet file before its rows are read: its columns, by their names in the file, and why it is unreadable.

DuckDB ignores case in names, and renames the second of two that differ in case only: `sender_id` after `Sender_ID`
would be `sender_id_1`. So the names come from the file's own schema, and columns are read by position.
"""

from __future__ import annotations

import glob
import os
from pathlib import Path

from photogenic._lazy import duckdb
from photogenic.ingest.readers.input_files import shell_quoted
from photogenic.ingest.readers.memory_errors import memory_error
from photogenic.warehouse import InputError, PhotogenicError
from photogenic.warehouse.duckdb_store.error_mapping import is_memory_error

__all__ = ["columns", "damaged", "table_function", "unreadable"]

_UNSUPPORTED = ("ncrypt", "nsupported", "ot supported", "ot implemented", "Unrecognized")


def table_function(path: Path, *, with_lines: bool = False) -> str:
    """The table function that reads the file. Folders named `key=value` add no columns; lines count from 0."""
    name = glob.escape(str(path)).replace("'", "''")
    return f"read_parquet('{name}', hive_partitioning = false{', file_row_number = true' if with_lines else ''})"


def columns(path: Path, name: str) -> tuple[list[tuple[str, str]], int]:
    """Read name and DuckDB type of every column, in order, and the number of rows.

    Raises:
        InputError: the file is not readable Parquet.
        StoreError: there is too little memory.
    """
    file = glob.escape(str(path))
    try:
        with duckdb.connect() as con:
            types = [row[1] for row in con.execute(f"describe select * from {table_function(path)}").fetchall()]
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
