"""One value of an answer, as JSON, CSV and tables show it."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from decimal import Decimal

__all__ = ["plain"]


def plain(value: object) -> object:
    """A value as JSON has it, to the last digit: times as ISO 8601 in UTC, bytes as hexadecimal.

    JSON has no NaN and no infinity: they are the texts NaN, Infinity and -Infinity, so that null means NULL alone.
    A decimal is a number where a double holds it, else text.
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
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case _:
            return str(value)


def _not_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
