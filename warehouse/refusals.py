"""What DuckDB said about a query it refused, in three beats: the fact, what would do, what to type."""

from __future__ import annotations

import difflib
import re

import sql
from warehouse.errors import QueryError
from warehouse.relations import relation

__all__ = ["no_rows", "refusal"]

_READS = "a statement that reads: SELECT, FROM, DESCRIBE or SUMMARIZE"
_TABLES = 'features sql "show tables"'


def refusal(query: str, error: Exception) -> QueryError:
    """The error to raise for what DuckDB raised."""
    kind, _, what = str(error).partition("Error: ")
    fact, _, place = what.partition("\n")
    about = _relations_in(query)
    show = f"features sql --show {about[0]}" if about else _TABLES
    in_query = f"{fact.rstrip('!.')}: {_short(query)}"

    if found := re.match(r"Table with name \"?([\w.]+)\"? does not exist", fact):
        return _no_relation(found[1])
    if found := re.search(r"(?:Referenced column|does not have a column named) \"(\w+)\"", fact):
        return QueryError(f"There is no column {found[1]} in: {_short(query)}", _near_columns(found[1], about), show)
    if "function with name" in fact.lower():
        near = re.search(r"Did you mean \"(\w+)\"", place)
        return QueryError(in_query, f"perhaps {near[1]}" if near else "a function of DuckDB", _TABLES)
    if "read-only" in fact or "Can only" in fact:
        return QueryError(in_query, f"{_READS}; the snapshot is not written to", "features ingest --help")
    if kind.startswith("Permission") or "configuration has been locked" in fact:
        return QueryError(
            in_query, f"{_READS}, on relations of the store; files and settings are out of its reach", _TABLES
        )
    if kind.startswith("Out of Memory"):
        return QueryError(
            in_query, "an answer that fits the memory limit", "FEATURES_MEMORY_LIMIT=8GB features sql ..."
        )
    return QueryError(in_query, f"sound SQL at the mark\n{place}" if "^" in place else "", show)


def no_rows(query: str) -> QueryError:
    """For a statement that is none, or gives nothing back."""
    return QueryError(f"The statement gives no rows: {_short(query)}", _READS, _TABLES)


def _no_relation(name: str) -> QueryError:
    if name in sql.RELATIONS:
        return QueryError(f"The relation {name} has not been computed yet.", "a store that was built", "features build")
    near = difflib.get_close_matches(name, [*sql.RELATIONS, *sql.VIEWS], n=3)
    expected = f"one of the relations; near it: {', '.join(near)}" if near else "one of the relations"
    return QueryError(f"There is no relation {name}.", expected, f"features sql --show {near[0]}" if near else _TABLES)


def _near_columns(name: str, about: list[str]) -> str:
    columns = list(dict.fromkeys(column.name for one in about for column in relation(one).columns))
    near = difflib.get_close_matches(name, columns, n=3) or columns
    return f"one of {', '.join(near)}" if near else ""


def _relations_in(query: str) -> list[str]:
    """The relations that the query names, in the order in which it does."""
    known = {*sql.RELATIONS, *sql.VIEWS}
    return list(dict.fromkeys(word for word in re.findall(r"\w+", query.lower()) if word in known))


def _short(query: str) -> str:
    line = " ".join(query.split())
    return line if len(line) <= 200 else line[:197] + "..."
