"""From a field of a file to a value of ours, and what can be wrong with it, as SQL.

The macros that do the reading are in sql/ingest/values.sql; here is which one a type of field needs.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Literal

import sql
from ingest.tables import Column, Reason, Type

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["prepare", "problems", "readable", "trimmed", "value"]

Family = Literal["text", "bytes", "whole", "real", "flag", "time", "zoned", "day", "texts", "other"]

_WHOLE = {f"{sign}{size}INT" for sign in ("", "U") for size in ("TINY", "SMALL", "BIG", "HUGE")} | {
    "INTEGER",
    "UINTEGER",
}

_READABLE: dict[Type, set[Family]] = {
    "id": {"text", "bytes", "whole", "real"},
    "text": {"text", "bytes", "whole", "real"},
    "tags": {"text", "bytes", "texts", "whole", "real"},
    "gender": {"text", "bytes", "whole", "real"},
    "flag": {"text", "bytes", "whole", "real", "flag"},
    "count": {"text", "bytes", "whole", "real"},
    "time": {"text", "bytes", "whole", "real", "time", "zoned", "day"},
}
"""Columns of nothing but NULL come as whole or real numbers from some writers, hence in each set."""

_MAX_ID, _MAX_TEXT = 1024, 65_536


def prepare(con: DuckDBPyConnection) -> None:
    """Create the macros, for this connection."""
    con.execute(sql.read("ingest/values"))


def readable(type_: Type, field_type: str) -> bool:
    """Whether values of a field of this DuckDB type can mean what a column of this type asks."""
    return _family(field_type) in _READABLE[type_]


def trimmed(field_type: str, field: str) -> str:
    """The SQL expression that makes text of `field` where it is to be read as text: trimmed, blank is NULL."""
    match _family(field_type):
        case "text":
            return f"plain({field})"
        case "bytes":
            return f"plain(coalesce(try(decode({field})), cast({field} as varchar)))"
        case "real":
            return f"case when not isnan(cast({field} as double)) then cast({field} as double) end"
        case "texts":
            return f"plain(array_to_string({field}, ' '))"
    return field


def value(type_: Type, field_type: str, field: str) -> str:
    """The SQL expression that reads `field`, which `trimmed` has made ready."""
    family = _family(field_type)
    match type_, family:
        case ("id" | "text", "text" | "bytes") | ("flag", "flag"):
            return field
        case ("id", "real"):
            return f"id_of_number({field})"
        case ("time", "zoned"):
            return f"cast({field} at time zone 'UTC' as timestamp)"
        case ("time", "time") if field_type == "TIMESTAMP_NS":
            return f"time_of_nanos({field})"
        case ("time", "time" | "day"):
            return f"cast({field} as timestamp)"
        case ("time", "whole" | "real"):
            return f"time_of_number(cast({field} as {'double' if family == 'real' else 'hugeint'}))"
        case ("count", "whole" | "real"):
            return f"count_of_number({field})"
    text = f"cast({field} as varchar)" if family in {"whole", "real", "flag"} else field
    return text if type_ in {"id", "text"} else f"{type_}_of({text})"


def problems(column: Column, latest: dt.datetime) -> list[tuple[str, Reason]]:
    """Conditions on the value that refuse its row, in the order in which they are asked.

    Args:
        column: ours.
        latest: the last instant that is believed.
    """
    name, found = column.name, list[tuple[str, Reason]]()
    if column.blank is not None:
        found.append((f"{name} is null", column.blank))
    match column.type:
        case "id" | "text":
            found.append((f"strlen({name}) > {_MAX_ID if column.type == 'id' else _MAX_TEXT}", "too_long"))
        case "gender":
            found.append((f"{name} = 'bad'", "bad_gender"))
        case "count":
            found.append((f"{name} < 0", "bad_number"))
        case "time":
            found.append((f"{name} < timestamp '1900-01-01'", "bad_time"))
            found.append((f"{name} > timestamp '{latest}'", "future_time"))
        case "tags":
            found.append((f"len({name}) > 1000", "too_long"))
        case "flag":
            pass
    return found


def _family(field_type: str) -> Family:
    name = field_type.partition("(")[0]
    if name in {"VARCHAR", "ENUM", "UUID"}:
        return "text" if name == "VARCHAR" else "whole"
    if name == "BLOB":
        return "bytes"
    if name in _WHOLE:
        return "whole"
    if name in {"FLOAT", "DOUBLE", "DECIMAL"}:
        return "real"
    if name == "BOOLEAN":
        return "flag"
    if field_type in {"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"}:
        return "time"
    if field_type == "TIMESTAMP WITH TIME ZONE":
        return "zoned"
    if name == "DATE":
        return "day"
    return "texts" if field_type == "VARCHAR[]" else "other"
