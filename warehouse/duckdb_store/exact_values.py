"""Convert values that Python, Arrow or Parquet cannot hold to the text that DuckDB prints for them.

    infinite instants and dates      Python's clients make the year 9999 or 1 of them
    intervals                        Python has no months: a year would be 360 days
    times of day with an offset      Arrow drops the offset
    nanoseconds                      Python's clients cut them off
    unions, variants, bit strings    Parquet and polars have no such types

Three readers, three projections: rows of Python objects (`Rows`), Arrow for Parquet (`for_arrow`), polars (`misfits`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from photogenic._lazy import pa, pc

__all__ = ["Rows", "for_arrow", "project", "sample_rows", "unsupported_columns"]

_INSTANTS = frozenset({"date", "timestamp", "timestamp_s", "timestamp_ms"})
_ZONED = frozenset({"timestamp with time zone", "timestamptz_ns"})
_NANOSECONDS = frozenset({"timestamp_ns", "timestamptz_ns"})
_TEXT = frozenset({"interval", "time with time zone", "time_ns"})
_NESTED = frozenset({"list", "array", "struct", "map"})
_ARROW = _INSTANTS | _NANOSECONDS | _NESTED | _ZONED
_ARROW |= {"boolean", "tinyint", "smallint", "integer", "bigint", "hugeint", "float", "double", "decimal", "varchar"}
_ARROW |= {"utinyint", "usmallint", "uinteger", "ubigint", "blob", "enum", "uuid", "time", "sqlnull", "geometry"}
"""Types whose values Arrow and Parquet hold unchanged."""

_UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
"""Arrow's time unit -> units per second."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Projection for rows with values that Python cannot hold.

    Attributes:
        expressions: the columns to select, in their order, then the texts that replace single values.
        replaced: for each of these texts, the number of the column that it belongs to.
    """

    expressions: tuple[str, ...]
    replaced: tuple[int, ...]

    @classmethod
    def of(cls, types: Sequence[Any]) -> Rows | None:
        """Make the projection for columns of these types, named c0, c1, ...; None: Python holds all their values."""
        columns, texts, replaced = list[str](), list[str](), list[int]()
        for number, kind in enumerate(types):
            column = f"c{number}"
            columns.append(_for_python(column, kind))
            text = _where_python_fails(column, kind)
            if text is not None:
                texts.append(text)
                replaced.append(number)
        if not texts and all(column == f"c{number}" for number, column in enumerate(columns)):
            return None
        return cls((*columns, *texts), tuple(replaced))

    def restore(self, rows: Sequence[tuple[object, ...]]) -> Iterator[tuple[object, ...]]:
        """Return the rows of the query from rows of `expressions`."""
        n = len(self.expressions) - len(self.replaced)
        for row in rows:
            values, texts = row[:n], row[n:]
            if all(text is None for text in texts):
                yield values
                continue
            given = list(values)
            for number, text in zip(self.replaced, texts, strict=True):
                if text is not None:
                    given[number] = text
            yield tuple(given)


def project(query: str, n_columns: int, expressions: Sequence[str]) -> str:
    """Wrap a query in a SELECT of `expressions` over its columns, named c0, c1, ... The query has no semicolon."""
    names = ", ".join(f"c{number}" for number in range(n_columns))
    return f"select {', '.join(expressions)} from (\n{query}\n) as answer({names})"


def sample_rows(query: str, columns: Sequence[str], n_rows: int) -> str:
    """Wrap a query so that it returns a random sample of `n_rows` of its rows, the same one each time."""
    names = [f"c{number} as {_name(name)}" for number, name in enumerate(columns)]
    return f"{project(query, len(columns), names)} using sample reservoir({n_rows} rows) repeatable (1)"


def for_arrow(columns: Sequence[str], types: Sequence[Any], wrong: Collection[int] = ()) -> list[str] | None:
    """Return expressions over the columns c0, c1, ..., with text where Arrow or Parquet has no such type.

    Args:
        columns: names of the columns.
        types: types of the columns, from DuckDB's client.
        wrong: numbers of further columns to return as text.

    Returns: None if no column has to be text.
    """
    texts = [number in wrong or not _fits_arrow(kind) for number, kind in enumerate(types)]
    if not any(texts):
        return None
    return [
        f"{f'cast(c{number} as varchar)' if text else f'c{number}'} as {_name(name)}"
        for number, (name, text) in enumerate(zip(columns, texts, strict=True))
    ]


def unsupported_columns(table: pa.Table) -> list[int]:
    """Return the numbers of the columns of an Arrow table that polars cannot show: years beyond 9999, 39 digits."""
    return [number for number, column in enumerate(table.columns) if not all(map(_is_shown, column.chunks))]


def _is_shown(values: pa.Array) -> bool:

    kind = values.type
    if pa.types.is_nested(kind):
        if pa.types.is_map(kind):
            inside = [values.keys, values.items]
        elif pa.types.is_struct(kind):
            inside = [values.field(n) for n in range(kind.num_fields)]
        else:
            inside = [values.flatten()]
        return all(map(_is_shown, inside))
    if pa.types.is_date32(kind):
        least, most, numbers = -719_162, 2_932_896, values.cast(pa.int32())
    elif pa.types.is_timestamp(kind):
        unit = _UNITS[kind.unit]
        least, most = max(-62_135_596_800 * unit, 2 - 2**63), min(253_402_300_800 * unit - 1, 2**63 - 2)
        numbers = values.cast(pa.int64())
    elif pa.types.is_time64(kind):
        least, most, numbers = 0, 86_400 * _UNITS[kind.unit] - 1, values.cast(pa.int64())
    elif pa.types.is_decimal128(kind) and (kind.precision, kind.scale) == (38, 0):
        least, most, numbers = 1 - 10**38, 10**38 - 1, values
    else:
        return True
    ends = pc.min_max(numbers).as_py()
    return ends["min"] is None or (least <= ends["min"] and ends["max"] <= most)


def _for_python(column: str, kind: Any) -> str:
    """Return the expression whose values DuckDB's Python client returns exactly."""
    if kind.id in _INSTANTS | _NANOSECONDS | _ZONED:
        naive = _naive(column, kind)  # the client needs pytz for zones
        return f"cast({naive} as timestamp)" if kind.id in _NANOSECONDS else naive
    if kind.id in _TEXT or (kind.id not in _ARROW and _holds(kind)):
        return f"cast({column} as varchar)"
    return _inside(column, kind, 0) if kind.id in _NESTED and _holds(kind) else column


