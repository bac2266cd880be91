"""What DuckDB said about a query it refused, in three beats: the fact, what would do, what to type."""

from __future__ import annotations

import difflib
import re

from photogenic import sql
from photogenic.warehouse.catalog import relation
from photogenic.warehouse.errors import QueryError

__all__ = ["no_function", "no_relation", "no_rows", "no_text", "not_run", "out_of_reach", "refusal", "several"]

_READS = "a statement that reads: SELECT, FROM, DESCRIBE or SUMMARIZE"
_TABLES = 'features sql "show tables"'
_CAGE = f"{_READS}, on relations of the store; files and settings are out of its reach"
_CHANGES = frozenset(
    {"ALTER", "COPY_DATABASE", "CREATE", "CREATE_FUNC", "DELETE", "DROP", "INSERT", "MERGE", "MERGE_INTO", "UPDATE"}
)
"""Kinds of statements whose aim is other data."""


def refusal(query: str, error: Exception) -> QueryError:
    """The error to raise for what DuckDB raised."""
    kind, _, what = str(error).partition("Error: ")
    fact, _, place = what.partition("\n")
    about = _relations_in(query)
    show = f"features sql --show {about[0]}" if about else _TABLES
    in_query = f"{fact.rstrip('!.')}: {_short(query)}"

    if found := re.match(r"Table with name \"?([\w.]+)\"? does not exist", fact):
        return no_relation(found[1])
    if found := re.search(r"(?:Referenced column|does not have a column named) \"(\w+)\"", fact):
        return QueryError(
            f"There is no column {found[1]} in: {_short(query)}", _near_columns(found[1], about, place), show
        )
    if "read-only" in fact or "Can only" in fact:
        return _no_change(in_query)
    if kind.startswith("Permission") or "configuration has been locked" in fact:
        return QueryError(in_query, _CAGE, _TABLES)
    if kind.startswith("Out of Memory"):
        return QueryError(
            in_query, "an answer that fits the memory limit", "FEATURES_MEMORY_LIMIT=8GB features sql ..."
        )
    return QueryError(in_query, f"sound SQL at the mark\n{place}" if "^" in place else "", show)


def no_rows(query: str) -> QueryError:
    """For a statement that is none, or gives nothing back."""
    return QueryError(f"The statement gives no rows: {_short(query)}", _READS, _TABLES)


def no_text(query: str) -> QueryError:
    """For half a letter of UTF-16, or bytes that are no UTF-8."""
    shown = _short(query).encode("ascii", "backslashreplace").decode()
    return QueryError(f"The statement is not text in UTF-8: {shown}", _READS, _TABLES)


def several(query: str, n: int) -> QueryError:
    """For statements of which only one would be answered."""
    return QueryError(
        f"There are {n} statements, and one is answered at a time: {_short(query)}", _READS, "send them one by one"
    )


def not_run(query: str, kind: str) -> QueryError:
    """For a statement, or a part of one, that does more than read."""
    word = {"MULTI": "This form of PIVOT", "EXPLAIN": "EXPLAIN of what is no query"}.get(kind, kind.replace("_", " "))
    if kind in _CHANGES:
        return _no_change(f"Nothing can be changed here, and {word} would: {_short(query)}")
    return QueryError(f"{word} is not run here: {_short(query)}", _CAGE, _TABLES)


def no_function(query: str, name: str, allowed: list[str], *, known: bool) -> QueryError:
    """For a function that nobody may use, or that DuckDB does not know."""
    if known:
        what, expected = f"The function {name} is not run here", "functions that compute from values and relations"
        return QueryError(f"{what}: {_short(query)}", f"{expected}; files and settings are out of its reach", _TABLES)
    near = difflib.get_close_matches(name.lower(), allowed, n=1)
    expected = f"perhaps {near[0]}" if near else "a function of DuckDB"
    return QueryError(f"There is no function {name}: {_short(query)}", expected, _TABLES)


def out_of_reach(query: str, name: str) -> QueryError:
    """For a file, or what tells of the machine, in place of a relation."""
    return QueryError(f"{name} is no relation of the store: {_short(query)}", _CAGE, _TABLES)


def _no_change(what: str) -> QueryError:
    return QueryError(what, f"{_READS}; the snapshot is not written to", "features ingest --help")


def no_relation(name: str) -> QueryError:
    """For a name that no relation has."""
    if name in sql.RELATIONS:
        return QueryError(f"The relation {name} has not been computed yet.", "a store that was built", "features build")
    near = difflib.get_close_matches(name, [*sql.RELATIONS, *sql.VIEWS], n=3)
    expected = f"one of the relations; near it: {', '.join(near)}" if near else "one of the relations"
    return QueryError(f"There is no relation {name}.", expected, f"features sql --show {near[0]}" if near else _TABLES)


def _near_columns(name: str, about: list[str], place: str) -> str:
    columns = list(dict.fromkeys(column.name for one in about for column in relation(one).columns))
    columns = columns or list(dict.fromkeys(re.findall(r'"(?:\w+\.)?(\w+)"', place.partition("Candidate")[2])))
    near = difflib.get_close_matches(name, columns, n=3)
    if near:
        return f"perhaps {' or '.join(near)}"
    return f"one of {', '.join(columns)}" if columns else ""


def _relations_in(query: str) -> list[str]:
    """The relations that the query names, in the order in which it does."""
    known = {*sql.RELATIONS, *sql.VIEWS}
    return list(dict.fromkeys(word for word in re.findall(r"\w+", query.lower()) if word in known))


def _short(query: str) -> str:
    line = " ".join(query.split())
    return line if len(line) <= 200 else line[:197] + "..."
