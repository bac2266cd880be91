"""The watermark of a query: the newest value of a column that grows with each change of a row.

    Watermark.of(column, latest)     newest value of a piece of the result, in order
    watermark.since(lookback)        where the next sync begins
    rows_since(query, column, bound) the query of the rows from there on, in order

A time never leads beyond the moment of the sync: a row with a date in 2099 would hide every row after it. Rows with
such times are read again by every sync until then, and count as known.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from dataclasses import dataclass
from typing import Any

from photogenic._lazy import pa
from photogenic.ingest.sync.lookback import DEFAULT_IDS, DEFAULT_TIME, lookback_time
from photogenic.warehouse import InputError

__all__ = ["ERASED", "Watermark", "count_missing", "count_since", "newest", "quoted", "rows_since"]

_EPOCH = dt.datetime(1970, 1, 1)
_ISO = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})([ T])([0-9]{2}:[0-9]{2}:[0-9]{2})(.*)", re.DOTALL)
_MICROSECONDS = {"s": 1_000_000, "ms": 1000, "us": 1}
ERASED = "(erased)"
"""What an erase writes in place of an id."""

_LEAST, _MOST = -62_135_596_800_000_000, 253_402_300_799_999_999
"""Microseconds since 1970 of the years 1 and 9999."""


@dataclass(frozen=True, slots=True)
class Watermark:
    """A value of the column.

    Attributes:
        type: instant (with a zone), time (without), date, number, text.
        value: the value as a text, as a literal of SQL has it.
    """

    type: str
    value: str

    @classmethod
    def of(cls, value: Any, column: str, latest: dt.datetime) -> Watermark:
        """Read a value of Arrow.

        Args:
            value: scalar that is not NULL.
            column: name of the column, for messages.
            latest: the current time, naive UTC, which no time exceeds.

        Raises:
            InputError: values of this type do not order changes.
        """
        if isinstance(value.type, pa.BaseExtensionType):
            value = value.value
        type_ = value.type
        if pa.types.is_timestamp(type_):
            number = value.value
            number = number // 1000 if type_.unit == "ns" else number * _MICROSECONDS[type_.unit]
            instant = _instant(min(number, _microseconds(latest)))
            return cls("instant", f"{instant}+00:00") if type_.tz is not None else cls("time", str(instant))
        if pa.types.is_date32(type_):
            days = min(value.value, (latest - _EPOCH).days)
            return cls("date", str(_instant(days * 86_400_000_000).date()))
        if pa.types.is_integer(type_):
            return cls("number", str(int(value.as_py())))
        if pa.types.is_fixed_size_binary(type_) and type_.byte_width == 16:
            return cls("text", str(_growing(uuid.UUID(bytes=value.as_py()), column)))
        if pa.types.is_string(type_) or pa.types.is_large_string(type_):
            text = value.as_py()
            if "\0" in text:
                raise _unsuitable(column, "a text with a byte 0")
            if _UUID.fullmatch(text):
                _growing(uuid.UUID(text), column)
            if iso := _ISO.fullmatch(text):
                return cls("text", min(text[:19], f"{latest:%Y-%m-%d}{iso[2]}{latest:%H:%M:%S}"))
            return cls("text", text)
        raise _unsuitable(column, f"of the type {type_}")

    @classmethod
    def from_json(cls, held: Any) -> Watermark | None:
        """Read a position; None: it holds none, or one of which an erase has removed a part."""
        if not isinstance(held, dict):
            return None
        type_, value = held.get("type"), held.get("value")
        if type_ == "text" and isinstance(value, str):
            return None if ERASED in value else cls("text", value)
        if not isinstance(value, int):
            return None
        if type_ == "number":
            return cls("number", str(value))
        if type_ == "date":
            return cls("date", str(_instant(value * 86_400_000_000).date()))
        if type_ in ("instant", "time"):
            return cls(type_, f"{_instant(value)}{'+00:00' if type_ == 'instant' else ''}")
        if type_ in ("text_T", "text_"):
            return cls("text", _instant(value).isoformat(sep="T" if type_ == "text_T" else " "))
        return None

    def to_json(self) -> dict[str, Any]:
        """The position as JSON. A time is a number, so that no part of it is taken for the id of an erased person."""
        if self.type == "number":
            return {"type": "number", "value": int(self.value)}
        if self.type == "date":
            return {"type": "date", "value": (dt.date.fromisoformat(self.value) - _EPOCH.date()).days}
        instant = self.instant
        if instant is None:
            return {"type": "text", "value": self.value}
        type_ = self.type if self.type != "text" else "text_T" if self.value[10] == "T" else "text_"
        return {"type": type_, "value": _microseconds(instant)}

    def since(self, lookback: str | int | None) -> Watermark:
        """The value from which the next sync reads.

        Args:
            lookback: how far below this value it begins; None: the default of the type.

        Raises:
            InputError: values of this type have no distance of that kind.
        """
        if self.type == "number":
            if isinstance(lookback, str):
                raise _wrong_lookback(lookback, "a whole number", "lookback = 10000")
            return Watermark("number", str(int(self.value) - (DEFAULT_IDS if lookback is None else lookback)))
        if isinstance(lookback, int):
            raise _wrong_lookback(lookback, "a time" if self.type != "text" else "no number", 'lookback = "10 minutes"')
        given = DEFAULT_TIME if lookback is None else _time_of(lookback)
        if self.type == "date":
            days = -(-given // dt.timedelta(days=1))
            return Watermark("date", str(_earlier(dt.datetime.fromisoformat(self.value), dt.timedelta(days)).date()))
        if self.type == "text":
            iso = _ISO.fullmatch(self.value)
            if iso is None:
                if lookback is not None:
                    raise _wrong_lookback(lookback, "none for texts that are no times", "remove lookback")
                return self
            try:
                instant = _earlier(dt.datetime.fromisoformat(f"{iso[1]} {iso[3]}"), given)
            except ValueError:
                return self
            return Watermark("text", f"{instant:%Y-%m-%d}{iso[2]}{instant:%H:%M:%S}")
        zone = "+00:00" if self.type == "instant" else ""
        instant = dt.datetime.fromisoformat(self.value.removesuffix(zone) if zone else self.value)
        return Watermark(self.type, f"{_earlier(instant, given)}{zone}")

    @property
    def instant(self) -> dt.datetime | None:
        """The value as a naive time; None: it is no time."""
        text = self.value
        if self.type == "text":
            iso = _ISO.fullmatch(text)
            text = f"{iso[1]} {iso[3]}" if iso else ""
        if self.type == "number" or not text:
            return None
        try:
            return dt.datetime.fromisoformat(text).replace(tzinfo=None)  # the zone is UTC
        except ValueError:
            return None

    @property
    def literal(self) -> str:
        """The value in SQL. A text without a type takes that of the column."""
        return str(int(self.value)) if self.type == "number" else "'" + self.value.replace("'", "''") + "'"


def rows_since(query: str, column: str, bound: Watermark | None) -> str:
    """The query of the rows from a watermark on, in order; without one, of all rows that have a watermark."""
    which = "is not null" if bound is None else f">= {bound.literal}"
    return f"select * from (\n{query}\n) as source where {quoted(column)} {which} order by {quoted(column)}"


def count_since(query: str, column: str, bound: Watermark | None) -> str:
    """The query of the number of those rows."""
    which = "is not null" if bound is None else f">= {bound.literal}"
    return f"select count(*) as n from (\n{query}\n) as source where {quoted(column)} {which}"


def count_missing(query: str, column: str) -> str:
    """The query of the number of rows without a watermark."""
    return f"select count(*) as n from (\n{query}\n) as source where {quoted(column)} is null"


def newest(query: str, column: str) -> str:
    """The query of the newest watermark, as a row or none."""
    name = quoted(column)
    return f"select {name} from (\n{query}\n) as source where {name} is not null order by {name} desc limit 1"


def quoted(name: str) -> str:
    """A name in SQL."""
    return '"' + name.replace('"', '""') + '"'


_UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")


def _growing(value: uuid.UUID, column: str) -> uuid.UUID:
    """The UUID, unless it is a random one.

    Raises:
        InputError: it is.
    """
    if value.version == 4:
        raise _unsuitable(column, "random UUIDs (version 4), which do not grow")
    return value


def _time_of(lookback: str) -> dt.timedelta:
    given = lookback_time(lookback)
    return DEFAULT_TIME if given is None else given


def _microseconds(instant: dt.datetime) -> int:
    return (instant - _EPOCH) // dt.timedelta(microseconds=1)


def _instant(microseconds: int) -> dt.datetime:
    return _EPOCH + dt.timedelta(microseconds=min(max(microseconds, _LEAST), _MOST))


def _earlier(instant: dt.datetime, by: dt.timedelta) -> dt.datetime:
    try:
        return instant - by
    except OverflowError:
        return dt.datetime(1, 1, 1)


def _unsuitable(column: str, what: str) -> InputError:
    return InputError(
        f"The watermark {column!r} is {what}.",
        "a column that grows with each change of a row: a time, a day, a whole number, a text or a UUID of version 7",
        'watermark = "updated_at"',
    )


def _wrong_lookback(lookback: object, expected: str, remedy: str) -> InputError:
    return InputError(f"lookback is {lookback!r}, and the watermark is of another type.", expected, remedy)
