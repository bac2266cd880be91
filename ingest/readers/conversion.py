"""Convert files of further formats: Arrow, Avro and ORC to Parquet, spreadsheets to CSV.

A child process converts, in batches: the libraries that read these formats may crash on a damaged file. Only Avro is
read as a whole. Line n of a converted spreadsheet is row n of its first sheet.
"""

from __future__ import annotations

import csv
import datetime as dt
import importlib.util
import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photogenic._lazy import pa, pc, pl, pq
from photogenic.ingest.readers.formats import Foreign, Format
from photogenic.ingest.readers.input_files import Spool
from photogenic.warehouse import InputError, StoreError
from photogenic.warehouse.errors import MissingPartError
from photogenic.warehouse.processes import launch

__all__ = ["Copy", "convert", "main"]

_NAMES: dict[Foreign, str] = {
    "arrow": "an Arrow file",
    "arrow_stream": "a stream of Arrow",
    "avro": "an Avro file",
    "orc": "an ORC file",
    "spreadsheet": "a spreadsheet",
}
_ROWS = 1 << 16
_EXACT = 1 << 53
_OTHER_SHEETS = "other sheets are left out: "
_MOST_BYTES = 4 * 10**9
"""Memory for a spreadsheet. Its reader holds every cell of the rectangle around all cells, the empty ones too."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A converted file: its path and format, and notes for the account."""

    path: Path
    format: Format
    notes: tuple[str, ...] = ()


class _UnreadableError(Exception):
    """The file cannot be read as its format."""


