"""Errors for queries that DuckDB or the guard refused, with what was expected and a command to try."""

from __future__ import annotations

import difflib
import re

from photogenic import sql
from photogenic.warehouse.catalog import OURS, Catalog
from photogenic.warehouse.errors import QueryError, QueryMemoryError

__all__ = [
    "no_function",
    "no_relation",
    "no_rows",
    "no_text",
    "not_a_relation",
    "not_allowed",
    "not_in_from",
    "query_error",
    "several_statements",
]


_READS = "a statement that reads: SELECT, FROM, DESCRIBE or SUMMARIZE"
_TABLES = 'features sql "show tables"'
_CAGE = f"{_READS}, on relations of the store; files and settings cannot be accessed"
_CHANGES = frozenset(
    {"ALTER", "COPY_DATABASE", "CREATE", "CREATE_FUNC", "DELETE", "DROP", "INSERT", "MERGE", "MERGE_INTO", "UPDATE"}
)
"""Kinds of statements that change data."""


def query_error(query: str, error: Exception, catalog: Catalog = OURS) -> QueryError:
    """Return the error to raise for an exception of DuckDB.

    Args:
        query: the query.
        error: what DuckDB raised.
        catalog: the relations of the store.
    """
    kind, sign, what = str(error).partition("Error: ")
    what = what if sign else kind  # some messages have no kind
    fact, _, place = what.partition("\n")
    about = _relations_in(query, catalog)
    show = _show(about[0], catalog) if about else _TABLES
    in_query = f"{fact.rstrip('!.')}: {_short(query)}"

    if found := re.match(r"Table with name \"?([\w.]+)\"? does not exist", fact):
        return no_relation(found[1], catalog)
    if found := re.search(r"(?:Referenced column|does not have a column named) \"(\w+)\"", fact):
        alias = re.search(r"\"(\w+)\" does not have a column named", fact)
        return _no_column(query, found[1], alias[1] if alias else None, place, catalog)
    if found := re.match(r"Ambiguous reference to column name \"(\w+)\" \(use: (.+)\)", fact):
        choices = ", ".join(dict.fromkeys(re.findall(r"\w+\.\w+", found[2].replace('"', ""))))
        return QueryError(
            f"More than one relation has a column {found[1]} in: {_short(query)}", f"one of {choices}", show
        )
    if found := re.match(r"Macro \"?(\w+)\"?\(\) does not support the supplied arguments", fact):
        takes = place.partition("Candidate macros:")[2].strip().replace('"', "").replace("NULL", "null")
        return QueryError(
            f"{found[1]} cannot be called like this: {_short(query)}",
            takes or "other arguments",
            f"{found[1]}(VALUE, name := VALUE), each name once",
        )
    if "read-only" in fact or "Can only" in fact:
        return _no_change(in_query)
    if kind.startswith("Permission") or "configuration has been locked" in fact:
        return QueryError(in_query, _CAGE, _TABLES)
    if kind.startswith("Out of Memory"):
        return QueryMemoryError(
            in_query, "a query that fits into the memory limit", "FEATURES_MEMORY_LIMIT=8GB features sql ..."
        )
    return QueryError(in_query, f"valid SQL at the mark\n{place}" if "^" in place else "", show)


def no_rows(query: str) -> QueryError:
    """Return the error for an empty statement, or one that returns no rows."""
    return QueryError(f"The statement gives no rows: {_short(query)}", _READS, _TABLES)


def no_text(query: str) -> QueryError:
    """Return the error for a query that is not valid UTF-8 or has a lone surrogate."""
    shown = _short(query).encode("ascii", "backslashreplace").decode()
    return QueryError(f"The statement is not text in UTF-8: {shown}", _READS, _TABLES)


def several_statements(query: str, n: int) -> QueryError:
    """Return the error for a query of several statements."""
    return QueryError(
        f"There are {n} statements, and only one can run at a time: {_short(query)}", _READS, "send them one by one"
    )


def not_allowed(query: str, kind: str) -> QueryError:
    """Return the error for a statement, or a part of one, that does more than read."""
    words = {"MULTI": "This form of PIVOT", "EXPLAIN": "EXPLAIN of a statement that is not a query"}
    word = words.get(kind, kind.replace("_", " "))
    if kind in _CHANGES:
        return _no_change(f"{word} would change data, and queries can only read: {_short(query)}")
    return QueryError(f"{word} is not allowed here: {_short(query)}", _CAGE, _TABLES)


