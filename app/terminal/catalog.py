"""The relations of a store: their columns, and the SQL that computes each."""

from __future__ import annotations

from dataclasses import dataclass

from photogenic.app.terminal.output import Table
from photogenic.warehouse.catalog import OURS, catalog_of
from photogenic.warehouse.catalog import Catalog as Relations
from photogenic.warehouse.duckdb_store.database import Database
from photogenic.warehouse.duckdb_store.query_errors import no_relation
from photogenic.warehouse.sql_guard.allowed import FUNCTIONS

__all__ = ["Catalog", "list_columns", "list_relations", "relation_sql", "relations_of", "shown"]


@dataclass(frozen=True, slots=True)
class Catalog:
    """The names that completion offers: the relations of a store with their columns, and words of SQL."""

    columns: dict[str, tuple[str, ...]]
    keywords: tuple[str, ...]
    functions: tuple[str, ...] = ()

    @classmethod
    def of(cls, db: Database) -> Catalog:
        columns: dict[str, list[str]] = {}
        with db.read(query="") as con:  # the names are those of the store, as of any moment
            for name, column in con.execute(
                "select table_name, column_name from system.main.duckdb_columns() where database_name = 'store'"
                " and schema_name = 'main' order by table_name, column_index"
            ).fetchall():
                columns.setdefault(name, []).append(column)
            keywords = con.execute(
                "select keyword_name from duckdb_keywords() where keyword_category in ('reserved', 'type_function')"
                " order by all"
            ).fetchall()
        added, functions = db.with_added(OURS).added, set(FUNCTIONS)
        if db.extension is not None:
            functions.update(db.extension.functions())
        return cls(
            {name: tuple(found) for name, found in columns.items()}
            | {name: tuple(column.name for column in one.columns) for name, one in added.items()},
            tuple(name for (name,) in keywords),
            tuple(sorted(name for name in functions if name.isidentifier() and not name.startswith("_"))),
        )


def relations_of(db: Database) -> Relations:
    """Return the relations of a store; those of sql/ if there is no store."""
    if not db.layout.snapshot.exists():
        return OURS
    with db.read(query="") as con:
        return db.with_added(catalog_of(con))


def list_relations(relations: Relations) -> Table:
    """List every relation with the meaning and the grain of its rows."""
    described = (relations.relation(name) for name in sorted(relations.names))
    return Table(("relation", "what a row is", "grain"), [(one.name, one.summary, one.grain) for one in described])


def list_columns(db: Database, name: str) -> Table:
    """List the columns of a relation with their types and what they hold.

    Raises:
        QueryError: The store has no relation of this name.
    """
    query = (
        "select table_name, column_name, data_type from system.main.duckdb_columns() where database_name = 'store'"
        " and schema_name = 'main' and table_name = lower($name) order by column_index"
    )
    rows = db.rows(query, {"name": name.strip('"')})
    relations = relations_of(db)
    if (added := relations.added.get(name.strip('"').lower())) is not None:
        rows = [(name.strip('"').lower(), column.name, column.type) for column in added.columns]
    if not rows:
        raise no_relation(name, relations)
    comments = {column.name: column.comment for column in relations.relation(rows[0][0]).columns}
    return Table(
        ("column", "type", "what it holds"), [(column, kind.lower(), comments.get(column)) for _, column, kind in rows]
    )


def relation_sql(name: str, relations: Relations) -> str:
    """Return the contract and the SQL of a relation.

    Raises:
        QueryError: No relation has this name.
    """
    if name not in relations.names:
        raise no_relation(name, relations)
    return relations.relation(name).text.rstrip()


def shown(name: str, db: Database) -> str:
    """Return the contract and the SQL of a relation, or the parameters of a table function such as `similar`.

    Raises:
        QueryError: Nothing has this name.
    """
    functions = {} if db.extension is None else db.extension.functions()
    if name in functions:
        return f"-- {functions[name]}"
    return relation_sql(name, relations_of(db))
