"""Files before a row of them is read: which ones, of what format, and which of their columns are ours.

Everything that can be known to fail is found here, before the first write: a missing file, an empty glob,
an unknown format, a missing column, a Parquet column of a type that cannot mean what is asked of it.
"""

from __future__ import annotations

import glob
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ingest.columns import bind, split_header
from ingest.records import Records
from ingest.streams import Compression, open_text
from ingest.tables import Column, Table
from ingest.values import readable
from warehouse import InputError

__all__ = ["Field", "Source", "find", "look"]

Format = Literal["csv", "ndjson", "parquet"]

_HEAD = 1 << 20
_TEXT_SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "ndjson",
}
_FORMATS = "CSV or TSV (.csv, .tsv, .txt), NDJSON (.ndjson, .jsonl, .json), Parquet; text also as .gz or .zst"


@dataclass(frozen=True, slots=True)
class Field:
    """A column of the file: its name there, and its DuckDB type (VARCHAR in text files)."""

    name: str
    type: str = "VARCHAR"


@dataclass(frozen=True, slots=True)
class Source:
    """A file that can be read.

    Attributes:
        path: the file.
        table: what its rows are.
        format: by content, else by name.
        fields: all its columns.
        bound: ours -> number of the field, from 0; optional columns may be absent.
        mapping: as given.
        compression: of text.
        separator: of CSV.
        header_line: of CSV, from 1.
        encoding: None: UTF-8, or by byte order mark.
        n_rows: of Parquet, by its own metadata.
    """

    path: Path
    table: Table
    format: Format
    fields: tuple[Field, ...]
    bound: Mapping[str, int]
    mapping: Mapping[str, str]
    compression: Compression | None = None
    separator: str = ","
    header_line: int = 0
    encoding: str | None = None
    n_rows: int | None = None

    @property
    def columns(self) -> tuple[Column, ...]:
        """Ours that the file has, in our order."""
        return tuple(column for column in self.table.columns if column.name in self.bound)

    @property
    def ignored(self) -> tuple[str, ...]:
        """Names of the file's columns that are not ours."""
        used = set(self.bound.values())
        return tuple(field.name for number, field in enumerate(self.fields) if number not in used)

    def digest(self) -> str:
        """SHA-256 of the bytes."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def ingest_id(self, digest: str) -> str:
        """What makes the same file the same: kind, content and mapping."""
        text = json.dumps([self.table.kind, digest, sorted(self.mapping.items())])
        return hashlib.sha256(text.encode()).hexdigest()

    def state(self) -> tuple[int, int]:
        """Size and time of change: another one than before the reading means that someone writes to it."""
        stat = self.path.stat()
        return stat.st_size, stat.st_mtime_ns


def find(sources: Sequence[str | Path]) -> list[Path]:
    """The files that are meant: a name that exists is that file, any other may be a glob; each file once.

    Raises:
        InputError: nothing is there.
    """
    if not sources:
        raise InputError("No file was named.", "one or more files or globs", "features ingest --help")
    found: dict[Path, None] = {}
    for source in sources:
        path = Path(source)
        if path.is_dir():
            raise InputError(f"{path} is a folder.", "files, or a glob", f"'{path}/*.parquet'")
        matches = [path] if path.exists() else [Path(name) for name in sorted(glob.glob(str(source), recursive=True))]  # noqa: PTH207
        files = [match for match in matches if match.is_file()]
        if not files:
            what = "No file matches" if glob.has_magic(str(source)) else "There is no file"
            raise InputError(f"{what} {str(source)!r}.", "an existing file", f"ls {path.parent}")
        found.update(dict.fromkeys(files))
    return list(found)


def look(path: Path, table: Table, mapping: Mapping[str, str]) -> Source:
    """Look at a file's beginning.

    Raises:
        InputError: it cannot be read as rows of this table.
    """
    for ours in mapping:
        table.column(ours)
    try:
        with path.open("rb") as file:
            magic = file.read(16)
        if magic.startswith(b"PAR1"):
            return _look_at_parquet(path, table, mapping)
        return _look_at_text(path, magic, table, mapping)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error}.", "a complete, readable file", f"ls -l {path}") from error


def _look_at_parquet(path: Path, table: Table, mapping: Mapping[str, str]) -> Source:
    import duckdb

    with duckdb.connect() as con:
        try:
            described = con.execute(
                "describe select * from read_parquet($1, hive_partitioning = false)", [glob.escape(str(path))]
            ).fetchall()
            [(n_rows,)] = con.execute(
                "select num_rows from parquet_file_metadata($1)", [glob.escape(str(path))]
            ).fetchall()
        except duckdb.Error as error:
            raise InputError(
                f"{path} begins as a Parquet file, but cannot be read: {_first_line(error)}",
                "a complete Parquet file; this one may have been cut short",
                "copy it again",
            ) from error
    fields = tuple(Field(name, type_) for name, type_, *_ in described)
    bound = bind(path, table, [field.name for field in fields], mapping)
    for ours, number in bound.items():
        column, field = table.column(ours), fields[number]
        if not readable(column.type, field.type):
            raise InputError(
                f"{path}: column {field.name!r} is {field.type}, which is no {column.type} for {ours}.",
                f"a type that can be read as {column.type}",
                f"cast it when the file is written, or name another column: --map {ours}=THEIRS",
            )
    return Source(path, table, "parquet", fields, bound, mapping, n_rows=int(n_rows))


def _look_at_text(path: Path, magic: bytes, table: Table, mapping: Mapping[str, str]) -> Source:
    compression: Compression | None = None
    if magic.startswith(b"\x1f\x8b"):
        compression = "gzip"
    elif magic.startswith(b"\x28\xb5\x2f\xfd"):
        compression = "zstd"
    head = _head(path, compression)
    if not head.strip():
        raise InputError(f"{path} is empty.", "a file with a header or rows", f"ls -l {path}")
    format_ = _text_format(path, head, compression)
    if format_ == "ndjson":
        names = _keys(path, compression)
        return Source(
            path, table, "ndjson", tuple(map(Field, names)), bind(path, table, names, mapping), mapping, compression
        )
    lines = re.split("\r\n|\r|\n", head)
    header_line = next(number for number, line in enumerate(lines) if line)
    separator, names = split_header(path, lines[header_line], table, mapping)
    bound = bind(path, table, names, mapping)
    fields = tuple(map(Field, names))
    return Source(path, table, "csv", fields, bound, mapping, compression, separator, header_line + 1)


def _head(path: Path, compression: Compression | None) -> str:
    """The first megabyte as text, up to a line's end; a byte that is no UTF-8 is taken as Latin-1."""
    stream = open_text(path, compression)
    try:
        data, more = b"", b"-"
        while more and len(data) <= _HEAD:
            more = stream.read(_HEAD)
            data += more
    finally:
        stream.close()
    if more:
        data = data[: max(data.rfind(b"\n"), data.rfind(b"\r")) + 1] or data[:_HEAD]
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _text_format(path: Path, head: str, compression: Compression | None) -> Format:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if compression and suffixes and suffixes[-1] in {".gz", ".zst", ".zstd"}:
        suffixes.pop()
    format_ = _TEXT_SUFFIXES.get(suffixes[-1] if suffixes else "")
    begins = head.lstrip()[0]
    if begins == "[" and format_ != "csv":
        raise InputError(
            f"{path} is a JSON array.", "NDJSON: one object a line", f"jq -c '.[]' {path} > {path.stem}.ndjson"
        )
    if begins == "{":
        return "ndjson"
    if format_ is None:
        raise InputError(f"{path} is in no format that we know.", _FORMATS, "export it as CSV or Parquet")
    return format_


def _keys(path: Path, compression: Compression | None) -> list[str]:
    """The keys of all objects: one that only a late row has must not be overlooked."""
    import duckdb

    records = Records(open_text(path, compression))
    with duckdb.connect() as con:
        con.register("records", records.reader())
        try:
            found = con.execute(
                """
                select key
                from (
                    select line, unnest(case when try(json_type(f0)) = 'OBJECT' then json_keys(f0) end) as key
                    from records
                )
                group by key
                order by min(line), key
                """
            ).fetchall()
        except duckdb.Error as error:
            raise records.failure or error from error
    if not found:
        raise InputError(f"{path} holds no JSON object.", "NDJSON: one object a line", f"head -n 3 {path}")
    return [key for (key,) in found]


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