def _where_python_fails(column: str, kind: Any) -> str | None:
    """Return the expression for the text of a value that Python cannot hold; NULL for all other values."""
    naive = _naive(column, kind)
    if kind.id in _NANOSECONDS:
        return (
            f"case when isinf({naive}) then cast({naive} as varchar) "
            f"when epoch_ns({naive}) % 1000 <> 0 then {_iso(column, kind)} end"
        )
    if kind.id in _INSTANTS | _ZONED:
        return f"case when isinf({naive}) then cast({naive} as varchar) end"
    return None


def _holds(kind: Any) -> bool:
    """Whether a type has, at any depth, values that Python cannot hold."""
    if kind.id in _INSTANTS | _NANOSECONDS | _ZONED | _TEXT:
        return True
    return any(_holds(child) for child in _children(kind))


def _inside(value: str, kind: Any, depth: int) -> str:
    """Return the expression of a nested value with text in place of values that Python cannot hold."""
    if not _holds(kind):
        return value
    item = f"x{depth}"
    if kind.id in (_INSTANTS | _NANOSECONDS | _ZONED) - {"date"}:
        return _iso(value, kind)
    if kind.id in ("list", "array"):
        (child,) = _children(kind)
        return f"list_transform({value}, lambda {item}: {_inside(item, child, depth + 1)})"
    if kind.id == "struct":
        fields = ", ".join(
            f"{_name(name)} := {_inside(f'{value}.{_name(name)}', child, depth + 1)}" for name, child in kind.children
        )
        return f"case when {value} is not null then struct_pack({fields}) end"
    if kind.id == "map":
        key, child = _children(kind)
        pair = f"({_inside(f'{item}.key', key, depth + 1)}, {_inside(f'{item}.value', child, depth + 1)})"
        return f"map_from_entries(list_transform(map_entries({value}), lambda {item}: {pair}))"
    return f"cast({value} as varchar)"


def _iso(value: str, kind: Any) -> str:
    """Return the expression for ISO 8601 in UTC, as in JSON output; DuckDB's text outside the years 1 to 9999."""
    naive = _naive(value, kind)
    text = f"cast({naive} as varchar)"
    padded = text if kind.id in _NANOSECONDS else f"strftime({naive}, '%Y-%m-%dT%H:%M:%S.%f')"
    return (
        f"case when isinf({naive}) or extract(year from {naive}) not between 1 and 9999 then {text} "
        f"when {naive} = date_trunc('second', {naive}) then strftime({naive}, '%Y-%m-%dT%H:%M:%SZ') "
        f"else replace({padded}, ' ', 'T') || 'Z' end"
    )


def _naive(value: str, kind: Any) -> str:
    """Return the expression for the same instant in UTC without a zone."""
    return f"({value} at time zone 'UTC')" if kind.id in _ZONED else value


def _fits_arrow(kind: Any) -> bool:
    if kind.id == "struct" and not kind.children:
        return False  # Parquet has no empty structs
    return kind.id in _ARROW and all(_fits_arrow(child) for child in _children(kind))


def _children(kind: Any) -> list[Any]:
    """The types inside a nested type."""
    if kind.id not in _NESTED | {"union", "tuple"}:
        return []
    return [child for name, child in kind.children if not (kind.id == "array" and name == "size")]


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
