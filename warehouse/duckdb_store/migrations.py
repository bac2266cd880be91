"""Migrate a warehouse from one schema version to the next: sql/migrations/N.sql turns version N - 1 into N.

All missing steps run in one transaction: a process killed at any moment leaves the old version or the new one.
`sql/schema.sql` creates a new store of the newest version directly; a test checks that both ways give the same tables.
"""

from __future__ import annotations

from pathlib import Path

from photogenic import sql
from photogenic._lazy import duckdb
from photogenic.warehouse.errors import StoreError

__all__ = ["SCHEMA_VERSION", "create", "migrate", "refuse_newer", "version_of"]

SCHEMA_VERSION = sql.migrations()[-1]
"""Version of the base tables in sql/schema.sql. A store with a higher one is refused, one with a lower one migrated."""


def version_of(con: duckdb.DuckDBPyConnection) -> int | None:
    """Return the version of the warehouse of a connection; None: it has no tables yet."""
    known = con.execute(
        "select 1 from duckdb_tables() where database_name = current_database()"
        " and schema_name = 'facts' and table_name = 'version'"
    )
    if known.fetchone() is None:
        return None
    row = con.execute("select max(version) from facts.version").fetchone()
    return int(row[0]) if row and row[0] is not None else 0


def create(con: duckdb.DuckDBPyConnection) -> None:
    """Create the base tables of a new store."""
    con.begin()
    con.execute(sql.schema())
    con.execute("insert into facts.version values ($1)", [SCHEMA_VERSION])
    con.commit()


def migrate(con: duckdb.DuckDBPyConnection, found: int) -> None:
    """Migrate base tables of version `found` to the current version, in one transaction.

    Raises:
        StoreError: there is no migration from that version.
    """
    steps = [version for version in sql.migrations() if version > found]
    if found < sql.migrations()[0] - 1:
        raise StoreError(
            f"The store has schema version {found}.",
            f"version {sql.migrations()[0] - 1} to {SCHEMA_VERSION}",
            "features ingest builds a store of this version from the same files",
        )
    con.begin()
    try:
        for version in steps:
            con.execute(sql.read(f"migrations/{version}"))
            con.execute("insert into facts.version values ($1)", [version])
    except BaseException:
        con.rollback()
        raise
    con.commit()


def refuse_newer(found: int, where: Path) -> None:
    """Refuse a store that a newer version of the program wrote.

    Raises:
        StoreError: its version is newer than `SCHEMA_VERSION`.
    """
    if found > SCHEMA_VERSION:
        raise StoreError(
            f"The store {where} has schema version {found}: a newer Photogenic has written to it.",
            f"at most version {SCHEMA_VERSION}",
            "pip install --upgrade photogenic",
        )
