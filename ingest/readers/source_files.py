"""Files before a row of them is read: of what format they are, and which of their columns are ours.

Everything that can be known to fail is found here, before the first write: an unknown format, a missing column,
a Parquet column of a type that cannot mean what is asked of it, an object where an id is needed.
"""

from __future__ import annotations

import codecs
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

from photogenic.ingest.readers import ndjson_objects, parquet_schema
from photogenic.ingest.readers.input_files import Given, openable, pasted
from photogenic.ingest.readers.memory_errors import shortage_told
from photogenic.ingest.readers.text_streams import Compression, open_text
from photogenic.ingest.tabular.column_mapping import bind, read_header
from photogenic.ingest.tabular.parsing import readable
from photogenic.ingest.tabular.schemas import Column, Table
from photogenic.warehouse import InputError

__all__ = ["Field", "Source", "look"]

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
"""Parquet types of columns of nothing but NULL, and as what they are read: pandas and polars write them for None."""


@dataclass(frozen=True, slots=True)
class Field:
    """A column of the file.

    Attributes:
        name: in the file.
        type: of DuckDB, as which it is read; VARCHAR in text files.
        is_null: nothing but NULL can be in it.
    """

    name: str
    type: str = "VARCHAR"
    is_null: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """A file that can be read.

    Attributes:
        path: what is opened.
        name: what is printed and stored.
        table: what its rows are.
        format: by content, else by name.
        fields: all its columns.
        bound: ours -> number of the field, from 0; optional columns may be absent.
        mapping: as given.
        compression: of text.
        separator: of CSV.
        header_line: of CSV, from 1: the last line of the header.
        encoding: None: UTF-8, or by byte order mark.
        n_rows: of Parquet, by its own metadata.
        repeats_keys: an object of NDJSON has the same key twice.
        folder: what the paths of pictures are relative to, unless said otherwise.
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
    encoding: str | None = None
    n_rows: int | None = None
    repeats_keys: bool = False
    folder: Path = Path()

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


def look(given: Given, table: Table, mapping: Mapping[str, str]) -> Source:
    """Look at a file's beginning.

    Raises:
        InputError: it cannot be read as rows of this table.
        StoreError: there is too little memory to look.
    """
    for ours in mapping:
        table.column(ours)
    try:
        with shortage_told(given.name), openable(given.path) as path:
            with path.open("rb") as file:
                magic = file.read(16)
            if magic.startswith((b"PAR1", b"PARE")):
                return _look_at_parquet(given, path, table, mapping)
            return _look_at_text(given, path, magic, table, mapping)
    except OSError as error:
        raise InputError(
            f"{given.name} cannot be read: {error}.", "a complete, readable file", f"ls -l {pasted(given.path)}"
        ) from error


def _look_at_parquet(given: Given, path: Path, table: Table, mapping: Mapping[str, str]) -> Source:
    columns, n_rows = parquet_schema.columns(path, given.name)
    fields = tuple(Field(name, _NOTHING.get(type_, type_), type_ in _NOTHING) for name, type_ in columns)
    nested = {field.name for field in fields if not any(readable(column.type, field.type) for column in table.columns)}
    bound = bind(given.name, table, [field.name for field in fields], mapping, nested)
    for ours, number in bound.items():
        column, field = table.column(ours), fields[number]
        if not readable(column.type, field.type):
            raise InputError(
                f"{given.name}: column {field.name!r} is {field.type}, which is no {column.type} for {ours}.",
                f"a type that can be read as {column.type}",
                f"cast it when the file is written, or name another column: --map {ours}=THEIRS",
            )
    return Source(given.path, given.name, table, "parquet", fields, bound, mapping, n_rows=n_rows, folder=given.folder)


def _look_at_text(given: Given, path: Path, magic: bytes, table: Table, mapping: Mapping[str, str]) -> Source:
    compression: Compression | None = None
    if magic.startswith(b"\x1f\x8b"):
        compression = "gzip"
    elif magic.startswith(b"\x28\xb5\x2f\xfd"):
        compression = "zstd"
    head = _head(given.name, path, magic, compression)
    if not head.strip():
        remedy = "features ingest users - < USERS.csv" if given.name == "stdin" else f"ls -l {pasted(given.path)}"
        raise InputError(f"{given.name} is empty.", "a file with a header or rows", remedy)
    if _text_format(given, head, compression) == "ndjson":
        ndjson_objects.refuse_other_json(given, head)
        keys = ndjson_objects.keys_of(given, path, compression)
        nested = ndjson_objects.nested_keys(head)
        bound = bind(given.name, table, keys.names, mapping, nested)
        ndjson_objects.refuse_nested(given.name, table, {ours: keys.names[at] for ours, at in bound.items()}, nested)
        fields = tuple(map(Field, keys.names))
        return Source(
            *(given.path, given.name, table, "ndjson", fields, bound, mapping, compression),
            repeats_keys=keys.repeat,
            folder=given.folder,
        )
    header = read_header(given.name, head, table, mapping)
    bound = bind(given.name, table, header.names, mapping)
    fields = tuple(map(Field, header.names))
    return Source(
        *(given.path, given.name, table, "csv", fields, bound, mapping, compression, header.separator, header.line),
        folder=given.folder,
    )


def _head(name: str, path: Path, magic: bytes, compression: Compression | None) -> str:
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
    if encoding := _wide(magic) or _wide(data):
        raise InputError(
            f"{name} is {encoding}.",
            "UTF-8, Latin-1, or UTF-16 that begins with a byte order mark",
            f"iconv -f {encoding} -t UTF-8",
        )
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _wide(data: bytes) -> str | None:
    """The encoding of text with two or four bytes a character that does not say so by a mark that we heed."""
    start = data[:64]
    if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, b"\0\0\0")) or start[1:4] == b"\0\0\0":
        return "UTF-32"
    for encoding, nothing, something in (("UTF-16LE", start[1::2], start[::2]), ("UTF-16BE", start[::2], start[1::2])):
        if len(start) > 3 and not any(nothing) and all(something):
            return encoding
    return None


def _text_format(given: Given, head: str, compression: Compression | None) -> Format:
    suffixes = [suffix.lower() for suffix in PurePath(given.name).suffixes]
    if compression and suffixes and suffixes[-1] in {".gz", ".zst", ".zstd"}:
        suffixes.pop()
    format_ = _TEXT_SUFFIXES.get(suffixes[-1] if suffixes else "")
    begins = head.lstrip()[0]
    if begins == "[" and format_ != "csv":
        return "ndjson"
    if begins == "{":
        return "ndjson"
    if format_ is None and given.is_stream and "\0" not in head:
        return "csv"
    if format_ is None:
        raise InputError(f"{given.name} is in no format that we know.", _FORMATS, "export it as CSV or Parquet")
    return format_
