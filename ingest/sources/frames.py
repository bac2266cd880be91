"""Rows that Python holds: frames of polars and pandas, tables, readers and datasets of Arrow, dictionaries.

A frame that lies in memory is scanned where it lies. What can be read only once, or lies elsewhere, is copied into the
folder for temporary files first, in constant memory: Arrow as Parquet, dictionaries as NDJSON.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from photogenic._lazy import pa, pl, pq
from photogenic.ingest.options import SourceOptions
from photogenic.ingest.readers.input_files import InputFile, Spool
from photogenic.ingest.sources.arrow_frame import ArrowFrame
from photogenic.ingest.sources.arrow_types import Convert, as_read
from photogenic.ingest.sources.content_digest import BLOCK, ContentDigest
from photogenic.ingest.sources.pandas_frames import OtherTypeError, PandasRows, is_pandas
from photogenic.ingest.sources.python_values import UnsuitableError, json_of, text_of
from photogenic.warehouse import InputError, StoreError

__all__ = ["open_source", "spooled"]

_EXPECTED = (
    "a path, glob, folder or address; a frame of polars or pandas; a table, reader or dataset of Arrow; or "
    "dictionaries, one a row"
)
_BATCH_BYTES = 1 << 20


def open_source(given: Any, spool: Spool, _options: SourceOptions) -> list[InputFile]:
    """Open rows that Python holds.

    Args:
        given: a frame, table, reader, dataset, or dictionaries.
        spool: where streams are copied to.

    Raises:
        InputError: it is something else, or cannot be read.
        StoreError: there is no room for the copy of a stream.
    """
    name = _name(given)
    if isinstance(given, pl.DataFrame):
        return [_in_memory(name, *_from_polars(given, name))]
    if isinstance(given, pl.LazyFrame):
        schema, batches = _lazily(given, name)
        return [spooled(schema, batches, name, spool)]
    if is_pandas(given):
        return [_from_pandas(given, name, spool)]
    if isinstance(given, pa.RecordBatch):
        given = pa.Table.from_batches([given])
    if isinstance(given, pa.Table):
        table = _sound(given, name)
        blocks = lambda: iter(table.to_batches(max_chunksize=BLOCK))  # noqa: E731
        return [_in_memory(name, ArrowFrame(table.schema, table.num_rows, blocks, may_change=False), ())]
    reader = _reader(given, name)
    if reader is not None:
        return [spooled(reader.schema, _batches(reader, name), name, spool)]
    if isinstance(given, Iterable) and not isinstance(given, str | bytes | bytearray | memoryview | Mapping):
        return [_from_rows(given, name, spool)]
    raise InputError(
        f"A source is a {type(given).__name__}.", _EXPECTED, "polars.DataFrame(...), or write it as Parquet"
    )


def spooled(schema: pa.Schema, batches: Iterable[pa.RecordBatch], name: str, spool: Spool) -> InputFile:
    """Copy a stream of record batches as Parquet, and return it as a file whose digest is that of its content.

    Args:
        schema: schema of the batches.
        batches: the stream. Its errors pass.
        name: name of the source; the number of rows is added to it.
        spool: where it is copied to.

    Raises:
        InputError: it has no columns.
        StoreError: there is no room for it.
    """
    if not len(schema):
        raise InputError(f"{name} holds no columns.", "rows with columns", "name the columns")
    stream = _Stream(schema, batches)
    path = spool.table(stream, name)
    return InputFile(path, _counted(name, stream.n_rows), Path(), digest=stream.digest.hexdigest(), notes=stream.notes)


class _Stream:
    """A stream of record batches on its way into Parquet, in types that Parquet has.

    Attributes:
        schema: schema of the converted batches.
        n_rows: number of rows so far.
        digest: digest of the rows so far.
        notes: notes for the account.
    """

    def __init__(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        self._batches, self.n_rows, self.digest = batches, 0, ContentDigest(schema)
        self._kept: list[tuple[int, Convert | None]] = []
        fields, left_out = [], []
        for number, field in enumerate(schema):
            type_, convert = as_read(field.type)
            if _is_storable(type_):
                fields.append((field.name, type_))
                self._kept.append((number, convert))
            else:
                left_out.append(f"{field.name} ({field.type})")
        self.schema = pa.schema(fields)
        self.notes = (f"left out, of types that are not read: {', '.join(left_out)}",) if left_out else ()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._batches:
            self.n_rows += batch.num_rows
            self.digest.add(batch)
            columns = [
                batch.column(number) if convert is None else convert(batch.column(number))
                for number, convert in self._kept
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=self.schema)


def _in_memory(name: str, frame: ArrowFrame, notes: tuple[str, ...]) -> InputFile:
    return InputFile(Path(), _counted(name, frame.n_rows), Path(), notes=notes, frame=frame)


def _from_pandas(given: Any, name: str, spool: Spool) -> InputFile:
    """Open a frame of pandas where it lies, or copy it if it holds objects of Python."""
    rows = PandasRows(given, name)
    if not rows.has_objects:
        return _in_memory(name, ArrowFrame(rows.schema, len(given), rows.blocks, may_change=True), ())
    while True:
        try:
            copied = spooled(rows.schema, rows.blocks(), name, spool)
        except OtherTypeError:
            continue
        return replace(copied, notes=(*copied.notes, *rows.notes))


def _from_polars(frame: pl.DataFrame, name: str) -> tuple[ArrowFrame, tuple[str, ...]]:
    """Return the rows of a frame, and notes for the account. Later changes of the frame do not reach these rows."""
    ready, objects = frame.clone(), [column for column, type_ in frame.schema.items() if type_ == pl.Object]
    for column in objects:
        try:
            texts = [None if value is None else text_of(value) for value in frame.get_column(column)]
        except UnsuitableError as error:
            raise InputError(
                f"{name}: column {column!r} holds {error}.",
                "a column of texts, numbers, times, or True and False",
                f"frame.drop({column!r}), or convert it",
            ) from error
        ready = ready.with_columns(pl.Series(column, texts, pl.String))
    plain = _plain_polars()

    def blocks() -> Iterator[pa.RecordBatch]:
        for at in range(0, len(ready), BLOCK):
            yield from _arrow(ready.slice(at, BLOCK).with_columns(plain)).to_batches()

    schema = _arrow(ready.head(0).with_columns(plain)).schema
    notes = tuple(f"objects, read as text: {column}" for column in objects)
    return ArrowFrame(schema, len(frame), blocks, may_change=False), notes


def _arrow(part: pl.DataFrame) -> pa.Table:
    """Return some rows as Arrow. Text is copied from views, which pyarrow would do more slowly for the digest."""
    return part.to_arrow(compat_level=pl.CompatLevel.oldest())


def _plain_polars() -> pl.Expr:
    """Return the expression that turns columns of types that Arrow does not have, or has otherwise, into text."""
    return pl.selectors.by_dtype(pl.Categorical, pl.Enum, pl.Int128, pl.UInt128).cast(pl.String)


def _lazily(frame: pl.LazyFrame, name: str) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Return the schema and the rows of a lazy frame, which are computed while they are read."""
    ready = frame.with_columns(_plain_polars())
    try:
        schema = _arrow(ready.limit(0).collect()).schema
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(name, error) from error

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            for part in ready.collect_batches(chunk_size=BLOCK, maintain_order=True):
                yield from _arrow(part).to_batches()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise _unreadable(name, error) from error

    return schema, batches()


