"""Inspect files before a row is read: their format, and which of their columns we need.

Every error that can be found early is found here, before the first write: an unknown format, a missing column, a
Parquet column of an unsuitable type, an object where an id is needed.
"""

from __future__ import annotations

import codecs
import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Literal

from photogenic.ingest.readers import ndjson_objects, parquet_schema
from photogenic.ingest.readers.input_files import InputFile, openable, shell_quoted
from photogenic.ingest.readers.memory_errors import memory_errors_as_ours
from photogenic.ingest.readers.text_streams import Compression, open_text
from photogenic.ingest.tabular.column_mapping import bind, read_header
from photogenic.ingest.tabular.parsing import readable
from photogenic.ingest.tabular.schemas import Column, Table
from photogenic.warehouse import InputError
from photogenic.warehouse.storage.layout import sha256_of

__all__ = ["Field", "Source", "inspect_source"]

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
_NOTHING = {'"NULL"': "VARCHAR", '"NULL"[]': "VARCHAR[]"}
"""Types of Parquet columns that have only NULL, and the types they are read as: pandas and polars write None so."""


@dataclass(frozen=True, slots=True)
class Field:
    """A column of the file.

    Attributes:
        name: name in the file.
        type: DuckDB type as which it is read; VARCHAR in text files.
        is_null: whether all its values are NULL.
    """

    name: str
    type: str = "VARCHAR"
    is_null: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """A file that can be read.

    Attributes:
        path: path to open.
        name: name to print and store.
        table: kind of its rows.
        format: format by content, else by name.
        fields: all columns of the file.
        bound: our column name -> number of the field, from 0; optional columns may be absent.
        mapping: our column name -> theirs, as given.
        arrived_at: arrival of all rows; None: `ingested_at` of each, else the time of the load.
        retract: whether every row takes back what it names.
        compression: compression of a text file.
        separator: separator of a CSV.
        header_line: last line of a CSV's header, from 1.
        encoding: encoding of a text file. None: UTF-8, or by byte order mark.
        n_rows: number of rows of a Parquet file, from its metadata.
        repeats_keys: whether an NDJSON object has the same key twice.
        folder: folder that the paths of pictures are relative to, unless another one is given.
    """

    path: Path
    name: str
    table: Table
    format: Format
    fields: tuple[Field, ...]
    bound: Mapping[str, int]
    mapping: Mapping[str, str]
    compression: Compression | None = None
    separator: str = ","
    header_line: int = 0
    arrived_at: dt.datetime | None = None
    retract: bool = False
    encoding: str | None = None
    n_rows: int | None = None
    repeats_keys: bool = False
    folder: Path = Path()

    @property
    def columns(self) -> tuple[Column, ...]:
        """Our columns that the file has, in our order."""
        return tuple(column for column in self.table.columns if column.name in self.bound)

    @property
    def ignored(self) -> tuple[str, ...]:
        """Names of the file's columns that we do not read."""
        used = set(self.bound.values())
        return tuple(field.name for number, field in enumerate(self.fields) if number not in used)

    def digest(self) -> str:
        """SHA-256 of the file's bytes."""
        return sha256_of(self.path)

    def ingest_id(self, digest: str) -> str:
        """Id of the ingest: equal for files of the same kind, content, mapping, arrival and purpose."""
        parts: list[object] = [self.table.kind, digest, sorted(self.mapping.items())]
        if self.arrived_at is not None:
            parts.append({"arrived_at": self.arrived_at.isoformat()})
        if self.retract:
            parts.append("retract")
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def state(self) -> tuple[int, int]:
        """Size and modification time. If they change while the file is read, another process writes to it."""
        stat = self.path.stat()
        return stat.st_size, stat.st_mtime_ns


def inspect_source(
    file: InputFile,
    table: Table,
    mapping: Mapping[str, str],
    *,
    arrived_at: dt.datetime | None = None,
    retract: bool = False,
) -> Source:
    """Inspect the beginning of a file.

    Args:
        file: the file.
        table: kind of its rows.
        mapping: our column name -> theirs.
        arrived_at: arrival of all rows; then a column `ingested_at` is not read.
        retract: whether every row takes back what it names.

    Raises:
        InputError: it cannot be read as rows of this table.
        StoreError: there is too little memory.
    """
    for ours in mapping:
        table.column(ours)
    try:
        with memory_errors_as_ours(file.name), openable(file.path) as path:
            with path.open("rb") as opened:
                magic = opened.read(16)
            if magic.startswith((b"PAR1", b"PARE")):
                source = _inspect_parquet(file, path, table, mapping, retract=retract)
            else:
                source = _inspect_text(file, path, magic, table, mapping, retract=retract)
    except OSError as error:
        raise InputError(
            f"{file.name} cannot be read: {error}.", "a complete, readable file", f"ls -l {shell_quoted(file.path)}"
        ) from error
    bound = {ours: at for ours, at in source.bound.items() if ours != "ingested_at" or arrived_at is None}
    return replace(source, bound=bound, arrived_at=arrived_at, retract=retract)


