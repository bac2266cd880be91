"""Refuse to read relations that an older version of the program computed, or that it did not have."""

from __future__ import annotations

from photogenic import sql
from photogenic._lazy import duckdb
from photogenic.warehouse.catalog import relation
from photogenic.warehouse.errors import StoreError

__all__ = ["outdated_error", "require_current"]

_TABLES = """
    select table_name, list(column_name)
    from system.main.duckdb_columns()
    where database_name = 'store' and schema_name = 'main' and not internal
    group by table_name
"""


def outdated_error(con: duckdb.DuckDBPyConnection) -> StoreError | None:
    """Return the error for a snapshot that was built, but not by this version; None: it has all relations or none.

    Opening an older store migrates its base tables, and the next build computes what is new or has new columns.
    """
    held = {name: set(columns) for name, columns in con.execute(_TABLES).fetchall()}
    if not held.keys() & set(sql.RELATIONS):
        return None
    for name in (*sql.RELATIONS, *sql.VIEWS_OF_LABELS):
        if name not in held:
            return _error(f"It has no relation {name}")
        if lacking := [column.name for column in relation(name).columns if column.name not in held[name]]:
            return _error(f"Its relation {name} has no column {lacking[0]}")
    return None


def require_current(con: duckdb.DuckDBPyConnection) -> None:
    """Refuse a snapshot that was built by an older version.

    Raises:
        StoreError: a relation, or a column of one, is missing.
    """
    if (error := outdated_error(con)) is not None:
        raise error


def _error(what: str) -> StoreError:
    return StoreError(
        f"The labels of the store were computed by an older version. {what} yet.",
        "labels that this version computed",
        "features build --only labels",
    )
