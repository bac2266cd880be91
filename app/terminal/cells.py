"""Conversion of one value of a result for JSON, CSV and tables, and of messages for terminals."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from decimal import Decimal

__all__ = ["message", "to_plain"]

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters other than tab and line feed, and those that change the direction of writing."""


def message(text: str) -> str:
    """Escape control characters in a message, which may quote ids, file names and values that strangers wrote."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def to_plain(value: object) -> object:
    """Convert a value to JSON types without loss of digits: times as ISO 8601 in UTC, bytes as hexadecimal.

    JSON has no NaN and no infinity. They become the texts NaN, Infinity and -Infinity, so that null means only NULL.
    A decimal becomes a number if a double holds it exactly, otherwise text.
    """
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else _not_finite(value)
        case Decimal():
            if value == value.to_integral_value():
                return int(value)
            return float(value) if Decimal(repr(float(value))) == value else str(value)
        case dt.datetime():
            utc = value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
            return f"{utc.isoformat()}Z"
        case bytes():
            return value.hex()
        case Mapping():
            return {str(key): to_plain(item) for key, item in value.items()}
        case list() | tuple():
            return [to_plain(item) for item in value]
        case _:
            return str(value)


def _not_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
