"""Values of an answer of the network, read without trust: of the documented kind, absent, or odd.

Absent and null are the same. Whatever else is not as documented makes the whole answer odd, so that half an
answer is never taken for a whole one; the message names the place and the kind, never the value, which may
quote a token.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import Any

__all__ = [
    "LONGEST_ANSWER",
    "OddAnswerError",
    "count",
    "id_of",
    "instant",
    "items",
    "number",
    "object_of",
    "parsed",
    "text",
]

LONGEST_ANSWER = 4 << 20
"""Bytes of one answer. A page of a hundred posts has about 0.4 MB."""

_LONGEST_ID = 200
_MOST_ITEMS = 10_000
_MOST = 2**63 - 1


class OddAnswerError(ValueError):
    """An answer is not as the network documents it."""


def parsed(raw: bytes) -> Any:
    """The JSON of an answer.

    Raises:
        OddAnswerError: JSON that says two things of one name, or is nested too deeply to be an answer.
        ValueError: no JSON.
    """
    try:
        return json.loads(raw, object_pairs_hook=_object)
    except RecursionError:
        raise OddAnswerError("nested too deeply") from None


def object_of(value: Any, place: str) -> dict[str, Any]:
    """An object; absent: an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _odd(place, value, "an object")
    return value


def items(value: Any, place: str) -> list[dict[str, Any]]:
    """A list of objects; absent: an empty one. None among them is an object too few."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise _odd(place, value, "a list")
    if len(value) > _MOST_ITEMS:
        raise OddAnswerError(f"{place} has {len(value)} items, where {_MOST_ITEMS} are expected at most")
    for at, item in enumerate(value):
        if not isinstance(item, dict):
            raise _odd(f"{place}[{at}]", item, "an object")
    return value


def text(value: Any, place: str, longest: int | None = None) -> str | None:
    """A text that can be written down; absent or empty: None."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise _odd(place, value, "a text")
    if longest is not None and len(value) > longest:
        raise OddAnswerError(f"{place} has {len(value)} characters, where {longest} are expected at most")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise OddAnswerError(f"{place} is no text: half a character") from None
    return value


def id_of(entry: dict[str, Any], place: str) -> str:
    """The id that an object must have: a text, or a whole number."""
    value = entry.get("id")
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST:
        return str(value)
    found = text(value, f"{place}.id", _LONGEST_ID)
    if found is None or not found.isprintable() or found != found.strip():
        raise OddAnswerError(f"{place}.id is no id")
    return found


def count(entry: dict[str, Any], name: str, place: str) -> int | None:
    """A number of people, posts or likes; absent: not told."""
    value = entry.get(name)
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 19:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
        raise _odd(f"{place}.{name}", value, "a whole number from 0 to 2^63 - 1")
    return value


def instant(value: Any, place: str) -> dt.datetime | None:
    """A time, UTC without zone. A text that is none is a date that was lost: None."""
    said = text(value, place)
    if said is None:
        return None
    try:
        at = dt.datetime.fromisoformat(said)
        return at.astimezone(dt.UTC).replace(tzinfo=None) if at.tzinfo else at
    except (ValueError, OverflowError):
        return None


def number(value: Any) -> float:
    """A number of the network's own bookkeeping; whatever is none, or infinite: 0."""
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
        raise OddAnswerError("an object that has a name twice")
    return found


def _odd(place: str, value: Any, wanted: str) -> OddAnswerError:
    return OddAnswerError(f"{place} is {_KINDS.get(type(value), 'a number out of range')}, where {wanted} is expected")


_KINDS = {
    type(None): "null",
    bool: "true or false",
    str: "a text",
    list: "a list",
    dict: "an object",
    float: "a fraction",
}
