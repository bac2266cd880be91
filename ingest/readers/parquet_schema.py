"""A Parquet file before its rows are read: its columns, named as the file names them, and why it cannot be read.

DuckDB takes names without regard to case, and renames the second of two that differ in nothing else: `sender_id` behind
`Sender_ID` would be `sender_id_1`. So the names come from the file's own schema, and columns are read by their place.
"""

from __future__ import annotations

import glob
import os
from pathlib import Path

from photogenic._lazy import duckdb
from photogenic.ingest.readers.input_files import pasted
from photogenic.ingest.readers.memory_errors import is_shortage, shortage
from photogenic.warehouse import InputError, PhotogenicError

__all__ = ["columns", "damaged", "table_function", "unreadable"]

_UNSUPPORTED = ("ncrypt", "nsupported", "ot supported", "ot implemented", "Unrecognized")


def table_function(path: Path, *, with_lines: bool = False) -> str:
    """What DuckDB reads the file by. Folders called `key=value` add no columns; lines are counted from 0."""
    name = glob.escape(str(path)).replace("'", "''")
    return f"read_parquet('{name}', hive_partitioning = false{', file_row_number = true' if with_lines else ''})"


def columns(path: Path, name: str) -> tuple[list[tuple[str, str]], int]:
    """Name and DuckDB type of every column, in order, and the number of rows.

    Raises:
        InputError: it is no Parquet file that can be read.
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
            "write it anew as CSV or Parquet",
        )
    return list(zip(names, types, strict=True)), int(n_rows)


def unreadable(error: BaseException, path: Path, name: str) -> PhotogenicError:
    """The error of a Parquet file that cannot be opened."""
    text = _first_line(error)
    if is_shortage(error):
        return shortage(error, name)
    if "at least one non-root column" in text:
        return InputError(f"{name} holds no columns.", "a Parquet file with columns", "write it anew")
    if any(sign in text for sign in _UNSUPPORTED):
        return InputError(
            f"{name} cannot be read: {text}",
            "Parquet without encryption, in encodings and codecs that DuckDB knows",
            "write it anew, as plain Parquet or CSV",
        )
    if _is_cut(path):
        return InputError(
            f"{name} begins as a Parquet file, but cannot be read, as its end is missing: {text}",
            "a complete Parquet file; this one was cut short",
            f"copy it again, or ls -l {pasted(name)}",
        )
    return InputError(
        f"{name} begins as a Parquet file, but cannot be read: {text}",
        "a sound Parquet file; this one may be damaged",
        "copy it again, or write it anew",
    )


def damaged(error: BaseException, name: str) -> PhotogenicError:
    """The error of a file that cannot be read to its end."""
    text = _first_line(error)
    if is_shortage(error):
        return shortage(error, name)
    if any(sign in text for sign in _UNSUPPORTED):
        return InputError(
            f"{name} cannot be read to its end: {text}",
            "encodings and codecs that DuckDB knows; nothing of it was taken in",
            "write it anew, as plain Parquet or CSV",
        )
    return InputError(
        f"{name} cannot be read to its end: {text}",
        "a complete file. This one was cut short or damaged; nothing of it was taken in",
        "copy it again",
    )


def _top_level(schema: list[tuple[str, int | None]]) -> list[str]:
    """The names of the columns in a schema that lists every node before its children."""
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
