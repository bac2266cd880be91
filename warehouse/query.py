"""Questions in SQL, answered from the published snapshot: as a polars frame, or row by row."""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import sql as texts
from warehouse.errors import QueryError

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

    from warehouse.database import Database

__all__ = ["Cursor", "sql", "stream"]

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
                raise _no_answer(query)
            frame: pl.DataFrame = (answer if limit is None else answer.limit(limit)).pl()
            return frame
        except duckdb.InterruptException:
            raise
        except duckdb.Error as error:
            raise _explained(query, error) from error


@contextlib.contextmanager
def stream(db: Database, query: str) -> Iterator[Cursor]:
    """The answer to one SELECT while DuckDB computes it; the caller fetches as much as it needs.

    Raises:
        QueryError: DuckDB refused the query, or failed half-way through the rows.
        StoreError: there is no store.
    """
    import duckdb

    with db.read() as con:
        try:
            answer = con.sql(query)
            if answer is None:
                raise _no_answer(query)
            yield Cursor(con, query, answer)
        except duckdb.InterruptException:
            raise
        except duckdb.Error as error:
            raise _explained(query, error) from error


class Cursor:
    """One answer, to be taken once: as rows or as Arrow batches."""

    def __init__(self, con: DuckDBPyConnection, query: str, answer: DuckDBPyRelation) -> None:
        self._con, self._query, self._answer = con, query, answer
        self.columns: tuple[str, ...] = tuple(answer.columns)

    def rows(self, batch: int = 10_000) -> Iterator[tuple[object, ...]]:
        """Row by row, `batch` of them in memory at a time."""
        if any("WITH TIME ZONE" in str(kind) for kind in self._answer.types):
            # DuckDB's client wants pytz for these, Arrow does not.
            for found in self.batches(batch):
                yield from zip(*(column.to_pylist() for column in found.columns), strict=True)
            return
        # Not the relation's own rows(): those are all held in memory, past the memory limit.
        self._con.execute(self._query)
        while rows := self._con.fetchmany(batch):
            yield from rows

    def batches(self, batch: int = 100_000) -> pa.RecordBatchReader:
        """As Arrow, typed as DuckDB types them."""
        return self._answer.to_arrow_reader(batch)


def _no_answer(query: str) -> QueryError:
    return QueryError(
        f"The statement returns no rows: {_short(query)}",
        "a query, such as a SELECT, DESCRIBE or SUMMARIZE",
        'features sql "select * from swipe_audit"',
    )


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
