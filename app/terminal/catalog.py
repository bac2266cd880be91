"""The relations of a store: their columns, and the SQL that computes each."""

from __future__ import annotations

from dataclasses import dataclass

from photogenic import sql
from photogenic.app.terminal.output import Table
from photogenic.warehouse.catalog import relation
from photogenic.warehouse.duckdb_store.database import Database
from photogenic.warehouse.duckdb_store.query_errors import no_relation
from photogenic.warehouse.sql_guard.allowed import FUNCTIONS

__all__ = ["Catalog", "list_columns", "list_relations", "relation_sql"]


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
        return cls(
            {name: tuple(found) for name, found in columns.items()},
            tuple(name for (name,) in keywords),
            tuple(sorted(name for name in FUNCTIONS if name.isidentifier() and not name.startswith("_"))),
        )


def list_relations() -> Table:
    """List every relation with the meaning and the grain of its rows."""
    return Table(
        ("relation", "what a row is", "grain"),
        [(name, relation(name).summary, relation(name).grain) for name in sorted(sql.NAMES)],
    )


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
    if not rows:
        raise no_relation(name)
    comments = {column.name: column.comment for column in relation(rows[0][0]).columns}
    return Table(
        ("column", "type", "what it holds"), [(column, kind.lower(), comments.get(column)) for _, column, kind in rows]
    )


def relation_sql(name: str) -> str:
    """Return the contract and the SQL of a relation.

    Raises:
        QueryError: No relation has this name.
    """
    if name not in sql.NAMES:
        raise no_relation(name)
    return relation(name).text.rstrip()
