"""Read values from an answer of the network: each has the documented type, is absent, or makes the answer invalid.

Absent and null are the same. One invalid value makes the whole answer invalid, so that a partial answer is never taken
for a complete one. The message names the place and the type, never the value, which may quote a token.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import Any

__all__ = [
    "LONGEST_ANSWER",
    "InvalidAnswerError",
    "as_object",
    "count",
    "instant",
    "items",
    "number",
    "parse_json",
    "read_id",
    "text",
]

LONGEST_ANSWER = 4 << 20
"""Largest size of an answer, in bytes. A page of a hundred posts has about 0.4 MB."""

_LONGEST_ID = 200
_MOST_ITEMS = 10_000
_MOST = 2**63 - 1


class InvalidAnswerError(ValueError):
    """An answer is not as the network documents it."""


def parse_json(raw: bytes) -> Any:
    """Parse the JSON of an answer.

    Raises:
        InvalidAnswerError: an object has a key twice, or the nesting is too deep.
        ValueError: it is not JSON.
    """
    try:
        return json.loads(raw, object_pairs_hook=_object)
    except RecursionError:
        raise InvalidAnswerError("nested too deeply") from None


def as_object(value: Any, place: str) -> dict[str, Any]:
    """Read an object; an empty one if it is absent."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _invalid(place, value, "an object")
    return value


def items(value: Any, place: str) -> list[dict[str, Any]]:
    """Read a list of objects; an empty one if it is absent. Null in the list is invalid."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise _invalid(place, value, "a list")
    if len(value) > _MOST_ITEMS:
        raise InvalidAnswerError(f"{place} has {len(value)} items, where {_MOST_ITEMS} are expected at most")
    for at, item in enumerate(value):
        if not isinstance(item, dict):
            raise _invalid(f"{place}[{at}]", item, "an object")
    return value


def text(value: Any, place: str, longest: int | None = None) -> str | None:
    """Read a text that can be encoded as UTF-8; None if it is absent or empty."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise _invalid(place, value, "a text")
    if longest is not None and len(value) > longest:
        raise InvalidAnswerError(f"{place} has {len(value)} characters, where {longest} are expected at most")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidAnswerError(f"{place} is no text: half a character") from None
    return value


def read_id(entry: dict[str, Any], place: str) -> str:
    """Read the id that an object must have: a text, or a whole number."""
    value = entry.get("id")
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST:
        return str(value)
    found = text(value, f"{place}.id", _LONGEST_ID)
    if found is None or not found.isprintable() or found != found.strip():
        raise InvalidAnswerError(f"{place}.id is no id")
    return found


def count(entry: dict[str, Any], name: str, place: str) -> int | None:
    """Read a number of people, posts or likes; None if it is absent."""
    value = entry.get(name)
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 19:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
        raise _invalid(f"{place}.{name}", value, "a whole number from 0 to 2^63 - 1")
    return value


def instant(value: Any, place: str) -> dt.datetime | None:
    """Read a time, UTC without zone; None if it is absent or not a time."""
    said = text(value, place)
    if said is None:
        return None
    try:
        at = dt.datetime.fromisoformat(said)
        return at.astimezone(dt.UTC).replace(tzinfo=None) if at.tzinfo else at
    except (ValueError, OverflowError):
        return None


def number(value: Any) -> float:
    """Read a number of the network's own counters; 0 if it is not a finite number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            found = float(value)
        except OverflowError:
            return 0.0
        return found if math.isfinite(found) else 0.0
    return 0.0


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise InvalidAnswerError("an object that has a name twice")
    return found


def _invalid(place: str, value: Any, wanted: str) -> InvalidAnswerError:
    return InvalidAnswerError(
        f"{place} is {_KINDS.get(type(value), 'a number out of range')}, where {wanted} is expected"
    )


_KINDS = {
    type(None): "null",
    bool: "true or false",
    str: "a text",
    list: "a list",
    dict: "an object",
    float: "a fraction",
}
