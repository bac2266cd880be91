"""Arrow types as DuckDB reads them from Parquet, so that a frame and the same rows in a file give the same values.

DuckDB reads most types alike from both. The others are converted, one batch at a time: half floats, long decimals,
times in seconds or milliseconds, durations, lists of one length.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from photogenic._lazy import pa, pc

__all__ = ["Convert", "as_read", "holds_no_values", "is_coarse", "microseconds"]

Convert: TypeAlias = "Callable[[pa.Array], pa.Array]"

_MOST = (1 << 63) - 1
_TO_MICROSECONDS = {"s": 1_000_000, "ms": 1000}
_DECIMAL_DIGITS = 38


def as_read(type_: pa.DataType) -> tuple[pa.DataType, Convert | None]:
    """Return the type as which an Arrow type is read, and what converts an array; None: as it is."""
    types = pa.types
    if types.is_timestamp(type_) and is_coarse(type_):
        return pa.timestamp("us", type_.tz and "UTC"), microseconds
    if types.is_float16(type_):
        return pa.float32(), _cast_to(pa.float32())
    if types.is_decimal(type_) and (type_.scale < 0 or type_.precision > _DECIMAL_DIGITS):
        return pa.string(), _cast_to(pa.string())
    if types.is_decimal256(type_):
        plain = pa.decimal128(type_.precision, type_.scale)
        return plain, _cast_to(plain)
    if types.is_duration(type_):
        return pa.int64(), _cast_to(pa.int64())
    if types.is_dictionary(type_):
        plain, convert = as_read(type_.value_type)
        if convert is None and not types.is_nested(plain):
            return type_, None
        return plain, lambda array: _converted(array.dictionary_decode(), convert)
    if types.is_struct(type_):
        return _struct_as_read(type_)
    if types.is_list(type_) or types.is_large_list(type_) or types.is_fixed_size_list(type_):
        inner, convert = as_read(type_.value_type)
        if convert is None and not types.is_fixed_size_list(type_):
            return type_, None
        lists = pa.list_(inner)
        return lists, lambda array: _cast_if_in_range(array, lists)
    return type_, None


def is_coarse(type_: pa.DataType) -> bool:
    """Whether values of this type hold timestamps coarser than microseconds."""
    if pa.types.is_timestamp(type_):
        return type_.unit in _TO_MICROSECONDS
    return any(is_coarse(type_.field(number).type) for number in range(type_.num_fields))


def holds_no_values(type_: pa.DataType) -> bool:
    """Whether it is a structure without fields, or holds one."""
    if pa.types.is_struct(type_) and type_.num_fields == 0:
        return True
    return any(holds_no_values(type_.field(number).type) for number in range(type_.num_fields))


def microseconds(array: pa.TimestampArray) -> pa.TimestampArray:
    """Convert timestamps in seconds or milliseconds; those out of range become the first or last instant."""
    factor = _TO_MICROSECONDS[array.type.unit]
    values, most = array.cast(pa.int64()), _MOST // factor
    near = pc.and_(pc.less_equal(values, most), pc.greater_equal(values, -most))
    far = pc.if_else(pc.greater(values, 0), _MOST, -_MOST)
    values = pc.if_else(near, pc.multiply(pc.if_else(near, values, 0), factor), far)
    return values.cast(pa.timestamp("us", array.type.tz and "UTC"))


def _struct_as_read(type_: pa.StructType) -> tuple[pa.DataType, Convert | None]:
    fields = [type_.field(number) for number in range(type_.num_fields)]
    found = [as_read(field.type) for field in fields]
    if all(convert is None for _, convert in found):
        return type_, None
    plain = pa.struct([pa.field(field.name, inner) for field, (inner, _) in zip(fields, found, strict=True)])

    def convert(array: pa.StructArray) -> pa.StructArray:
        arrays = [_converted(inner, each) for inner, (_, each) in zip(array.flatten(), found, strict=True)]
        return pa.StructArray.from_arrays(arrays, fields=list(plain), mask=array.is_null())

    return plain, convert


def _cast_to(type_: pa.DataType) -> Convert:
    return lambda array: array.cast(type_)


def _converted(array: pa.Array, convert: Convert | None) -> pa.Array:
    return array if convert is None else convert(array)


def _cast_if_in_range(array: pa.Array, type_: pa.DataType) -> pa.Array:
    """Cast. If a value does not fit, the whole batch of lists is NULL; the store reads no column from such lists."""
    try:
        return array.cast(type_)
    except pa.ArrowInvalid:
        return pa.nulls(len(array), type_)
