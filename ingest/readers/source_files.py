"""Inspect files before a row is read: their format, and which of their columns we need.

Every error that can be found early is found here, before the first write: an unknown format, a missing column, a
Parquet column of an unsuitable type, an object where an id is needed.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from photogenic._lazy import duckdb
from photogenic.ingest.readers import ndjson_objects, parquet_schema
from photogenic.ingest.readers.conversion import convert
from photogenic.ingest.readers.formats import FORMATS, Format, by_content, text_by_name
from photogenic.ingest.readers.input_files import InputFile, Spool, openable, shell_quoted
from photogenic.ingest.readers.memory_errors import memory_errors_as_ours
from photogenic.ingest.readers.message_records import MessageRecords, first_texts
from photogenic.ingest.readers.picture_field import picture_field
from photogenic.ingest.readers.text_records import Records
from photogenic.ingest.readers.text_streams import Compression, open_text, read_head
from photogenic.ingest.sources.arrow_frame import ArrowFrame
from photogenic.ingest.sources.positions import Position
from photogenic.ingest.tabular.column_mapping import bind, find, read_header, samples
from photogenic.ingest.tabular.mapping_file import FileMapping
from photogenic.ingest.tabular.parsing import readable
from photogenic.ingest.tabular.schemas import Column, Table
from photogenic.ingest.tabular.suggestions import Candidate, candidate_of_type, candidate_of_values, normalized
from photogenic.warehouse import InputError
from photogenic.warehouse.storage.layout import sha256_of

__all__ = ["Field", "Source", "inspect_sources"]

_NOTHING = {'"NULL"': "VARCHAR", '"NULL"[]': "VARCHAR[]"}
"""Types of Parquet columns that have only NULL, and the types they are read as: pandas and polars write None so."""


@dataclass(frozen=True, slots=True)
class Field:
    """A column of the file.

    Attributes:
        name: name in the file.
        type: DuckDB type as which it is read; VARCHAR in text files.
        is_null: whether all its values are NULL.
        keys: keys of its path in an object of NDJSON, if it lies inside other values; with `places`, in the JSON there.
        places: for a value inside a Parquet column: the number of the column, then the places in its objects, from 1.
        uuids: which of its values are UUIDs of 16 bytes.
        partition: value in the name of a folder, as a list of one; None: it is a column of the file.
    """

    name: str
    type: str = "VARCHAR"
    is_null: bool = False
    keys: tuple[str, ...] = ()
    places: tuple[int, ...] = ()
    uuids: parquet_schema.Uuids | None = None
    partition: tuple[str | None] | None = None

    @property
    def is_derived(self) -> bool:
        """Whether it is not a column of the file's top level."""
        return bool(self.keys or self.places or self.partition)

    @property
    def path(self) -> tuple[str, ...]:
        """The keys that lead to it in an object of NDJSON."""
        return self.keys or (self.name,)