def convert(path: Path, name: str, format_: Foreign, spool: Spool) -> Copy:
    """Convert a file into the temporary folder of the store.

    Raises:
        InputError: the file is damaged, or not of this format.
        MissingPartError: the package that reads the format is not installed.
        StoreError: there is no room for the copy, or too little memory.
    """
    if format_ == "spreadsheet" and importlib.util.find_spec("python_calamine") is None:
        raise MissingPartError(
            f"{name} is a spreadsheet, which needs the package python-calamine.",
            "the extra spreadsheets, or a file in CSV",
            "pip install 'photogenic[spreadsheets]'",
        )
    target: Format = "csv" if format_ == "spreadsheet" else "parquet"
    opened, copy = spool.file(name)
    ended = subprocess.run(
        launch.python_command(f"{__name__}:main", format_, str(path), str(copy)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        pass_fds=[opened.fileno(), *_descriptors(path)],
        env=launch.child_environment(),
        check=False,
    )
    lines = ended.stdout.decode(errors="replace").strip().splitlines()
    said = json.loads(lines[-1]) if ended.returncode == 0 and lines else {}
    if "notes" in said:
        return Copy(copy, target, tuple(said["notes"]))
    if "no_room" in said:
        raise StoreError(
            f"{name} cannot be converted: {said['no_room']}",
            "room in the folder of the store for a copy of the file as Parquet or CSV",
            "df -h",
        )
    why = said.get("unreadable") or f"its reader ended with code {ended.returncode}"
    if format_ == "spreadsheet" and ended.returncode < 0:  # a reader that gets no memory aborts
        why += f", or needed more than {_MOST_BYTES // 10**9} GB of memory; a cell far from the others may be the cause"
    raise InputError(
        f"{name} begins as {_NAMES[format_]}, but cannot be read: {why}",
        "a complete, valid file; nothing of it was taken in",
        "copy it again, or write it as Parquet or CSV",
    )


def _descriptors(path: Path) -> list[int]:
    """Return the descriptor of a copy that has no name, such as that of standard input; the child inherits it."""
    return [int(path.name)] if path.parent == Path("/proc/self/fd") else []


def main() -> None:
    """Convert in the child process: format, path and target are its arguments, the result is one line of JSON."""
    format_, path, target = sys.argv[1:]
    try:
        if format_ == "spreadsheet":
            if sys.platform == "linux":
                resource.setrlimit(resource.RLIMIT_DATA, (_MOST_BYTES, _MOST_BYTES))
            notes = _spreadsheet_to_csv(Path(path), Path(target))
        else:
            _to_parquet(_READERS[format_], Path(path), Path(target))
            notes = []
        print(json.dumps({"notes": notes}))
    except _UnreadableError as error:
        print(json.dumps({"unreadable": _first_line(error)}))
    except MemoryError:
        print(json.dumps({"unreadable": "it needs too much memory"}))
    except OSError as error:
        print(json.dumps({"no_room" if error.filename in {None, target} else "unreadable": _first_line(error)}))


def _to_parquet(read: Callable[[Path], Iterator[pa.RecordBatch]], path: Path, target: Path) -> None:
    writer: pq.ParquetWriter | None = None
    try:
        for batch in _in_large_batches(_sound(read, path)):
            columns = [_storable(column) for column in batch.columns]
            kept = [
                (name, column) for name, column in zip(batch.schema.names, columns, strict=True) if column is not None
            ]
            ready = pa.RecordBatch.from_arrays([column for _, column in kept], names=[name for name, _ in kept])
            if writer is None:
                writer = pq.ParquetWriter(target, ready.schema, compression="zstd", compression_level=1)
            writer.write_batch(ready)
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        raise _UnreadableError("it has no columns")


def _sound(read: Callable[[Path], Iterator[pa.RecordBatch]], path: Path) -> Iterator[pa.RecordBatch]:
    """The batches of a file, of up to 65,536 rows, each checked. An empty file gives one empty batch."""
    batches = read(path)
    while True:
        try:
            batch = next(batches, None)
            if batch is None:
                return
            batch.validate(full=True)
        except (pa.ArrowException, pl.exceptions.PolarsError, OSError, MemoryError, UnicodeDecodeError) as error:
            raise _UnreadableError(_first_line(error)) from error
        for at in range(0, max(batch.num_rows, 1), _ROWS):
            yield batch.slice(at, _ROWS)


def _in_large_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Join small batches: each that is written costs time."""
    held, n = list[pa.RecordBatch](), 0
    for batch in batches:
        if held and n + batch.num_rows > _ROWS:
            yield pa.concat_batches(held)
            held, n = [], 0
        held.append(batch)
        n += batch.num_rows
    if held:
        yield pa.concat_batches(held)


def _of_schema(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)


def _arrow(path: Path) -> Iterator[pa.RecordBatch]:
    with path.open("rb") as file:
        if file.read(4) == b"FEA1":
            raise _UnreadableError("it is of version 1 of Feather")
    with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
        yield _of_schema(reader.schema)
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)


def _arrow_stream(path: Path) -> Iterator[pa.RecordBatch]:
    with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as reader:
        yield _of_schema(reader.schema)
        yield from reader


def _orc(path: Path) -> Iterator[pa.RecordBatch]:
    file = importlib.import_module("pyarrow.orc").ORCFile(path)
    yield _of_schema(file.schema)
    for number in range(file.nstripes):
        stripe = file.read_stripe(number)
        yield from stripe.to_batches() if isinstance(stripe, pa.Table) else [stripe]


def _avro(path: Path) -> Iterator[pa.RecordBatch]:
    table = pl.read_avro(path).to_arrow()
    yield _of_schema(table.schema)
    yield from table.to_batches(max_chunksize=_ROWS)


_READERS: dict[str, Callable[[Path], Iterator[pa.RecordBatch]]] = {
    "arrow": _arrow,
    "arrow_stream": _arrow_stream,
    "avro": _avro,
    "orc": _orc,
}


def _storable(column: pa.Array) -> pa.Array | None:
    """The column in a type that Parquet has; None if there is no such type."""
    type_ = column.type
    if pa.types.is_decimal256(type_):
        return column.cast(pa.string())
    if pa.types.is_dictionary(type_) and not pa.types.is_nested(type_.value_type):
        return _storable(column.dictionary_decode())
    if pa.types.is_timestamp(type_) and type_.unit == "s":
        # Parquet has milliseconds; what they cannot hold becomes their last instant, and its row is refused later.
        seconds, most = column.cast(pa.int64()), ((1 << 63) - 1) // 1000
        near = pc.min_element_wise(pc.max_element_wise(seconds, -most, skip_nulls=False), most, skip_nulls=False)
        return pc.multiply(near, 1000).cast(pa.timestamp("ms", type_.tz))
    try:
        pq.ParquetWriter(pa.BufferOutputStream(), pa.schema([("x", type_)])).close()
    except pa.ArrowException:
        return None
    return column


def _spreadsheet_to_csv(path: Path, target: Path) -> list[str]:
    """Write the first visible sheet as CSV. Returns notes for the account."""
    calamine = importlib.import_module("python_calamine")
    try:
        book = calamine.load_workbook(str(path))
        visible = [
            at for at, sheet in enumerate(book.sheets_metadata) if sheet.visible == calamine.SheetVisibleEnum.Visible
        ]
        names = book.sheet_names
        if not names:
            raise _UnreadableError("it has no sheets")
        first = visible[0] if visible else 0
        rows = book.get_sheet_by_index(first).iter_rows()
    except calamine.CalamineError as error:
        raise _UnreadableError(_first_line(error)) from error
    with target.open("w", newline="", encoding="utf-8", errors="replace") as file:
        writer = csv.writer(file, lineterminator="\n")
        for row in rows:
            texts = [_cell(value) for value in row]
            if any(texts):
                writer.writerow(texts)
            else:
                file.write("\n")  # a blank row is no row, and counts as a line
    others = [name for at, name in enumerate(names) if at != first]
    return [_OTHER_SHEETS + ", ".join(others[:5])] if others else []


def _cell(value: Any) -> str:
    """A cell as text. Numbers of a sheet are floating point: from 2^53 on they are written as such."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if abs(value) < _EXACT and value == int(value) else repr(value)
    if isinstance(value, dt.datetime):
        return value.isoformat(" ")
    if isinstance(value, dt.date | dt.time | dt.timedelta):
        return str(value)
    # A line end in a cell would shift the numbers of the lines after it.
    return " ".join(str(value).splitlines())


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]
