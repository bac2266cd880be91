"""Conversion of one value of a result for JSON, CSV and tables."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from decimal import Decimal

__all__ = ["to_plain"]


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