def _sound(table: pa.Table, name: str) -> pa.Table:
    """Return a table, checked: text that is not UTF-8 would make the whole database unusable."""
    try:
        table.validate(full=True)
    except pa.ArrowException as error:
        raise _unreadable(name, error) from error
    return table


def _reader(given: Any, name: str) -> Any | None:
    """Return a reader of what hands out record batches; None: it does not."""
    try:
        if isinstance(given, pa.RecordBatchReader):
            return given
        if hasattr(given, "__arrow_c_stream__"):
            return pa.RecordBatchReader.from_stream(given)
        if hasattr(given, "__arrow_c_array__"):
            batch = pa.record_batch(given)
            return pa.RecordBatchReader.from_batches(batch.schema, [batch])
        if type(given).__module__.startswith("pyarrow."):
            if hasattr(given, "to_reader"):
                return given.to_reader()
            if hasattr(given, "scanner"):
                return given.scanner().to_reader()
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(name, error) from error
    return None


def _batches(reader: pa.RecordBatchReader, name: str) -> Iterator[pa.RecordBatch]:
    try:
        for batch in reader:
            batch.validate(full=True)
            yield batch
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(name, error) from error


def _from_rows(given: Iterable[Any], name: str, spool: Spool) -> InputFile:
    """Copy dictionaries as NDJSON, or the parts of a table as Parquet."""
    rows = iter(given)
    first = next(rows, None)
    if first is None:
        raise InputError(
            f"{name} holds no rows.", "at least one row, whose keys are the columns", "a frame may be empty"
        )
    if isinstance(first, str | os.PathLike):
        raise InputError(
            f"{name} holds {type(first).__name__}, which are no rows.",
            "each file as a source of its own, or dictionaries, one a row",
            "store.ingest_swipes(*files)",
        )
    return _from_dictionaries(itertools.chain([first], rows), name, spool)


def _from_dictionaries(rows: Iterable[Any], name: str, spool: Spool) -> InputFile:
    copy, path = spool.file(name)
    n, held, size = 0, list[bytes](), 0

    def flush() -> None:
        nonlocal size
        try:
            copy.writelines(held)
            copy.flush()
        except OSError as error:
            raise StoreError(
                f"{name} cannot be copied: {error.strerror or error}",
                "room for the rows in the store's folder",
                "df -h",
            ) from error
        held.clear()
        size = 0

    for n, row in enumerate(rows, 1):
        if not isinstance(row, Mapping):
            raise InputError(
                f"{name}: row {n:,} is a {type(row).__name__}.", "a dictionary for each row", "[{'user_id': 'u1'}, ...]"
            )
        try:
            line = json_of(row)
        except UnsuitableError as error:
            raise InputError(
                f"{name}: row {n:,} holds a value that cannot be read: {error}.",
                "texts, numbers, times, True, False, None, and lists and dictionaries of them",
                "convert the value",
            ) from error
        held += (line, b"\n")
        size += len(line)
        if size > _BATCH_BYTES:
            flush()
    flush()
    return InputFile(path, _counted(name, n), Path(), is_stream=True)


def _is_storable(type_: pa.DataType) -> bool:
    """Whether Parquet has such a type."""
    try:
        pq.ParquetWriter(pa.BufferOutputStream(), pa.schema([("x", type_)])).close()
    except pa.ArrowException:
        return False
    return True


def _name(given: object) -> str:
    """Return the name of a source: the library and the type."""
    kind = type(given)
    library = kind.__module__.partition(".")[0].lstrip("_")
    return kind.__name__ if library == "builtins" else f"{library}.{kind.__name__}"


def _counted(name: str, n: int) -> str:
    return f"{name} ({n:,} row{'' if n == 1 else 's'})"


def _unreadable(name: str, error: BaseException) -> InputError:
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return InputError(
        f"{name} cannot be read: {text[:300]}",
        "rows that can be read to the end; nothing of it was taken in",
        "try it alone",
    )
