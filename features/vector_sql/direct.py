"""Answer a statement that is only a call of `similar` without DuckDB, which takes longer than such a search.

    from similar($photo, k := 5, filter := 'popular')

Only literals and parameters are read here. Any other statement, and any value whose type DuckDB would convert, is left
to DuckDB, which calls the same search: the rows, their types, notes and errors are the same.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from photogenic._lazy import pa
from photogenic.features.vector_sql.arguments import DEFAULTS
from photogenic.warehouse.duckdb_store.parameters import Parameters, bind

__all__ = ["Call", "call_in", "columns_of"]

_LONGEST = 10_000

_VALUE = r"'(?:[^']|'')*'|-?\d{1,9}(?:\.\d{1,9})?(?![\w.])|(?:true|false|null)\b|\$\w+|\?"
_ARGUMENT = rf"(?:([a-z_]+)\s*(?::=|=>)\s*)?({_VALUE})"
_CALL = re.compile(
    rf"\s*(?:select\s+\*\s+)?from\s+similar\s*\(\s*(?P<arguments>{_ARGUMENT}(?:\s*,\s*{_ARGUMENT})*)\s*\)\s*;?\s*",
    re.IGNORECASE | re.ASCII,
)
_ARGUMENTS = re.compile(_ARGUMENT, re.IGNORECASE | re.ASCII)
_WORDS = {"true": True, "false": False, "null": None}
_NAMES = ("query", *DEFAULTS)


@dataclass(frozen=True, slots=True)
class _Parameter:
    """A parameter in the place of a value."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """A statement that is only a call of `similar`.

    Attributes:
        arguments: by name; each a value or a parameter.
        named_parameters: names of its parameters; `?` are named 1, 2 and so on.
    """

    arguments: dict[str, Any]
    named_parameters: frozenset[str]


@functools.lru_cache(maxsize=256)
def call_in(query: str) -> Call | None:
    """Return the call that a statement is; None: it is something else."""
    if len(query) > _LONGEST or (found := _CALL.fullmatch(query)) is None:
        return None
    arguments: dict[str, Any] = {}
    n_by_place = n_marks = 0
    for at, (name, given) in enumerate(_ARGUMENTS.findall(found["arguments"])):
        if not name:
            n_by_place += 1
            if n_by_place <= at or at >= len(_NAMES):
                return None  # a value without a name after one with a name, or too many
        key = name.lower() or _NAMES[at]
        if key not in _NAMES or key in arguments:
            return None  # DuckDB reports its own error
        n_marks += given == "?"
        arguments[key] = _value(f"${n_marks}" if given == "?" else given)
    names = [value.name for value in arguments.values() if isinstance(value, _Parameter)]
    if "query" not in arguments and "text" not in arguments:
        return None
    if (n_marks and n_marks < len(names)) or len({name.lower() for name in names}) < len(names):
        return None
    return Call(arguments, frozenset(names))


def columns_of(call: Call, params: Parameters | None) -> list[pa.ChunkedArray] | None:
    """Return the arguments of a call as `similar.answer` takes them; None: DuckDB has to convert a value.

    Raises:
        QueryError: a parameter does not fit.
    """
    given = bind(call, params) or {}
    columns = []
    for name in _NAMES:
        value = call.arguments.get(name, _ABSENT)
        if isinstance(value, _Parameter):
            value = given[value.name]
        if value is _ABSENT:
            columns.append(_DEFAULTS[name])
        elif (column := _column(name, value)) is not None:
            columns.append(column)
        else:
            return None
    return columns


_ABSENT = object()


def _value(text: str) -> Any:
    if text.startswith("'"):
        return text[1:-1].replace("''", "'")
    if text.startswith("$"):
        return _Parameter(text[1:])
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    return Decimal(text) if "." in text else int(text)


def _column(name: str, value: Any) -> pa.ChunkedArray | None:
    """Return a value as a column of one row; None: DuckDB has to convert it."""
    if name in ("query", "unlike"):
        is_vector = isinstance(value, list) and all(isinstance(number, float) for number in value)
        if not isinstance(value, str | bytes | None) and not is_vector:
            return None
    elif not isinstance(value, str | bool | int | float | Decimal | None) or (name == "filter" and value == ""):
        return None
    return pa.chunked_array([pa.array([value])])


class _Defaults(dict[str, Any]):
    """Columns of the options that a call leaves out, as the macro of `similar` has them; made once."""

    def __missing__(self, name: str) -> pa.ChunkedArray:
        text = {"query": "false", **DEFAULTS}[name]
        value = b"" if name == "filter" else _value(text)
        made = self[name] = pa.chunked_array([pa.array([value])])
        return made


_DEFAULTS = _Defaults()
