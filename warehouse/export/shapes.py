"""Change the columns of a stream to types that a format has; no value changes its meaning.

CSV     instants as ISO 8601 in UTC; lists, structs and maps as JSON; bytes in hexadecimal
Delta   instants with the zone UTC, in microseconds; unsigned numbers in the next wider type; times of day as text
all     whole numbers of more than 38 digits are refused
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from photogenic._lazy import pa, pc
from photogenic.warehouse.errors import InputError

__all__ = ["checked", "for_csv", "for_delta", "plain_schema"]


def checked(reader: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """Refuse whole numbers that no format holds: DuckDB's HUGEINT has up to 39 digits, and decimals have 38."""
    wide = [
        number
        for number, column in enumerate(reader.schema)
        if pa.types.is_decimal(column.type) and (column.type.precision, column.type.scale) == (38, 0)
    ]
    if not wide:
        return reader
    most = Decimal(10) ** 38

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in reader:
            for number in wide:
                ends = pc.min_max(batch.column(number)).as_py()
                if ends["min"] is not None and not -most < ends["min"] <= ends["max"] < most:
                    name = reader.schema.names[number]
                    raise InputError(
                        f"The column {name} has a whole number of 39 digits.",
                        "at most 38 digits",
                        f"--query 'select * replace (cast({name} as varchar) as {name}) from ...'",
                    )
            yield batch

    return pa.RecordBatchReader.from_batches(reader.schema, batches())


def plain_schema(schema: pa.Schema, names: Any) -> pa.Schema:
    """Return a schema in which these columns are no dictionaries."""
    for number, column in enumerate(schema):
        if column.name in names and pa.types.is_dictionary(column.type):
            schema = schema.set(number, column.with_type(column.type.value_type))
    return schema


def changed(
    reader: pa.RecordBatchReader, how: Callable[[pa.Field], tuple[pa.DataType, Callable[[Any], Any]] | None]
) -> pa.RecordBatchReader:
    """Change the columns for which `how` returns a type and a function of an array."""
    changes = {number: change for number, column in enumerate(reader.schema) if (change := how(column)) is not None}
    if not changes:
        return reader
    schema = reader.schema
    for number, (kind, _) in changes.items():
        schema = schema.set(number, pa.field(schema.names[number], kind))

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in reader:
            columns = [
                changes[number][1](column) if number in changes else column
                for number, column in enumerate(batch.columns)
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def for_csv(reader: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """Make every column one that CSV has."""

    def how(column: pa.Field) -> tuple[pa.DataType, Callable[[Any], Any]] | None:
        kind = column.type
        if pa.types.is_timestamp(kind):
            return pa.string(), _instants
        if pa.types.is_dictionary(kind):
            return pa.string(), lambda values: values.cast(pa.string())
        if pa.types.is_nested(kind):
            return pa.string(), _as_json
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            return pa.string(), lambda values: _texts(values, bytes.hex)
        return None

    return changed(reader, how)


def for_delta(reader: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """Make every column one that Delta Lake has."""

    def how(column: pa.Field) -> tuple[pa.DataType, Callable[[Any], Any]] | None:
        kind = _delta_type(column.type)
        if kind == column.type:
            return None
        return kind, lambda values: _cast(values, kind, column.name)

    return changed(reader, how)


def _delta_type(kind: pa.DataType) -> pa.DataType:
    wider = {
        pa.uint8(): pa.int16(),
        pa.uint16(): pa.int32(),
        pa.uint32(): pa.int64(),
        pa.uint64(): pa.decimal128(20, 0),
        pa.null(): pa.string(),
    }
    if kind in wider:
        return wider[kind]
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", tz="UTC")
    if pa.types.is_time(kind):
        return pa.string()
    if pa.types.is_dictionary(kind):
        return _delta_type(kind.value_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(pa.field("element", _delta_type(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct([part.with_type(_delta_type(part.type)) for part in kind])
    if pa.types.is_map(kind):
        return pa.map_(_delta_type(kind.key_type), _delta_type(kind.item_type))
    return kind


def _cast(values: Any, kind: pa.DataType, name: str) -> Any:
    try:
        return values.cast(kind)
    except pa.ArrowInvalid as error:
        raise InputError(
            f"The column {name} has a value that Delta Lake cannot hold: {str(error).splitlines()[0]}",
            "instants of whole microseconds, and numbers within the range of their type",
            f"--query 'select * replace (cast({name} as varchar) as {name}) from ...'",
        ) from error


def _instants(values: Any) -> Any:
    """ISO 8601 in UTC, `2024-01-31T12:00:00Z`, with a fraction where there is one."""
    unit = values.type.unit
    per_second = 10 ** {"s": 0, "ms": 3, "us": 6, "ns": 9}[unit]
    ends = pc.min_max(values.cast(pa.int64())).as_py()
    if ends["min"] is None or -62_135_596_800 * per_second <= ends["min"] <= ends["max"] < 253_402_300_800 * per_second:
        texts = pc.strftime(values.cast(pa.timestamp(unit)), format="%Y-%m-%dT%H:%M:%SZ")
        return pc.replace_substring_regex(texts, r"\.0+Z$", "Z")
    parts = {"s": 0, "ms": 3, "us": 6, "ns": 9}[unit]

    def text(ticks: int) -> str:
        seconds, fraction = divmod(ticks, 10**parts)
        try:
            whole = (dt.datetime(1970, 1, 1) + dt.timedelta(seconds=seconds)).isoformat()
        except OverflowError:
            return _beyond(ticks, unit)
        digits = f".{fraction:0{parts}d}" if fraction else ""
        return f"{whole}{digits}Z"

    return _texts(values.cast(pa.int64()), text)


def _beyond(ticks: int, unit: str) -> str:
    """The text of an instant outside of the years 1 to 9999, as DuckDB prints infinite ones."""
    if unit == "us" and abs(ticks) == 2**63 - 1:
        return "infinity" if ticks > 0 else "-infinity"
    raise InputError(
        f"An instant is {ticks:,} {unit} after 1970.",
        "an instant of the years 1 to 9999 in CSV",
        "--as parquet, or a --query that leaves it out",
    )


def _texts(values: Any, text: Callable[[Any], str]) -> Any:
    return pa.array([None if value is None else text(value) for value in values.to_pylist()], pa.string())


def _as_json(values: Any) -> Any:
    if pa.types.is_map(values.type):
        return _texts(values, lambda pairs: json.dumps(_plain(dict(pairs)), ensure_ascii=False))
    return _texts(values, lambda value: json.dumps(_plain(value), ensure_ascii=False))


def _plain(value: Any) -> Any:
    """Convert a value to JSON types: instants as ISO 8601 in UTC, bytes as hexadecimal, NaN as text."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case dt.datetime():
            return f"{value.replace(tzinfo=None).isoformat()}Z"
        case bytes():
            return value.hex()
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return str(value)