@dataclass(frozen=True, slots=True)
class Source:
    """A file or frame that can be read.

    Attributes:
        path: path to open; of a frame, nothing lies there.
        name: name to print and store.
        table: kind of its rows.
        format: format by content, else by name.
        fields: all columns of the file; then values inside them that are mapped; then columns of the folders' names.
        bound: our column name -> number of the field, from 0; optional columns may be absent.
        mapping: mapping of columns and values, as given.
        arrived_at: arrival of all rows; None: `ingested_at` of each, else the time of the load.
        retract: whether every row takes back what it names.
        compression: compression of a text file.
        separator: separator of a CSV.
        header_line: last line of a CSV's header, from 1.
        encoding: encoding of a text file. None: UTF-8, or by byte order mark.
        n_rows: number of rows of a Parquet file, from its metadata, or of a frame.
        repeats_keys: whether an NDJSON object has the same key twice.
        folder: folder that the paths of pictures are relative to, unless another one is given.
        original: the file of another format, of which `path` is a copy that can be read.
        notes: what the account says besides the counts.
        positions: how far its source has been read once its rows are loaded.
        is_messages: whether it is a file of `readers.message_records`: the messages of a stream.
        frame: the rows, if they lie in memory.
        content: digest of the content, if it is not that of the bytes of the file.
        picture: number of the field with the bytes of pictures; None: there is none.
    """

    path: Path
    name: str
    table: Table
    format: Format
    fields: tuple[Field, ...]
    bound: Mapping[str, int]
    mapping: FileMapping
    compression: Compression | None = None
    separator: str = ","
    header_line: int = 0
    arrived_at: dt.datetime | None = None
    retract: bool = False
    encoding: str | None = None
    n_rows: int | None = None
    repeats_keys: bool = False
    folder: Path = Path()
    original: Path | None = None
    notes: tuple[str, ...] = ()
    positions: tuple[Position, ...] = ()
    is_messages: bool = False
    frame: ArrowFrame | None = None
    content: str | None = None
    picture: int | None = None

    @property
    def scanned(self) -> parquet_schema.Scanned:
        """What DuckDB scans by columns, if it is Parquet or a frame."""
        return self.frame or self.path

    @property
    def n_columns(self) -> int:
        """Number of columns of the file; its fields after these are derived."""
        return sum(not field.is_derived for field in self.fields)

    @property
    def columns(self) -> tuple[Column, ...]:
        """Our columns that the file has, in our order."""
        return tuple(column for column in self.table.columns if column.name in self.bound)

    @property
    def ignored(self) -> tuple[str, ...]:
        """Names of the file's columns that we do not read."""
        used = {*self.bound.values(), self.picture}
        return tuple(field.name for number, field in enumerate(self.fields) if number not in used)

    def digest(self) -> str:
        """SHA-256 of the file's bytes, or of the content of a frame or stream."""
        if self.frame is not None:
            return self.frame.digest()
        return self.content or sha256_of(self.original or self.path)

    def ingest_id(self, digest: str) -> str:
        """Id of the ingest: equal for the same kind, content, mapping, folder values, arrival and purpose.

        For messages of a stream, their offsets count too: a message may say again what another one said.
        """
        folders = [
            [ours, *field.partition]
            for ours, number in sorted(self.bound.items())
            if (field := self.fields[number]).partition is not None
        ]
        parts = [self.table.kind, digest, *self.mapping.key(), *([{"folders": folders}] if folders else [])]
        if self.arrived_at is not None:
            parts.append({"arrived_at": self.arrived_at.isoformat()})
        if self.retract:
            parts.append("retract")
        if self.is_messages:
            parts.append({"positions": [asdict(position) for position in self.positions]})
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def state(self) -> tuple[int, int]:
        """Size and modification time. If they change while the file is read, another process writes to it."""
        if self.frame is not None:
            return self.frame.state()
        stat = (self.original or self.path).stat()
        return stat.st_size, stat.st_mtime_ns