def no_function(query: str, name: str, allowed: list[str], *, known: bool) -> QueryError:
    """Return the error for a function that is not allowed, or that does not exist."""
    if name.lower() in allowed:
        return QueryError(
            f"The function {name} has the name of a schema before it: {_short(query)}",
            f"{name} alone",
            f"from {name}(...)",
        )
    if known:
        what, expected = f"The function {name} is not allowed here", "functions that compute from values and relations"
        return QueryError(f"{what}: {_short(query)}", f"{expected}; files and settings cannot be accessed", _TABLES)
    near = difflib.get_close_matches(name.lower(), allowed, n=1)
    expected = f"perhaps {near[0]}" if near else "a function of DuckDB"
    return QueryError(f"There is no function {name}: {_short(query)}", expected, _TABLES)


def not_in_from(query: str, name: str) -> QueryError:
    """Return the error for a table function among expressions."""
    return QueryError(f"{name} is a table function: {_short(query)}", "a table function in FROM", f"from {name}(...)")


def not_a_relation(query: str, name: str) -> QueryError:
    """Return the error for a file, or a system view that describes the machine, in place of a relation."""
    return QueryError(f"{name} is not a relation of the store: {_short(query)}", _CAGE, _TABLES)


def _no_change(what: str) -> QueryError:
    return QueryError(what, f"{_READS}; the snapshot is read-only", "features ingest --help")


def no_relation(name: str, catalog: Catalog = OURS) -> QueryError:
    """Return the error for a relation that does not exist."""
    if name in catalog.unbuilt:
        why = catalog.unbuilt[name].splitlines()[0]
        said = "has not been computed yet" if why == "pending" else f"failed, and has no rows: {why}"
        return QueryError(f"The relation {name} {said}.".replace("..", "."), "a relation with rows", "features build")
    if name in catalog.names and name not in sql.VIEWS:
        return QueryError(f"The relation {name} has not been computed yet.", "a store that was built", "features build")
    near = difflib.get_close_matches(name.lower(), catalog.names, n=3)
    ends = {one.rpartition(".")[2].lower(): one for one in catalog.added if "." in one}
    near += [ends[end] for end in difflib.get_close_matches(name.lower(), ends, n=3) if ends[end] not in near]
    expected = f"one of the relations; similar names: {', '.join(near)}" if near else "one of the relations"
    return QueryError(f"There is no relation {name}.", expected, _show(near[0], catalog) if near else _TABLES)


def _show(name: str, catalog: Catalog) -> str:
    """Return what shows the columns of a relation; a table of the user's own is known to its query only."""
    added = catalog.added.get(name)
    return f"describe {name}" if added is not None and not added.grain else f"features sql --show {name}"


def _no_column(query: str, name: str, alias: str | None, place: str, catalog: Catalog) -> QueryError:
    """Return the error for a column that is not there: in the relation before it, or in any of the query."""
    named = _relations_in(query, catalog)
    meant = None if alias is None else _relation_called(query, alias, catalog)
    about = named if alias is None else [meant] if meant else []
    columns = [column.name for one in about for column in catalog.relation(one).columns]
    columns = columns or re.findall(r'"(?:\w+\.)?(\w+)"', place.partition("Candidate")[2])
    columns = [column for column in dict.fromkeys(columns) if column != name.lower()]
    near = difflib.get_close_matches(name, columns, n=3)
    expected = f"perhaps {' or '.join(near)}" if near else f"one of {', '.join(columns)}" if columns else ""
    holders = [
        one
        for one in named
        if one != meant and any(column.name == name.lower() for column in catalog.relation(one).columns)
    ]
    if holders:
        expected = f"{expected}; {' and '.join(holders)} {'has' if len(holders) == 1 else 'have'} a column {name}"
    where = f"{alias} ({meant})" if alias and meant and alias != meant else alias
    return QueryError(
        f"There is no column {name} in {where}: {_short(query)}"
        if where
        else f"There is no column {name} in: {_short(query)}",
        expected.removeprefix("; "),
        _show(meant or named[0], catalog) if named else _TABLES,
    )


def _relation_called(query: str, alias: str, catalog: Catalog) -> str | None:
    """Return the relation that has an alias in the query, or that name itself; None: a subquery, or not found."""
    if alias.lower() in catalog.names:
        return alias.lower()
    for name, called in re.findall(r"\b(\w+)\s+(?:as\s+)?(\w+)", query.lower()):
        if called == alias.lower() and name in catalog.names:
            return str(name)
    return None


def _relations_in(query: str, catalog: Catalog) -> list[str]:
    """Return the relations that the query names, in order of appearance."""
    known = set(catalog.names)
    return list(dict.fromkeys(word for word in re.findall(r"\w+", query.lower()) if word in known))


def _short(query: str) -> str:
    line = " ".join(query.split())
    return line if len(line) <= 200 else line[:197] + "..."
