"""Check the values of the parameters of a query. They are bound by DuckDB, and are never part of its text.

The same rule holds on the command line, at the prompt, in Python and in `POST /api/v1/sql`: one value for each `$name`
or `?`, and each value a number, a text, a time, a boolean or NULL; in Python also the bytes of a picture, or a vector
as a NumPy array of one dimension.
"""

from __future__ import annotations

import datetime as dt
import difflib
import math
import numbers
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

from photogenic.warehouse.errors import QueryError

__all__ = ["LONGEST", "Available", "Parameters", "bind"]

Parameters = Mapping[str, object] | Sequence[object]
"""Values by name, for `$name`, or in order, for `?`."""


class Available(dict[str, object]):
    """Values of which a query may use some, as at the prompt."""


LONGEST = 100_000
"""Largest number of characters of a text."""

_DIGITS = 38
"""Largest number of digits of a decimal of DuckDB, which would round longer ones to a double."""

_SIMPLE = "a number, a text, a time, true, false or null"
_HOW = "features sql 'select $name' --param name=value"


class _HasParameters(Protocol):
    @property
    def named_parameters(self) -> Collection[str]:
        """Names of the parameters."""


def bind(statement: _HasParameters, values: Parameters | None) -> dict[str, object] | None:
    """Return the value of each parameter of a statement by its name; `?` are named 1, 2 and so on.

    Returns: None if the statement has no parameters.

    Raises:
        QueryError: A value is missing, is not used, or cannot be bound.
    """
    named = _by_name(values)
    # DuckDB compares names without regard to case.
    wanted, given = ({name.lower(): name for name in names} for names in (statement.named_parameters, named))
    missing = [wanted[key] for key in sorted(wanted.keys() - given.keys())]
    surplus = [given[key] for key in sorted(given.keys() - wanted.keys())]
    if len(given) < len(named):
        raise QueryError("A parameter is given twice.", "each name once; upper and lower case are the same", _HOW)
    if surplus and not isinstance(values, Available):
        raise _surplus(surplus, missing, sorted(wanted.values()))
    if missing:
        raise QueryError(
            f"The query needs a value for {_list(missing)}.",
            "one value for each parameter",
            f"\\set {missing[0]} VALUE" if isinstance(values, Available) else _example(missing),
        )
    return {
        wanted[name.lower()]: _checked(name, value) for name, value in named.items() if name.lower() in wanted
    } or None


def _by_name(values: Parameters | None) -> dict[str, object]:
    if values is None:
        return {}
    if isinstance(values, Mapping):
        for name in values:
            if not isinstance(name, str):
                raise QueryError(f"The name of a parameter is {name!r}.", "a text, as in $name", _HOW)
        return dict(values)
    if isinstance(values, str | bytes) or not isinstance(values, Sequence):
        raise QueryError(
            f"The parameters are a {type(values).__name__}.",
            "a dictionary for $name, or a list for ?",
            'sql("select $name", {"name": value})',
        )
    return {str(number): value for number, value in enumerate(values, start=1)}


def _surplus(surplus: Sequence[str], missing: Sequence[str], wanted: Sequence[str]) -> QueryError:
    what = f"The query has no parameter {_list(surplus)}."
    if not wanted:
        return QueryError(what, "a query that names it as $name", _HOW)
    near = difflib.get_close_matches(surplus[0].lower(), missing, n=1)
    expected = f"perhaps {_shown(near[0])}" if near else f"values for {_list(wanted)}"
    return QueryError(what, expected, _example(near or wanted))


def _checked(name: str, value: object) -> object:
    """Return a value that DuckDB binds.

    Raises:
        QueryError: The value is nested, not finite, too large or too long, or of another kind.
    """
    match value:
        case None | bool() | dt.datetime() | dt.date() | dt.time() | dt.timedelta() | bytes():
            return value
        case str():
            if len(value) > LONGEST:
                raise QueryError(
                    f"{_shown(name)} has {len(value):,} characters.", f"at most {LONGEST:,} characters", _HOW
                )
            if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
                shown = value[:80].encode("ascii", "backslashreplace").decode()
                raise QueryError(f"{_shown(name)} is not text in UTF-8: {shown}", "text in UTF-8", _HOW)
            return str(value)
        case numbers.Integral():
            number = int(value)
            if not -(2**127) < number < 2**127:
                raise QueryError(
                    f"{_shown(name)} is a number of {number.bit_length()} bits.",
                    "an integer between -2^127 and 2^127; larger ones as text",
                    _HOW,
                )
            return number
        case Decimal() if value.is_finite():
            _, digits, exponent = value.as_tuple()
            assert isinstance(exponent, int)
            if max(len(digits) + max(exponent, 0), -exponent) > _DIGITS:
                raise QueryError(
                    f"{_shown(name)} is a decimal of more than {_DIGITS} digits.",
                    f"at most {_DIGITS} digits; longer ones as text",
                    _HOW,
                )
            return value
        case numbers.Real() if math.isfinite(value):
            return float(value)
        case Decimal() | numbers.Real():
            raise QueryError(
                f"{_shown(name)} is {value}, which is not a finite number.", "a finite number or null", _HOW
            )
        case _ if type(value).__module__ == "numpy" and type(value).__name__ == "ndarray":
            return _vector(name, value)
        case _ if type(value).__module__ == "numpy" and type(value).__name__ in ("bool", "bool_"):
            return bool(value)
        case _:
            kind = type(value).__name__
            raise QueryError(f"{_shown(name)} is a {kind}.", f"one value: {_SIMPLE}", _HOW)


def _vector(name: str, value: Any) -> list[float]:
    """Return the numbers of an array of one dimension."""
    if value.ndim != 1 or value.dtype.kind not in "fiu" or not 0 < value.size <= LONGEST:
        raise QueryError(
            f"{_shown(name)} is an array of shape {value.shape} and type {value.dtype}.",
            f"one value: {_SIMPLE}; or a vector of at most {LONGEST:,} numbers",
            _HOW,
        )
    numbers: list[float] = value.astype(float).tolist()
    if not all(map(math.isfinite, numbers)):
        raise QueryError(f"{_shown(name)} is a vector with numbers that are not finite.", "finite numbers", _HOW)
    return numbers


def _shown(name: str) -> str:
    name = name if len(name) <= 80 else f"{name[:77]}..."
    return f"?{name}" if name.isdigit() else f"${name}"


def _list(names: Sequence[str]) -> str:
    shown = [_shown(name) for name in names[:5]]
    if len(names) > 5:
        return f"{', '.join(shown)} and {len(names) - 5:,} more"
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


def _example(names: Sequence[str]) -> str:
    return f"features sql QUERY {' '.join(f'--param {name}=VALUE' for name in names[:3])}"
