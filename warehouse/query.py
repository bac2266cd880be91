"""Questions in SQL, answered from the published snapshot as polars frames."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

import sql as texts
from warehouse.errors import QueryError

if TYPE_CHECKING:
    import polars as pl

    from warehouse.database import Database

__all__ = ["sql"]

_CANDIDATES = re.compile(r"(?:Candidate bindings|Did you mean)[: ]+(.+?)\??$", re.MULTILINE)


def sql(db: Database, query: str, *, limit: int | None = None) -> pl.DataFrame:
    """The answer to one SELECT, from the newest snapshot.

    Args:
        db: the store.
        query: one statement that reads.
        limit: at most so many rows are fetched.

    Raises:
        QueryError: DuckDB refused the query.
        StoreError: there is no store.
    """
    import duckdb

    with db.read() as con:
        try:
            answer = con.sql(query)
            if answer is None:
                raise QueryError(
                    f"The statement returns no rows: {_short(query)}",
                    "a query, such as a SELECT, DESCRIBE or SUMMARIZE",
                    'features sql "select * from swipe_audit"',
                )
            frame: pl.DataFrame = (answer if limit is None else answer.limit(limit)).pl()
            return frame
        except duckdb.Error as error:
            raise _explained(query, error) from error


def _explained(query: str, error: Exception) -> QueryError:
    """DuckDB's words, the nearest names, and what to type to see more."""
    what, _, rest = str(error).partition("\n")
    near = _CANDIDATES.search(str(error))
    expected = f"perhaps {near[1].strip()}" if near else ""
    missing = re.search(r"Table with name (\w+) does not exist", what)
    if missing:
        name = missing[1]
        close = difflib.get_close_matches(name, [*texts.RELATIONS, *texts.VIEWS], n=3)
        if name in texts.RELATIONS:
            return QueryError(
                f"The relation {name} has not been computed yet.", "a store that was built", "features build"
            )
        expected = f"one of the relations; near it: {', '.join(close)}" if close else "one of the relations"
        return QueryError(f"There is no relation {name}.", expected, 'features sql "show tables"')
    if not expected and "LINE" in rest:
        expected = rest.strip()
    return QueryError(f"{what} in: {_short(query)}", expected, 'features sql "show tables"')


def _short(query: str) -> str:
    line = " ".join(query.split())
    return line if len(line) <= 200 else line[:197] + "..."
