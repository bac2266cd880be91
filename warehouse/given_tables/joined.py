"""A store with tables of the user's own beside its relations, for queries of this process.

A table as Arrow is scanned where it lies, by a temporary view of the connection of one query, which ends with it: the
instance that stays open between queries, and is lent to the next one, has seen nothing of it. Attached files belong to
a whole instance, so that they get one of their own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NoReturn, Union

from photogenic._lazy import duckdb, pa
from photogenic.warehouse.catalog import Catalog, Column, Relation, catalog_of
from photogenic.warehouse.duckdb_store.database import Database
from photogenic.warehouse.duckdb_store.extension import HIDDEN, Instance
from photogenic.warehouse.errors import InputError
from photogenic.warehouse.given_tables.attached import AttachedDatabase, AttachedFile, described
from photogenic.warehouse.given_tables.names import checked_names
from photogenic.warehouse.labels.past import MomentDatabase, Past

if TYPE_CHECKING:
    import pyarrow.dataset

__all__ = ["GivenTable", "JoinedDatabase", "joined"]


@dataclass(frozen=True, slots=True)
class GivenTable:
    """A table that a user gives to a query.

    Attributes:
        name: name in the query.
        source: what it is, for messages: a kind of frame, or a file.
        data: what DuckDB scans.
    """

    name: str
    source: str
    data: Union[pa.Table, pyarrow.dataset.Dataset]  # noqa: UP007

    def relation(self, con: duckdb.DuckDBPyConnection) -> Relation:
        """Return its columns as DuckDB sees them.

        Args:
            con: a connection on the store.

        Raises:
            InputError: DuckDB has no type for a column.
        """
        if not (self.data.column_names if isinstance(self.data, pa.Table) else self.data.schema.names):
            raise InputError(f"{self.source} has no columns.", "a table with columns", "frames={'meta': df}")
        view = f"{HIDDEN}given"
        try:
            con.register(view, self.data)
            found = con.sql(f"from {view}")
            columns = list(zip(found.columns, map(str, found.types), strict=True))
            con.unregister(view)
        except (duckdb.Error, pa.ArrowException) as error:
            raise InputError(
                f"{self.source} has a column that SQL cannot read: {str(error).partition(chr(10))[0]}",
                "numbers, texts, instants, lists and structures",
                "cast the column, or leave it out",
            ) from error
        return described(
            self.name, f"table of your own: {self.source}", [Column(name, kind.lower(), "") for name, kind in columns]
        )


@contextlib.contextmanager
def joined(db: Database, tables: Sequence[GivenTable], files: Sequence[AttachedFile]) -> Iterator[Database]:
    """Open a store, as of its moments, with tables and attached files beside it.

    Args:
        db: the store, or the store as of other moments.
        tables: tables, each with a name.
        files: DuckDB files, each with a name.

    Raises:
        InputError: a name or a table cannot be used, or a file cannot be attached.
        LockedError: a program writes to an attached file.
    """
    store, moments = (db.past.db, db.moments) if isinstance(db, MomentDatabase) else (db, None)
    with store.read(query="") as con:
        functions = () if db.extension is None else db.extension.functions()
        names = [*(table.name for table in tables), *(file.name for file in files)]
        checked_names(con, names, db.with_added(catalog_of(con)), functions, moments)
        added = {table.name.lower(): table.relation(con) for table in tables}
    with contextlib.ExitStack() as held:
        inner = db
        if files:
            base = AttachedDatabase(store, files)
            held.callback(base.close)
            inner = base
            if isinstance(db, MomentDatabase):
                beside = Past(base, db.past.note)
                held.callback(beside.close)
                inner = beside.database(db.moments)
            added |= base.relations()
        yield JoinedDatabase(inner, tables, added)


class JoinedDatabase(Database):
    """The database of a store whose `read` shows tables of the user's own too. It cannot be written.

    Args:
        inner: the store, as of its moments, and with its attached files.
        tables: tables that each connection scans.
        added: contracts of all tables of the user's own, by name.
    """

    def __init__(self, inner: Database, tables: Sequence[GivenTable], added: dict[str, Relation]) -> None:
        super().__init__(inner.layout, inner.settings)
        self.extension, self._inner, self._tables, self._added = inner.extension, inner, tuple(tables), added

    @contextlib.contextmanager
    def read(
        self, *, memory_limit: str | None = None, labelling: bool = False, query: str | None = None
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection for one query. See `Database.read`."""
        with self._inner.read(memory_limit=memory_limit, labelling=labelling, query=query) as con:
            for table in self._tables:
                con.register(table.name, table.data)
            yield con

    def instance_of(self, con: duckdb.DuckDBPyConnection) -> Instance | None:
        return self._inner.instance_of(con)

    def with_added(self, catalog: Catalog) -> Catalog:
        """Return a catalog with the relations of the extension, and the tables of the user's own."""
        catalog = super().with_added(catalog)
        return replace(catalog, added={**catalog.added, **self._added})

    @property
    def is_of_now(self) -> bool:
        """No query is answered without DuckDB, which alone knows the tables of the user."""
        return False

    def write(self, command: str, *, publish: bool = True) -> NoReturn:  # noqa: ARG002
        """Refuse to write.

        Raises:
            InputError: always.
        """
        raise InputError(f"{command} cannot write a store with tables of your own beside it.", "the store alone", "")
