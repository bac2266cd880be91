"""Digests of what relations read: of computed relations their checksum, of facts a mark, of views those of their facts.

A base table that rows arrive in has a mark (fingerprints.py), which is cheap. A base table that is replaced as a whole,
such as facts.neighbours, has no times of arrival; its digest is a checksum of its rows.
"""

from __future__ import annotations

from typing import Protocol

from photogenic._lazy import duckdb
from photogenic.warehouse.catalog import Catalog
from photogenic.warehouse.labels.fingerprints import Mark, checksum, mark_of
from photogenic.warehouse.moment import Moment

__all__ = ["Digests", "Marks"]


class Marks(Protocol):
    """An engine that has facts outside the store, and their marks."""

    def mark(self, con: duckdb.DuckDBPyConnection, table: str, moment: Moment) -> Mark:
        """Return the mark of a base table, like `mark_of`."""


class Digests:
    """Digests of relations and base tables at one moment, each computed at most once.

    Args:
        con: connection with the relations.
        moment: the clock.
        catalog: the relations of the store.
        engine: engine that has the facts; None: the store has them.
    """

    def __init__(
        self, con: duckdb.DuckDBPyConnection, moment: Moment, catalog: Catalog, engine: Marks | None = None
    ) -> None:
        self._con, self._moment, self._catalog, self._engine = con, moment, catalog, engine
        self._held: dict[str, str] = {}
        self._undated: frozenset[str] | None = None

    def of(self, source: str) -> str:
        """Return the digest of the content of a relation or base table."""
        if source not in self._held:
            self._held[source] = self._computed(source)
        return self._held[source]

    def set(self, name: str, content: str) -> None:
        """Set the digest of a relation that was just computed or kept: the checksum of its rows."""
        self._held[name] = content

    def _computed(self, source: str) -> str:
        if source == "clock" or source in self._tables_without_arrival():
            return checksum(self._con, source)[1]
        if source.startswith("facts."):
            return str((self._engine.mark if self._engine is not None else mark_of)(self._con, source, self._moment))
        return "; ".join(self.of(read) for read in self._catalog.relation(source).reads if read != "clock")

    def _tables_without_arrival(self) -> frozenset[str]:
        if self._undated is None:
            query = """
                select 'facts.' || table_name from system.main.duckdb_columns() where schema_name = 'facts'
                group by all having not bool_or(column_name = 'ingested_at')
            """
            self._undated = frozenset(name for (name,) in self._con.execute(query).fetchall())
        return self._undated
