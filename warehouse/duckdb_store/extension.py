"""What a layer above the warehouse adds to SQL: relations and table functions that are not in the DuckDB files.

The warehouse knows nothing of vectors. A `Database` that was opened above it carries one `SqlExtension`, which names
what it adds, for the SQL guard, the catalog and the error messages, and installs it on the connection of each query
that names it.
"""

from __future__ import annotations

import ctypes
import os
import re
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from photogenic._lazy import duckdb, pl
from photogenic.warehouse.catalog import Relation
from photogenic.warehouse.duckdb_store.parameters import Parameters
from photogenic.warehouse.errors import PhotogenicError
from photogenic.warehouse.moment import Moments

__all__ = ["HIDDEN", "Instance", "SqlExtension", "words_of"]

HIDDEN = "_photogenic_"
"""Beginning of the names of tables and functions that an extension makes for itself. No query can name them."""


@dataclass(eq=False, slots=True, weakref_slot=True)
class Instance:
    """One DuckDB in memory with a snapshot attached as `store`. Its cursors share its functions and its memory.

    Attributes:
        con: its first connection. The instance lives until this and all cursors are gone.
        state: inode and time of modification of the snapshot file.
        base: name of the database that relations without a qualifier are in: `store`, or that of a moment.
        moments: the moment of these relations; empty: the published ones.
        made: names of the functions that an extension has created.
        kept: what an extension keeps for the next queries of this snapshot.
        process: the process that opened it. A fork of it has no threads of DuckDB: it can neither use nor close it.
    """

    con: duckdb.DuckDBPyConnection
    state: tuple[int, int] | None
    base: str = "store"
    moments: Moments = field(default_factory=Moments)
    made: set[str] = field(default_factory=set)
    kept: dict[str, Any] = field(default_factory=dict)
    process: int = field(default_factory=os.getpid)

    def __post_init__(self) -> None:
        _INSTANCES.add(self)

    def cursor(self, base: str | None = None) -> duckdb.DuckDBPyConnection:
        """Open a cursor, for queries of this program while another cursor runs; default: on `base`."""
        cursor = self.con.cursor()
        cursor.execute(f"use {base or self.base}")
        return cursor


_INSTANCES: weakref.WeakSet[Instance] = weakref.WeakSet()


def _leave_to_parent() -> None:
    """Keep a forked process from closing what its parent has open: DuckDB would wait for threads that it lacks."""
    for instance in list(_INSTANCES):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(instance.con))


os.register_at_fork(after_in_child=_leave_to_parent)


class SqlExtension(Protocol):
    """Relations and table functions that SQL of users may read beside those of the DuckDB files."""

    def functions(self) -> Mapping[str, str]:
        """Table functions: name -> its parameters and what it returns, in one line."""

    def relations(self) -> Mapping[str, Relation]:
        """Relations with their contracts, by name. They depend on the files of the store."""

    def reads(self, query: str) -> frozenset[str]:
        """Relations of the store that the things read which this query may name."""

    def install(self, con: duckdb.DuckDBPyConnection, instance: Instance, query: str) -> None:
        """Create what the query may name on its connection, as temporary views and macros.

        Args:
            con: the connection that will run the query, and nothing else.
            instance: the instance of the connection.
            query: SQL of a user.
        """

    def answer(self, query: str, params: Parameters | None) -> pl.DataFrame | None:
        """Return the answer of a query on the newest snapshot that needs no DuckDB; None: DuckDB answers it.

        Args:
            query: SQL of a user.
            params: values of its parameters.

        Raises:
            PhotogenicError: the error that the query has in DuckDB.
        """

    def rewrite(
        self, con: duckdb.DuckDBPyConnection, statement: duckdb.Statement, values: dict[str, object] | None
    ) -> tuple[duckdb.Statement, dict[str, object] | None]:
        """Return the statement to run for a statement that the guard has accepted, and the values of its parameters.

        Args:
            con: the connection that will run the query.
            statement: a statement that the guard has accepted.
            values: the values of its parameters.
        """

    def plan(self, con: duckdb.DuckDBPyConnection) -> list[str]:
        """Return how this extension answers parts of the statement of this connection, and what it noted so far."""

    def failure(self, con: duckdb.DuckDBPyConnection, error: Exception) -> PhotogenicError | None:
        """Return the error of this extension that an error of DuckDB on this connection stands for."""

    def release(self, con: duckdb.DuckDBPyConnection) -> None:
        """Forget a connection whose query has ended."""

    def close(self) -> None:
        """Close what stays open between queries."""


def words_of(query: str) -> frozenset[str]:
    """Return every word of a query in lower case: all names that it can contain, and more."""
    return frozenset(re.findall(r"\w+", query.lower()))
