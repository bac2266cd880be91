"""What there is to ask about: the relations, their columns, and how each is computed."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from photogenic import sql
from photogenic.app.terminal.output import Table
from photogenic.warehouse.catalog import relation
from photogenic.warehouse.duckdb_store.database import Database
from photogenic.warehouse.errors import QueryError

__all__ = ["Catalogue", "contents", "definition"]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The names that completion offers: a store's relations with their columns, and SQL's keywords."""

    columns: dict[str, tuple[str, ...]]
    keywords: tuple[str, ...]

    @classmethod
    def of(cls, db: Database) -> Catalogue:
        columns: dict[str, list[str]] = {}
        with db.read() as con:
            for name, column in con.execute(
                "select table_name, column_name from duckdb_columns() where database_name = 'store'"
                " and schema_name = 'main' order by table_name, column_index"
            ).fetchall():
                columns.setdefault(name, []).append(column)
            keywords = con.execute(
                "select keyword_name from duckdb_keywords() where keyword_category = 'reserved' order by all"
            ).fetchall()
        return cls({name: tuple(found) for name, found in columns.items()}, tuple(name for (name,) in keywords))


def contents() -> Table:
    """Every relation and what a row of it is."""
    return Table(
        ("relation", "what a row is", "grain"),
        [(name, relation(name).summary, relation(name).grain) for name in sorted((*sql.VIEWS, *sql.RELATIONS))],
    )


def definition(name: str) -> str:
    """The SQL of a relation as it runs, below its contract.

    Raises:
        QueryError: no relation is called so.
    """
    known = (*sql.VIEWS, *sql.RELATIONS)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3) or sorted(known)
        raise QueryError(
            f"There is no relation {name!r}.", f"one of {', '.join(near)}", f"features sql --show {near[0]}"
        )
    return relation(name).text.rstrip()
