"""Open frames and files as tables that DuckDB scans without access to files.

| given | scanned as |
|---|---|
| polars, pandas, Arrow, `__arrow_c_stream__` | a table of Arrow in memory; polars and Arrow without a copy |
| list of dictionaries | a table of Arrow, with the types of its values |
| Parquet | the file where it lies, only the columns and row groups that a query needs |
| CSV, NDJSON, Arrow, Avro, ORC, spreadsheet | a copy as Parquet in the temporary folder, as long as the query |
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from photogenic._lazy import duckdb, pa
from photogenic.ingest.readers.conversion import convert
from photogenic.ingest.readers.formats import FORMATS, Format, by_content, text_by_name
from photogenic.ingest.readers.input_files import InputFile, Spool, find, openable, printable_name
from photogenic.ingest.sources.pandas_frames import OtherTypeError, PandasRows, is_pandas
from photogenic.warehouse import InputError, Settings
from photogenic.warehouse.given_tables.joined import GivenTable

__all__ = ["opened_tables", "table_files"]

_PAIR = re.compile(r"(?P<name>[^=/\\.]+)=(?P<path>.+)", re.DOTALL)
_COMPRESSED = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"))
_KINDS = "a frame of polars, pandas or Arrow, a list of dictionaries, or the path of a file"

_REMEDY = "cast the column, or leave it out"


def table_files(given: Sequence[str]) -> dict[str, str]:
    """Return the files of `name=file`, by name.

    Raises:
        InputError: a text has no name, or two have the same.
    """
    found: dict[str, str] = {}
    for text in given:
        pair = _PAIR.fullmatch(text)
        if pair is None:
            raise InputError(f"--table is {text!r}.", "NAME=FILE", "--table meta=meta.parquet")
        if pair["name"] in found:
            raise InputError(f"Two tables are called {pair['name']}.", "a name for each", "--table meta=meta.parquet")
        found[pair["name"]] = pair["path"]
    return found


@contextlib.contextmanager
def opened_tables(frames: Mapping[str, Any] | None, settings: Settings) -> Iterator[list[GivenTable]]:
    """Open frames and files, and close the files afterwards.

    Args:
        frames: frames and paths of files, by name.
        settings: limits for memory and threads.

    Raises:
        InputError: one is no table, or cannot be read.
        MissingPartError: the package that reads a file is not installed.
    """
    with contextlib.ExitStack() as held:
        spool = held.enter_context(Spool(Path(tempfile.gettempdir())))
        found = []
        for name, given in (frames or {}).items():
            if not isinstance(name, str):
                raise InputError(f"A table is called {name!r}.", "a text", "frames={'meta': df}")
            if isinstance(given, str | os.PathLike):
                path = Path(given).expanduser()
                found.append(GivenTable(name, printable_name(path), _of_file(path, spool, held, settings)))
            else:
                found.append(GivenTable(name, _kind(given), _of_frame(name, given)))
        yield found


def _kind(given: Any) -> str:
    return f"{type(given).__module__.partition('.')[0]}.{type(given).__name__}"


def _of_frame(name: str, given: Any) -> Any:
    package, kind = type(given).__module__.partition(".")[0], type(given).__name__
    try:
        if package == "polars" and kind == "LazyFrame":
            given = given.collect()
        if is_pandas(given):
            return _of_pandas(name, given)
        if isinstance(given, list | tuple):
            if not all(isinstance(row, Mapping) for row in given):
                raise InputError(f"{name} is a list of other things than dictionaries.", _KINDS, "[{'photo_id': 'a'}]")
            columns = dict.fromkeys(key for row in given for key in row)
            if not columns:
                raise InputError(f"{name} is a list without a column.", "a list of dictionaries with keys", "")
            return pa.table({str(key): [row.get(key) for row in given] for key in columns})
        if hasattr(given, "to_batches") and hasattr(given, "scanner"):
            return given  # a dataset of Arrow, which is read where it lies
        if package == "polars" and any(str(kind) == "Object" for kind in getattr(given, "dtypes", ())):
            raise InputError(f"{name} has a column of Python objects.", "columns with values of one type each", _REMEDY)
        if hasattr(given, "__arrow_c_stream__"):
            table = pa.table(given)
            if package != "polars":  # which holds no text that is not UTF-8; it would make the database unusable
                table.validate(full=True)
            return table
    except (pa.ArrowException, TypeError, ValueError, OverflowError, UnicodeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{name} cannot be read as a table: {str(error).partition(chr(10))[0]}",
            "columns with values of one type each",
            _REMEDY,
        ) from error
    raise InputError(f"{name} is a {_kind(given)}.", _KINDS, f"frames={{{name!r}: df}}")


def _of_pandas(name: str, given: Any) -> pa.Table:
    rows = PandasRows(given, name)
    while True:
        try:
            return pa.Table.from_batches(rows.blocks(), rows.schema)
        except OtherTypeError:  # now the column is text
            continue


def _of_file(path: Path, spool: Spool, held: contextlib.ExitStack, settings: Settings) -> Any:
    files = find([path], spool)
    paths = [_as_parquet(file, spool, held, settings) for file in files]
    return _dataset(paths, printable_name(path))


def _as_parquet(file: InputFile, spool: Spool, held: contextlib.ExitStack, settings: Settings) -> Path:
    """Return the path of the file, or of a copy as Parquet."""
    try:
        with file.path.open("rb") as opened:
            magic = opened.read(16)
    except OSError as error:
        raise InputError(f"{file.name} cannot be read: {error.strerror}.", FORMATS, "") from error
    path, format_ = file.path, by_content(magic, file.name)
    if format_ == "parquet":
        return held.enter_context(openable(path))
    text: Format | None = None
    if format_ is not None:
        copy = convert(path, file.name, format_, spool)
        if copy.format == "parquet":
            return copy.path
        path, text, magic = copy.path, copy.format, b""
    compression = next((kind for begin, kind in _COMPRESSED if magic.startswith(begin)), None)
    text = text or text_by_name(file.name, compressed=compression is not None)
    if text not in ("csv", "ndjson"):
        raise InputError(f"The format of {file.name} is not known.", FORMATS, f"--table meta={file.name}.csv")
    function = "read_csv" if text == "csv" else "read_json"
    with openable(path) as plain, duckdb.connect(":memory:") as con:
        con.execute(f"set memory_limit = '{settings.memory_limit}'")
        con.execute(f"set threads = {settings.threads}")
        con.execute("set enable_progress_bar = false")
        con.execute("set timezone = 'UTC'")
        try:
            reader = con.sql(
                f"from {function}($1, compression = $2)", params=[str(plain), compression or "none"]
            ).to_arrow_reader(65_536)
            return spool.table(reader, file.name)
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise InputError(
                f"{file.name} cannot be read: {str(error).partition(chr(10))[0]}",
                f"a whole file of {'CSV' if text == 'csv' else 'NDJSON or JSON'}",
                f"duckdb -c \"from '{file.name}'\"",
            ) from error


def _dataset(paths: list[Path], name: str) -> Any:
    """Return Parquet files as one dataset, which reads nothing but what a query needs."""
    try:
        parts = [pa.dataset.dataset(str(path), format="parquet") for path in paths]
        schema = pa.unify_schemas([part.schema for part in parts], promote_options="permissive")
        if len(parts) == 1:
            return parts[0]
        return pa.dataset.dataset([str(path) for path in paths], schema=schema, format="parquet")
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{name} cannot be read: {str(error).partition(chr(10))[0]}", "whole files of Parquet", f"ls -l {name}"
        ) from error
