"""Arguments of `similar` in SQL: Arrow columns of any type, read as queries and options of a search."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import pa, pc
from photogenic.warehouse.errors import InputError, PhotogenicError

__all__ = [
    "DEFAULTS",
    "NO_FILTER",
    "NO_QUERY",
    "QUERY",
    "Query",
    "in_sql",
    "named_in_sql",
    "option_value",
    "read_queries",
]

Query = str | bytes | NDArray[np.float32] | tuple[str, ...]
"""A photo_id, the bytes of a picture, a vector, or several photo_ids that are one query."""

DEFAULTS: dict[str, str] = {
    "k": "10",
    "encoder": "null",
    "filter": "null",
    "popular": "false",
    "popular_within": "null",
    "per_user": "null",
    "other_users": "false",
    "popularity": "0",
    "popularity_by": "'like_ratio'",
    "diverse": "null",
    "unlike": "null",
    "text": "null",
    "exact": "null",
}
"""Options of `similar` with their defaults, in the order of its parameters after `query`."""

NO_QUERY = "false"
"""What `similar` has for a query that is left out: no query is a truth value, and NULL has no similar photos."""

NO_FILTER = "''::blob"
"""What `similar` has for a filter that is left out: no filter is a BLOB, and no photo matches NULL."""

_KINDS = {
    "k": int,
    "encoder": str,
    "filter": str,
    "popular": bool,
    "popular_within": str,
    "per_user": int,
    "other_users": bool,
    "popularity": float,
    "popularity_by": str,
    "diverse": float,
    "text": str,
    "exact": bool,
}
_WORDS = {int: "a whole number", str: "a text", bool: "true or false", float: "a number"}
QUERY = "a photo_id, a vector, a list of photo_ids, or the bytes of a picture"
"""What a query of `similar` can be, for messages."""

_NOT_FOUND = "There is no photo and no file"
_TRY = "from similar('PHOTO_ID', k := 10)"


def option_value(name: str, value: object) -> object:
    """Return the value of an option as Python's functions take it.

    Raises:
        InputError: it has the wrong type.
    """
    kind = _KINDS[name]
    if isinstance(value, Decimal) and (kind is float or (kind is int and value == value.to_integral_value())):
        return kind(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, kind) and (kind is not int or not isinstance(value, bool)):
        return value
    shown = repr(value) if not isinstance(value, Decimal) else str(value)
    raise InputError(f"{name} is {shown[:80]}.", _WORDS[kind], f"from similar('PHOTO_ID', {name} := {_LIKE[kind]})")


_LIKE = {int: "5", str: "'text'", bool: "true", float: "0.3"}


def read_queries(name: str, column: pa.ChunkedArray) -> list[Query | None]:
    """Return the query of each row; None where it is NULL.

    Args:
        name: name of the parameter, for messages.
        column: values of any type.

    Raises:
        InputError: they have a type that is no query, or a list is empty or has a NULL.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_null(kind) or column.null_count == len(column):
        return [None] * len(column)
    if _is_text(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        values: list[Query | None] = column.to_pylist()
        return values
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        if _is_text(kind.value_type):
            return [None if value is None else _texts(name, value) for value in column.to_pylist()]
        if _is_number(kind.value_type) or pa.types.is_null(kind.value_type):
            return _vectors(name, column)
    shown = str(kind)[:80]
    remedy = "similar(cast(photo_id as varchar))" if pa.types.is_integer(kind) else _TRY
    raise InputError(f"{name} of similar is of type {shown}.", QUERY, remedy)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _texts(name: str, values: Sequence[str | None]) -> tuple[str, ...]:
    if not values:
        raise InputError(f"{name} of similar is an empty list.", "at least one photo_id", "similar(['p1', 'p2'])")
    found = tuple(value for value in values if value is not None)
    if len(found) < len(values):
        raise InputError(
            f"{name} of similar is a list with a NULL.", "photo_ids", "list_filter(ids, id -> id is not null)"
        )
    return found


def _vectors(name: str, column: pa.ChunkedArray) -> list[Query | None]:
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks)
    there = array.is_valid().to_numpy(zero_copy_only=False)
    held = array.filter(array.is_valid())
    flat = held.flatten()
    if flat.null_count:
        raise InputError(f"{name} of similar is a vector with a NULL.", "a list of numbers", _TRY)
    lengths = pc.list_value_length(held).to_numpy(zero_copy_only=False)
    if len(lengths) and lengths.min() == 0:
        raise InputError(f"{name} of similar is an empty list.", QUERY, _TRY)
    if not pa.types.is_float32(flat.type):
        flat = pc.cast(flat, pa.float64(), safe=False)
    numbers = flat.to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore"):
        numbers = numbers.astype(np.float32)
    parts = iter(np.split(numbers, np.cumsum(lengths)[:-1]) if len(lengths) else [])
    return [next(parts) if is_there else None for is_there in there]


def in_sql(error: PhotogenicError) -> PhotogenicError:
    """Return an error of a search with the names that its options have in SQL."""
    what, expected, remedy = named_in_sql(error.what), named_in_sql(error.expected), error.remedy
    if what.startswith(_NOT_FOUND):
        what = what.replace(_NOT_FOUND, "There is no photo", 1)
        expected += "; words as text := '...', a picture as a parameter such as $upload"
    if remedy.startswith("-"):
        option, _, value = remedy.partition(" ")
        remedy = f"{named_in_sql(option)} := {_quoted(value)}"
    return type(error)(what, expected, remedy)


def named_in_sql(text: str) -> str:
    """Return a message of a search with the names that its options have in SQL."""
    text = re.sub(r"(?<![\w-])--where\b", "filter", text)
    return re.sub(r"(?<![\w-])--?([a-z]+(?:-[a-z]+)*)\b", lambda found: found[1].replace("-", "_"), text)


def _quoted(value: str) -> str:
    if re.fullmatch(r"-?[\d.]+|true|false|null", value) or not value:
        return value or "true"
    text = value.strip('"').replace("'", "''")
    return f"'{text}'"


def describe_options() -> str:
    """Return the parameters of `similar` as they are written."""
    return ", ".join(["query", *(f"{name} := {value}" for name, value in DEFAULTS.items())])


def hashable(query: Any) -> Any:
    """Return a value that is equal for equal queries."""
    return query.tobytes() if isinstance(query, np.ndarray) else query