def inspect_sources(
    files: Sequence[InputFile],
    table: Table,
    mapping: FileMapping,
    spool: Spool,
    *,
    arrived_at: dt.datetime | None = None,
    retract: bool = False,
) -> list[Source]:
    """Inspect the beginning of each file.

    Args:
        files: the files.
        table: kind of their rows.
        mapping: mapping of their columns and values.
        spool: where files of other formats are converted.
        arrived_at: arrival of all rows; then a column `ingested_at` is not read.
        retract: whether every row takes back what it names.

    Raises:
        InputError: one cannot be read as rows of this table.
        MissingPartError: a package that reads a format is not installed.
        StoreError: there is too little memory, or no room for a converted file.
    """
    with memory_errors_as_ours(table.kind), duckdb.connect() as con:
        wanted = _Wanted(con, table, mapping, spool, retract)
        found = [_inspect(wanted, file) for file in files]
    return [
        replace(
            source,
            bound={ours: at for ours, at in source.bound.items() if ours != "ingested_at" or arrived_at is None},
            arrived_at=arrived_at,
            retract=retract,
            positions=file.positions,
            picture=None if retract else picture_field(source.name, table, source.fields, source.bound, mapping),
            frame=file.frame,
            content=file.digest,
        )
        for source, file in zip(found, files, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What every file is inspected with.

    Attributes:
        con: connection that reads the files.
        table: kind of the rows.
        mapping: mapping of their columns and values.
        spool: where files of other formats are converted.
        retract: whether every row takes back what it names.
    """

    con: duckdb.DuckDBPyConnection
    table: Table
    mapping: FileMapping
    spool: Spool
    retract: bool


def _inspect(wanted: _Wanted, file: InputFile) -> Source:
    if file.frame is not None:
        return _inspect_frame(wanted, file, file.frame)
    try:
        with memory_errors_as_ours(file.name), openable(file.path) as path:
            if file.is_messages:
                return _inspect_messages(wanted, file, path)
            with path.open("rb") as opened:
                magic = opened.read(16)
            format_ = by_content(magic, file.name)
            if format_ is not None and format_ != "parquet":
                copy = convert(path, file.name, format_, wanted.spool)
                named = replace(file, path=copy.path, notes=(*file.notes, *copy.notes))
                if copy.format == "parquet":
                    source = _inspect_parquet(wanted, named, copy.path)
                else:
                    source = _inspect_text(wanted, named, copy.path, b"", is_csv=True)
                source = replace(source, original=file.path)
            elif format_ == "parquet":
                source = _inspect_parquet(wanted, file, path)
            else:
                source = _inspect_text(wanted, file, path, magic)
    except OSError as error:
        raise InputError(
            f"{file.name} cannot be read: {error}.", "a complete, readable file", f"ls -l {shell_quoted(file.path)}"
        ) from error
    return source


def _inspect_parquet(wanted: _Wanted, file: InputFile, path: Path) -> Source:
    columns, n_rows = parquet_schema.columns(wanted.con, path, file.name)
    return _inspect_columns(wanted, file, path, columns, n_rows)


def _inspect_frame(wanted: _Wanted, file: InputFile, frame: ArrowFrame) -> Source:
    frame.register(wanted.con)
    try:
        with memory_errors_as_ours(file.name):
            columns = parquet_schema.frame_columns(wanted.con, frame, file.name)
            return _inspect_columns(wanted, file, frame, columns, frame.n_rows)
    finally:
        frame.unregister(wanted.con)


def _inspect_columns(
    wanted: _Wanted,
    file: InputFile,
    scanned: parquet_schema.Scanned,
    columns: Sequence[tuple[str, Any]],
    n_rows: int,
) -> Source:
    con, table, mapping = wanted.con, wanted.table, wanted.mapping
    fields = [Field(name, _NOTHING.get(str(type_), str(type_)), str(type_) in _NOTHING) for name, type_ in columns]
    for number, type_ in (file.frame.unreadable if file.frame else {}).items():
        fields[number] = Field(columns[number][0], type_)
    names = [field.name for field in fields]
    nested = (theirs for theirs in mapping.columns.values() if "." in theirs and not find(names, theirs))
    fields += filter(
        None, (_inside(columns, theirs) or _inside_json(con, scanned, columns, theirs) for theirs in nested)
    )
    fields += _folder_fields(file, names)

    def candidates() -> list[Candidate]:
        found = [
            (path, type_, (number, *places))
            for number, (name, top) in enumerate(columns)
            for path, type_, places in parquet_schema.leaves(name, top)
        ]
        given = [(type_, at) for _, type_, at in found]
        values = parquet_schema.first_values(con, scanned, len(columns), given)
        fitting = [candidate_of_type(name, type_, texts) for (name, type_, _), texts in zip(found, values, strict=True)]
        return fitting + _folder_candidates(file, names)

    bound = bind(
        file.name, table, [field.name for field in fields], mapping.columns, candidates, retract=wanted.retract
    )
    for ours, number in bound.items():
        column, field = table.column(ours), fields[number]
        if not readable(column.type, field.type):
            raise InputError(
                f"{file.name}: column {field.name!r} is {field.type}, not {column.type} for {ours}.",
                f"a type that can be read as {column.type}",
                _other_type_remedy(ours, column, columns[number] if number < len(columns) else None),
            )
        if column.type == "id" and field.type == "BLOB":
            at, *places = field.places or (number,)
            uuids = parquet_schema.uuids(con, scanned, len(columns), at, tuple(places))
            fields[number] = replace(field, uuids=uuids, type="VARCHAR" if uuids else field.type)
    return Source(
        *(file.path, file.name, table, "frame" if file.frame else "parquet", tuple(fields), bound, mapping),
        n_rows=n_rows,
        folder=file.folder,
        notes=file.notes,
    )


def _other_type_remedy(ours: str, column: Column, given: tuple[str, Any] | None) -> str:
    """What to do about a Parquet column of an unsuitable type."""
    for path, type_, places in parquet_schema.leaves(*given) if given else ():
        if places and readable(column.type, type_):
            return f"--map {shell_quoted(f'{ours}={path}')}"
    return f"cast it when the file is written, or name another column: --map {ours}=THEIRS"


def _inside(columns: Sequence[tuple[str, Any]], theirs: str) -> Field | None:
    """The value inside a Parquet column that a path such as `photo.id` names."""
    inside = [
        (path, Field(theirs, type_, places=(number, *places)))
        for number, (name, top) in enumerate(columns)
        for path, type_, places in parquet_schema.leaves(name, top)
        if places
    ]
    found = [field for path, field in inside if path == theirs]
    if not found:
        wanted = [normalized(key) for key in theirs.split(".")]
        found = [field for path, field in inside if [normalized(key) for key in path.split(".")] == wanted]
    return found[0] if len(found) == 1 else None


def _inside_json(
    con: duckdb.DuckDBPyConnection, scanned: parquet_schema.Scanned, columns: Sequence[tuple[str, Any]], theirs: str
) -> Field | None:
    """The value that a path such as `photo.id` names inside the JSON of a Parquet column."""
    names = [name for name, _ in columns]
    outer, *keys = theirs.split(".")
    numbers = [at for at in find(names, outer) if str(columns[at][1]) in {"JSON", "VARCHAR"}]
    if len(numbers) != 1:
        return None
    [texts] = parquet_schema.first_values(con, scanned, len(columns), [("VARCHAR", (numbers[0],))])
    if not any(text.lstrip().startswith("{") for text in texts):
        return None
    return Field(theirs, keys=tuple(keys), places=(numbers[0],))


def _folder_fields(file: InputFile, names: Sequence[str]) -> list[Field]:
    """The columns in the names of the file's folders. A column of the file with the same name precedes them."""
    return [Field(name, partition=(value,)) for name, value in file.partitions if not find(names, name)]


def _folder_candidates(file: InputFile, names: Sequence[str]) -> list[Candidate]:
    return [
        candidate_of_values(field.name, [value or "" for value in field.partition or ()])
        for field in _folder_fields(file, names)
    ]


def _inspect_text(wanted: _Wanted, file: InputFile, path: Path, magic: bytes, *, is_csv: bool = False) -> Source:
    table, mapping = wanted.table, wanted.mapping
    compression: Compression | None = None
    if magic.startswith(b"\x1f\x8b"):
        compression = "gzip"
    elif magic.startswith(b"\x28\xb5\x2f\xfd"):
        compression = "zstd"
    head = read_head(file.name, path, magic, compression)
    if not head.strip():
        remedy = "features ingest users - < USERS.csv" if file.name == "stdin" else f"ls -l {shell_quoted(file.path)}"
        raise InputError(f"{file.name} is empty.", "a file with a header or rows", remedy)
    if not is_csv and _text_format(file, head, compression) == "ndjson":
        return _inspect_ndjson(wanted, file, path, head, compression)
    header = read_header(file.name, head, table, mapping.columns)
    fields = [*map(Field, header.names), *_folder_fields(file, header.names)]
    bound = bind(
        *(file.name, table, [field.name for field in fields], mapping.columns),
        lambda: samples(head, header) + _folder_candidates(file, header.names),
        retract=wanted.retract,
    )
    return Source(
        *(file.path, file.name, table, "csv", tuple(fields), bound, mapping, compression),
        separator=header.separator,
        header_line=header.line,
        folder=file.folder,
        notes=file.notes,
    )


def _inspect_ndjson(wanted: _Wanted, file: InputFile, path: Path, head: str, compression: Compression | None) -> Source:
    ndjson_objects.refuse_other_json(file, head)
    source = _inspect_objects(wanted, file, head, lambda: Records(open_text(path, compression)))
    return replace(source, compression=compression)


def _inspect_messages(wanted: _Wanted, file: InputFile, path: Path) -> Source:
    source = _inspect_objects(wanted, file, first_texts(path), lambda: MessageRecords(path))
    return replace(source, is_messages=True)


def _inspect_objects(wanted: _Wanted, file: InputFile, head: str, records: ndjson_objects.OpenRecords) -> Source:
    """Inspect objects, one per record."""
    con, table, mapping = wanted.con, wanted.table, wanted.mapping
    keys = ndjson_objects.read_keys(con, file, records)
    rows = ndjson_objects.first_rows(head)
    fields = list(map(Field, keys.names))
    for theirs in mapping.columns.values():
        if "." in theirs and not find(keys.names, theirs):
            inside = ndjson_objects.find_path(keys.names, rows, theirs)
            if inside is None and ndjson_objects.has_path(con, records, parts := theirs.split(".")):
                inside = parts
            if inside is not None:
                fields.append(Field(theirs, keys=tuple(inside)))
    if file.is_lenient:
        lacking = ndjson_objects.lacking_paths(table, mapping.columns, [field.name for field in fields])
        fields += [Field(name, keys=path) for name, path in lacking]
    fields += _folder_fields(file, keys.names)
    bound = bind(
        *(file.name, table, [field.name for field in fields], mapping.columns),
        lambda: ndjson_objects.samples(keys.names, rows) + _folder_candidates(file, keys.names),
        retract=wanted.retract,
    )
    paths = {ours: fields[at].path for ours, at in bound.items() if fields[at].partition is None}
    if not file.is_lenient:
        ndjson_objects.refuse_nested(file.name, table, paths, rows)
    return Source(
        *(file.path, file.name, table, "ndjson", tuple(fields), bound, mapping),
        repeats_keys=keys.repeat,
        folder=file.folder,
        notes=file.notes,
    )


def _text_format(file: InputFile, head: str, compression: Compression | None) -> Format:
    format_ = text_by_name(file.name, compressed=compression is not None)
    begins = head.lstrip()[0]
    if begins == "[" and format_ != "csv":
        return "ndjson"
    if begins == "{":
        return "ndjson"
    if format_ is None and file.is_stream and "\0" not in head:
        return "csv"
    if format_ is None:
        raise InputError(f"{file.name} has an unknown format.", FORMATS, "export it as CSV or Parquet")
    return format_
