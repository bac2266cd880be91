"""SQL that converts a field of a file to our value, and finds what is wrong with it.

The macros that convert are in sql/ingest/values.sql; this module chooses the macro for each type of field.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Literal

from photogenic import sql
from photogenic._lazy import duckdb
from photogenic.ingest.tabular.mapping_file import Unit, Value
from photogenic.ingest.tabular.schemas import Column, Reason, Type

__all__ = [
    "has_nan",
    "literal",
    "mapped_value",
    "prepare",
    "problems",
    "readable",
    "remedy",
    "shown",
    "trimmed",
    "unless_mapped",
    "value",
    "word",
]

Family = Literal["text", "bytes", "whole", "real", "decimal", "flag", "time", "zoned", "nanos", "day", "texts", "other"]

_WHOLE = {f"{sign}{size}INT" for sign in ("", "U") for size in ("TINY", "SMALL", "BIG", "HUGE")} | {
    "INTEGER",
    "UINTEGER",
}

_NUMBER: set[Family] = {"whole", "real", "decimal"}
_READABLE: dict[Type, set[Family]] = {
    "id": {"text", "bytes", *_NUMBER},
    "text": {"text", "bytes", *_NUMBER},
    "tags": {"text", "bytes", "texts", *_NUMBER},
    "gender": {"text", "bytes", *_NUMBER},
    "flag": {"text", "bytes", "flag", *_NUMBER},
    "count": {"text", "bytes", *_NUMBER},
    "number": {"text", "bytes", "flag", *_NUMBER},
    "time": {"text", "bytes", "time", "zoned", "nanos", "day", *_NUMBER},
}
"""Some writers store columns of only NULL as whole or real numbers, hence these types in each set."""

_NAME, _TIMESTAMP = re.compile(r'"(?:[^"]|"")*"'), re.compile(r"\bTIMESTAMP(?:_S|_MS)?(?![\w ])")
"""Quoted names in a type, and the type of a time without a zone, alone or inside another type."""

_UNITS: dict[Unit, str] = {
    "days": "{}_units({}, 86400000000)",
    "hours": "{}_units({}, 3600000000)",
    "minutes": "{}_units({}, 60000000)",
    "s": "{}_units({}, 1000000)",
    "ms": "{}_units({}, 1000)",
    "us": "{}_units({}, 1)",
    "ns": "{}_ns({})",
    "excel": "{}_excel({})",
}
"""Ends of the names of macros, with their arguments: `t` for text, `n` for numbers, then the field."""

_MAX_ID, _MAX_TEXT = 1024, 65_536
_EXACT = {"FLOAT": 1 << 24, "DOUBLE": 1 << 53}
"""Floating point represents all whole numbers below these exactly."""


def prepare(con: duckdb.DuckDBPyConnection) -> None:
    """Create the macros on this connection."""
    con.execute(sql.read("ingest/values"))


def readable(type_: Type, field_type: str) -> bool:
    """Whether a field of this DuckDB type can be read as a column of this type."""
    return _family(field_type) in _READABLE[type_]


def trimmed(column: Column, field_type: str, field: str) -> str:
    """The SQL expression that trims the text in `field`; what is blank or not a number is NULL."""
    match _family(field_type):
        case "text":
            # An unknown word for `liked` is refused like a blank one: no need to look for words that mean missing.
            return f"trimmed({field})" if column.blank == "bad_liked" else f"plain({field})"
        case "bytes":
            return f"plain(coalesce(try(decode({field})), cast({field} as varchar)))"
        case "real":
            return f"case when not isnan({field}) then {field} end"
        case "texts":
            return f"plain(array_to_string({field}, ' '))"
    return field


def value(type_: Type, field_type: str, field: str, unit: Unit | None = None) -> str:
    """The SQL expression that converts `field`, after `trimmed`.

    Args:
        type_: type of our column.
        field_type: DuckDB type of the field.
        field: the field.
        unit: unit of its numbers, for times; None: found by their size.
    """
    family = _family(field_type)
    if unit is not None and family in {"text", "bytes", *_NUMBER}:
        text = "t" if family in {"text", "bytes"} else "n"
        number = f"cast({field} as {'hugeint' if family == 'whole' else 'double'})" if text == "n" else field
        return f"time_of_{_UNITS[unit].format(text, number)}"
    match type_, family:
        case ("text", "text" | "bytes") | ("flag", "flag"):
            return field
        case ("id", "text" | "bytes"):
            return f"id_of({field})"
        case ("id", "real"):
            return f"id_of_real({field}, {_EXACT[field_type]})"
        case ("time", "zoned"):
            return f"time_of_zoned({field})"
        case ("time", "nanos"):
            return f"time_of_nanos({field})"
        case ("time", "day"):
            return f"time_of_day({field})"
        case ("time", "time"):
            return f"cast({field} as timestamp)"
        case ("time", "whole"):
            return f"time_of_number(case when {field} is not null then coalesce(try_cast({field} as hugeint), 0) end)"
        case ("time", "real" | "decimal"):
            return f"time_of_number(cast({field} as double))"
        case ("count", "whole" | "real"):
            return f"count_of_number({field})"
        case ("number", "whole" | "real" | "decimal" | "flag"):
            return f"number_of_number({field})"
    text = field
    if family == "decimal":
        text = f"text_of_decimal({field})"
    elif family in {"whole", "real", "flag"}:
        text = f"cast({field} as varchar)"
    return text if type_ in {"id", "text"} else f"{type_}_of({text})"


def word(field_type: str, field: str) -> str:
    """The SQL expression of the text of `field` that is looked up among the words of a mapping."""
    match _family(field_type):
        case "text":
            return f"trimmed({field})"
        case "bytes":
            return f"trimmed(coalesce(try(decode({field})), cast({field} as varchar)))"
        case "real":
            return f"case when not isnan({field}) then id_of_real({field}, {_EXACT[field_type]}) end"
        case "decimal":
            return f"text_of_decimal({field})"
        case "texts":
            return f"trimmed(array_to_string({field}, ' '))"
    return shown(field_type, field)


def unless_mapped(words: Mapping[str, Value], field: str, otherwise: str) -> str:
    """The SQL expression that is NULL where `field` is one of the words of a mapping."""
    conditions = [condition for condition, _ in _lookups(words, field)]
    return f"case when {' or '.join(conditions)} then null else {otherwise} end" if conditions else otherwise


def mapped_value(words: Mapping[str, Value], field: str, otherwise: str) -> str:
    """The SQL expression of what the words of a mapping stand for; `otherwise` where `field` is none of them."""
    arms = [
        f"when {condition} then {str(meant).lower() if isinstance(meant, bool) else literal(meant)}"
        for condition, meant in _lookups(words, field)
        if meant is not None
    ]
    return f"case {' '.join(arms)} else {otherwise} end" if arms else otherwise


def literal(text: str) -> str:
    """A text as SQL."""
    return "'" + text.replace("'", "''") + "'"


def _lookups(words: Mapping[str, Value], field: str) -> list[tuple[str, Value]]:
    """Conditions that find each word, with what it stands for: first the exact word, then whatever its case."""
    exact = [(f"{field} = {literal(given)}", meant) for given, meant in words.items()]
    meanings = dict[str, set[Value]]()
    for given, meant in words.items():
        meanings.setdefault(given.lower(), set()).add(meant)
    return exact + [
        (f"lower({field}) = lower({literal(given)})", meant)
        for given, meant in words.items()
        if len(meanings[given.lower()]) == 1
    ]


def shown(field_type: str, field: str) -> str:
    """The SQL expression that shows `field` as it is in the file.

    DuckDB has no text for the first times that a timestamp can hold: to convert one makes the database unusable for the
    whole process. So they are shown as microseconds since 1970, and inside lists and structures not at all.
    """
    if not _TIMESTAMP.search(_NAME.sub("", field_type)):
        return f"cast({field} as varchar)"
    if "(" in field_type or "[" in field_type:
        return f"case when {field} is not null then 'not shown: timestamps in a list or structure' end"
    micros = f"cast(epoch_us({field}) as varchar)"
    return f"case when {field} >= timestamp '290308-01-01 (BC)' then cast({field} as varchar) else {micros} end"


def remedy(column: Column, field_type: str, field: str) -> str:
    """The SQL expression of what the detail of a refused value has after the value."""
    if column.type != "time" or _family(field_type) not in {"text", "bytes"}:
        return "''"
    text = trimmed(column, field_type, field)
    return f"case when {column.name} = timestamp '0001-01-01' then coalesce(zone_remedy({text}), '') else '' end"


def problems(
    column: Column, latest: dt.datetime, stamp: dt.datetime, text: str, dispensable: str = ""
) -> list[tuple[str, str]]:
    """Conditions on the value that refuse its row, in the order in which they are tested, each with its reason in SQL.

    Args:
        column: our column.
        latest: latest time that is accepted.
        stamp: latest arrival that is accepted.
        text: the SQL expression of the value before it was converted.
        dispensable: the SQL condition under which the value may be blank; empty: never.
    """
    name, found = column.name, list[tuple[str, str]]()
    if column.blank is not None:
        found.append((f"{name} is null" + (f" and not ({dispensable})" if dispensable else ""), _reason(column.blank)))
    match column.type:
        case "id":
            inexact, too_long = _reason("inexact_id"), _reason("too_long")
            found.append(
                (f"strlen({name}) > {_MAX_ID}", f"case when {name} = inexact() then {inexact} else {too_long} end")
            )
        case "text":
            found.append((f"strlen({name}) > {_MAX_TEXT}", _reason("too_long")))
        case "gender":
            found.append((f"{name} = 'bad'", _reason("bad_gender")))
        case "count":
            found.append((f"{name} < 0", _reason("bad_number")))
        case "time":
            found.append((f"{name} < timestamp '1900-01-01'", _reason("bad_time")))
            if name == "ingested_at":
                found.append((f"{name} > timestamp '{stamp}'", _reason("future_arrival")))
            else:
                found.append((f"{name} > timestamp '{latest}'", _reason("future_time")))
        case "tags":
            found.append((f"len({name}) > 1000", _reason("too_long")))
        case "flag":
            if column.blank is None:
                found.append((f"{name} is null and {text} is not null", _reason("bad_deleted")))
    return found


def has_nan(field_type: str) -> bool:
    """Whether values of this DuckDB type may be NaN."""
    return _family(field_type) == "real"


def _reason(reason: Reason) -> str:
    return f"'{reason}'"


def _family(field_type: str) -> Family:
    name = field_type.partition("(")[0]
    if name in {"VARCHAR", "ENUM", "UUID"}:
        return "text" if name == "VARCHAR" else "whole"
    if name == "BLOB":
        return "bytes"
    if name in _WHOLE:
        return "whole"
    if name == "DECIMAL":
        return "whole" if field_type.endswith(",0)") else "decimal"
    if name in _EXACT:
        return "real"
    if name == "BOOLEAN":
        return "flag"
    if field_type in {"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS"}:
        return "time"
    if field_type in {"TIMESTAMP_NS", "TIMESTAMPTZ_NS"}:
        return "nanos"
    if field_type == "TIMESTAMP WITH TIME ZONE":
        return "zoned"
    if name == "DATE":
        return "day"
    return "texts" if field_type == "VARCHAR[]" else "other"
