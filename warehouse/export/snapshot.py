"""Read several relations of one snapshot, while others publish newer ones."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from photogenic._lazy import duckdb
from photogenic.warehouse.duckdb_store.database import Database, list_relations_only
from photogenic.warehouse.duckdb_store.extension import Instance

__all__ = ["PinnedDatabase", "pinned"]


class PinnedDatabase(Database):
    """A database whose readers all see the snapshot, or the moments, of one open connection."""

    def __init__(self, db: Database, con: duckdb.DuckDBPyConnection, instance: Instance) -> None:
        super().__init__(db.layout, db.settings)
        self.extension, self._con, self._instance = db.extension, con, instance

    @contextlib.contextmanager
    def read(
        self,
        *,
        memory_limit: str | None = None,  # noqa: ARG002 - that of the open connection holds
        labelling: bool = False,  # noqa: ARG002
        query: str | None = None,  # noqa: ARG002
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a cursor of the open connection."""
        con = self._con.cursor()
        con.execute(f"use {self._instance.base}")
        list_relations_only(con)
        with self._reading(con, self._instance):
            yield con


@contextlib.contextmanager
def pinned(db: Database, query: str) -> Iterator[PinnedDatabase]:
    """Yield the database as it is now.

    Args:
        db: the store, or its relations of another moment.
        query: text that names every relation that will be read.
    """
    with db.read(query=query) as con:
        instance = db.instance_of(con)
        assert instance is not None
        yield PinnedDatabase(db, con, instance)
