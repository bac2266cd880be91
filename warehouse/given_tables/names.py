"""Check the names of tables and databases that a user gives to a query."""

from __future__ import annotations

from collections.abc import Iterable

from photogenic._lazy import duckdb
from photogenic.warehouse.catalog import Catalog
from photogenic.warehouse.duckdb_store.extension import HIDDEN
from photogenic.warehouse.errors import InputError
from photogenic.warehouse.moment import Moments
from photogenic.warehouse.sql_guard.allowed import TABLE_FUNCTIONS, VIEWS

__all__ = ["checked_names"]

_LONGEST = 63
_TAKEN = frozenset({"facts", "information_schema", "main", "memory", "moment", "pg_catalog", "store", "system", "temp"})
"""Names of databases and schemas that every query sees."""

_REMEDY = "meta, as in frames={'meta': df}, --table meta=FILE or --attach meta=FILE"


def checked_names(
    con: duckdb.DuckDBPyConnection,
    names: Iterable[str],
    catalog: Catalog,
    functions: Iterable[str] = (),
    moments: Moments | None = None,
) -> None:
    """Refuse names that a query could not use, or that would hide something of the store.

    Args:
        con: any connection.
        names: names of tables and databases; together they must be unique.
        catalog: relations of the store.
        functions: table functions of the store.
        moments: moments of the query; their names are those of databases.

    Raises:
        InputError: a name cannot be used.
    """
    reserved = {
        name
        for (name,) in con.execute(
            "select keyword_name from duckdb_keywords() where keyword_category in ('reserved', 'type_function')"
        ).fetchall()
    }
    of_moments = {name.lower() for name, _ in moments.named} if moments is not None else set()
    called = {name.lower() for name in functions}
    seen: set[str] = set()
    for name in names:
        short = name if len(name) <= _LONGEST else f"{name[:_LONGEST]}..."
        lower = name.lower()
        if lower in seen:
            raise InputError(f"Two tables are called {short}.", "a name for each; A and a are the same", _REMEDY)
        seen.add(lower)
        if lower in catalog.names:
            raise InputError(
                f"A table is called {short}, which is a relation of the store: it would be hidden.",
                "another name",
                _REMEDY,
            )
        if lower in of_moments:
            raise InputError(f"A table and a moment are called {short}.", "a name for each", _REMEDY)
        if lower in _TAKEN | VIEWS | TABLE_FUNCTIONS | called:
            raise InputError(f"A table is called {short}, which has a meaning in SQL here.", "another name", _REMEDY)
        if not name.isidentifier() or len(name) > _LONGEST or lower in reserved or lower.startswith(HIDDEN):
            raise InputError(
                f"A table is called {short!r}.",
                f"a name of letters, digits and _, of at most {_LONGEST} characters, that is no word of SQL",
                _REMEDY,
            )
