"""Values of Python as text and as JSON: those of dictionaries, and of columns that hold values of several types."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

__all__ = ["UnsuitableError", "json_of", "text_of"]

_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_PASSTHROUGH_SUBCLASS


class UnsuitableError(Exception):
    """A value has no text. The message names its type."""


def text_of(value: object) -> str:
    """Return a value as a CSV would have it.

    Raises:
        UnsuitableError: it is no single value, or of an unknown type.
    """
    match value:
        case np.generic():
            return text_of(value.item())
        case str():
            return str(value)
        case bool():
            return str(value).lower()
        case int() | float() | decimal.Decimal() | uuid.UUID():
            return str(value)
        case dt.date() | dt.time():
            return value.isoformat()
        case bytes() | bytearray() | memoryview():
            try:
                return bytes(value).decode()
            except UnicodeDecodeError:
                raise UnsuitableError("bytes that are no text") from None
    raise UnsuitableError(type(value).__name__)


def json_of(row: Mapping[Any, Any]) -> bytes:
    """Return a row as one line of JSON. NaN is null; other numbers that JSON does not have are their text.

    Raises:
        UnsuitableError: a value has no form in JSON.
    """
    if not any(isinstance(value, float) and math.isinf(value) for value in row.values()):
        try:
            return orjson.dumps(row if type(row) is dict else dict(row), option=_OPTIONS)
        except TypeError:  # a type or a number that it does not know
            pass
    try:
        return json.dumps(_plain(row)).encode()
    except RecursionError:
        raise UnsuitableError("a value inside itself") from None


def _plain(value: object) -> object:
    match value:
        case None | str() | bool() | int():
            return value
        case float() | np.floating():
            number = float(value)
            return None if math.isnan(number) else number if math.isfinite(number) else str(number)
        case np.ndarray():
            return _plain(value.tolist())
        case Mapping():
            return {_key(key): _plain(inner) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(inner) for inner in value]
    return text_of(value)


def _key(key: object) -> str:
    return key if isinstance(key, str) else text_of(key)
