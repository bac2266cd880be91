"""The version of a warehouse, and the steps from one to the next: sql/migrations/N.sql makes version N out of N - 1.

All steps that a store lacks run in one transaction: killed at any moment, it is of the former version or of this one.
`sql/schema.sql` makes a new store of the newest version at once; a test holds both roads together.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from photogenic import sql
from photogenic.warehouse.errors import StoreError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["SCHEMA_VERSION", "create", "migrate", "refuse_newer", "version_of"]

SCHEMA_VERSION = sql.migrations()[-1]
"""Of the base tables in sql/schema.sql. A store with a higher one is refused, one with a lower one migrated."""


def version_of(con: DuckDBPyConnection) -> int | None:
    """Of the warehouse that a connection is on; None: it holds nothing yet."""
    known = con.execute(
        "select 1 from duckdb_tables() where database_name = current_database()"
        " and schema_name = 'facts' and table_name = 'version'"
    )
    if known.fetchone() is None:
        return None
    row = con.execute("select max(version) from facts.version").fetchone()
    return int(row[0]) if row and row[0] is not None else 0


def create(con: DuckDBPyConnection) -> None:
    """The base tables of a new store."""
    con.begin()
    con.execute(sql.schema())
    con.execute("insert into facts.version values ($1)", [SCHEMA_VERSION])
    con.commit()


def migrate(con: DuckDBPyConnection, found: int) -> None:
    """Bring base tables of version `found` to this one, in one transaction.

    Raises:
        StoreError: there is no way from that version.
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
    """Raises:
    StoreError: the store was written by a newer version of the program.
    """
    if found > SCHEMA_VERSION:
        raise StoreError(
            f"The store {where} has schema version {found}: a newer Photogenic has written to it.",
            f"at most version {SCHEMA_VERSION}, which this one knows",
            "pip install --upgrade photogenic",
        )