def _inspect_parquet(file: InputFile, path: Path, table: Table, mapping: Mapping[str, str], *, retract: bool) -> Source:
    columns, n_rows = parquet_schema.columns(path, file.name)
    fields = tuple(Field(name, _NOTHING.get(type_, type_), type_ in _NOTHING) for name, type_ in columns)
    nested = {field.name for field in fields if not any(readable(column.type, field.type) for column in table.columns)}
    bound = bind(file.name, table, [field.name for field in fields], mapping, nested, retract=retract)
    for ours, number in bound.items():
        column, field = table.column(ours), fields[number]
        if not readable(column.type, field.type):
            raise InputError(
                f"{file.name}: column {field.name!r} is {field.type}, not {column.type} for {ours}.",
                f"a type that can be read as {column.type}",
                f"cast it when the file is written, or name another column: --map {ours}=THEIRS",
            )
    return Source(file.path, file.name, table, "parquet", fields, bound, mapping, n_rows=n_rows, folder=file.folder)


def _inspect_text(
    file: InputFile, path: Path, magic: bytes, table: Table, mapping: Mapping[str, str], *, retract: bool
) -> Source:
    compression: Compression | None = None
    if magic.startswith(b"\x1f\x8b"):
        compression = "gzip"
    elif magic.startswith(b"\x28\xb5\x2f\xfd"):
        compression = "zstd"
    head = _head(file.name, path, magic, compression)
    if not head.strip():
        remedy = "features ingest users - < USERS.csv" if file.name == "stdin" else f"ls -l {shell_quoted(file.path)}"
        raise InputError(f"{file.name} is empty.", "a file with a header or rows", remedy)
    if _text_format(file, head, compression) == "ndjson":
        ndjson_objects.refuse_other_json(file, head)
        keys = ndjson_objects.read_keys(file, path, compression)
        nested = ndjson_objects.nested_keys(head)
        bound = bind(file.name, table, keys.names, mapping, nested, retract=retract)
        ndjson_objects.refuse_nested(file.name, table, {ours: keys.names[at] for ours, at in bound.items()}, nested)
        fields = tuple(map(Field, keys.names))
        return Source(
            *(file.path, file.name, table, "ndjson", fields, bound, mapping, compression),
            repeats_keys=keys.repeat,
            folder=file.folder,
        )
    header = read_header(file.name, head, table, mapping)
    bound = bind(file.name, table, header.names, mapping, retract=retract)
    fields = tuple(map(Field, header.names))
    return Source(
        *(file.path, file.name, table, "csv", fields, bound, mapping, compression, header.separator, header.line),
        folder=file.folder,
    )


def _head(name: str, path: Path, magic: bytes, compression: Compression | None) -> str:
    """Read the first megabyte as text, up to a line's end. If it is not UTF-8, it is read as Latin-1."""
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
    if encoding := _unmarked_encoding(magic) or _unmarked_encoding(data):
        raise InputError(
            f"{name} is {encoding}.",
            "UTF-8, Latin-1, or UTF-16 that begins with a byte order mark",
            f"iconv -f {encoding} -t UTF-8",
        )
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _unmarked_encoding(data: bytes) -> str | None:
    """The encoding of text with two or four bytes per character and without a byte order mark that we read."""
    start = data[:64]
    if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, b"\0\0\0")) or start[1:4] == b"\0\0\0":
        return "UTF-32"
    for encoding, nothing, something in (("UTF-16LE", start[1::2], start[::2]), ("UTF-16BE", start[::2], start[1::2])):
        if len(start) > 3 and not any(nothing) and all(something):
            return encoding
    return None


def _text_format(file: InputFile, head: str, compression: Compression | None) -> Format:
    suffixes = [suffix.lower() for suffix in PurePath(file.name).suffixes]
    if compression and suffixes and suffixes[-1] in {".gz", ".zst", ".zstd"}:
        suffixes.pop()
    format_ = _TEXT_SUFFIXES.get(suffixes[-1] if suffixes else "")
    begins = head.lstrip()[0]
    if begins == "[" and format_ != "csv":
        return "ndjson"
    if begins == "{":
        return "ndjson"
    if format_ is None and file.is_stream and "\0" not in head:
        return "csv"
    if format_ is None:
        raise InputError(f"{file.name} has an unknown format.", _FORMATS, "export it as CSV or Parquet")
    return format_
