"""Questions in SQL, answered from the published snapshot: as a polars frame, or row by row."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from photogenic.warehouse.duckdb_store.error_mapping import damage
from photogenic.warehouse.duckdb_store.query_errors import no_rows, refusal
from photogenic.warehouse.errors import PhotogenicError, StoreError

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa
    from duckdb import DuckDBPyConnection, DuckDBPyRelation, Statement

    from photogenic.warehouse.duckdb_store.database import Database

__all__ = ["Cursor", "require_labels", "sql", "stream", "unbuilt"]

# Rows that are Python objects at one time: a few, since one row may be of megabytes. More would be no faster.
_ROWS = 64


def require_labels(con: DuckDBPyConnection) -> None:
    """Refuse to go on in a snapshot that no build has been in.

    Raises:
        StoreError: it has facts and no relations computed from them.
    """
    query = "select 1 from duckdb_tables() where database_name = 'store' and table_name = 'photo_labels'"
    if not con.execute(query).fetchall():
        raise unbuilt()


def unbuilt() -> StoreError:
    """What is said of a store that has facts and no labels."""
    return StoreError("The store has no labels yet.", "a store that was built", "features build")


def sql(db: Database, query: str, *, limit: int | None = None) -> pl.DataFrame:
    """The answer to one SELECT, from the newest snapshot.

    A column with values that polars has no type for (intervals, unions, infinite instants, 39 digits) is text.

    Args:
        db: the store.
        query: one statement that reads.
        limit: at most so many rows are fetched.

    Raises:
        QueryError: DuckDB refused the query.
        StoreError: there is no store.
    """
    import duckdb

    from photogenic.warehouse.sql_guard.guard import reading

    with db.read() as con:
        try:
            statement = _bounded(con, reading(con, query), limit)
            answer = con.sql(statement)
            if answer is None:
                raise no_rows(query)
            return _frame(con, statement.query, answer, limit)
        except duckdb.InterruptException:
            raise
        except duckdb.Error as error:
            raise damage(error, db.layout) or refusal(query, error) from error


def _frame(con: DuckDBPyConnection, query: str, answer: DuckDBPyRelation, limit: int | None) -> pl.DataFrame:
    import polars as pl

    from photogenic.warehouse.duckdb_store.exact_values import for_arrow, misfits, projected

    def table(answer: DuckDBPyRelation) -> pa.Table:
        return (answer if limit is None else answer.limit(limit)).to_arrow_table()

    columns, texts = answer.columns, for_arrow(answer.columns, answer.types)
    found = table(answer if texts is None else con.sql(projected(query, len(columns), texts)))
    if wrong := misfits(found):
        texts = for_arrow(columns, answer.types, wrong)
        assert texts is not None
        found = table(con.sql(projected(query, len(columns), texts)))
    frame = pl.from_arrow(found)
    assert isinstance(frame, pl.DataFrame)
    return frame


@contextlib.contextmanager
def stream(db: Database, query: str, *, limit: int | None = None, sample: int | None = None) -> Iterator[Cursor]:
    """The answer to one SELECT while DuckDB computes it; the caller fetches as much as it needs.

    Args:
        db: the store.
        query: one statement that reads.
        limit: the caller will fetch no more rows than these; more may come.
        sample: that many of its rows, drawn at random from all, the same ones each time; None: all rows.

    Raises:
        QueryError: DuckDB refused the query, or failed half-way through the rows.
        StoreError: there is no store.
    """
    import duckdb

    from photogenic.warehouse.duckdb_store.exact_values import sampled
    from photogenic.warehouse.sql_guard.guard import reading

    def explained(error: Exception) -> PhotogenicError:
        return damage(error, db.layout) or refusal(query, error)

    with db.read() as con:
        try:
            statement = _bounded(con, reading(con, query), limit if sample is None else None)
            answer = con.sql(statement)
            if answer is None:
                raise no_rows(query)
            if sample is not None:
                (statement,) = con.extract_statements(sampled(statement.query, answer.columns, sample))
                answer = con.sql(statement)
            yield Cursor(con, statement, answer, explained)
        except duckdb.InterruptException:
            raise
        except duckdb.Error as error:
            raise explained(error) from error


def _bounded(con: DuckDBPyConnection, statement: Statement, limit: int | None) -> Statement:
    """A PIVOT that looks its values up is computed whole, past the memory limit: of one, so many rows only."""
    if limit is None or statement.type.name != "MULTI":
        return statement
    (bounded,) = con.extract_statements(f"select * from (\n{statement.query}\n) as answer limit {limit}")
    return bounded


class Cursor:
    """One answer, to be taken once: as rows or as Arrow batches."""

    def __init__(
        self,
        con: DuckDBPyConnection,
        statement: Statement,
        answer: DuckDBPyRelation,
        explained: Callable[[Exception], PhotogenicError],
    ) -> None:
        self._con, self._statement, self._answer, self._explained = con, statement, answer, explained
        self.columns: tuple[str, ...] = tuple(answer.columns)
        self.types: tuple[str, ...] = tuple(map(str, answer.types))

    def rows(self) -> Iterator[tuple[object, ...]]:
        """Row by row, few of them in memory at a time; text stands for a value that Python has not."""
        from photogenic.warehouse.duckdb_store.exact_values import Rows, projected

        how = Rows.of(self._answer.types)
        statement: Statement | str = self._statement
        if how is not None:
            statement = projected(self._statement.query, len(self.columns), how.expressions)
        # Not the relation's own rows(): those are all held in memory, past the memory limit.
        self._con.execute(statement)
        while rows := self._con.fetchmany(_ROWS):
            yield from rows if how is None else how.restore(rows)

    def batches(self, batch: int = 2_048) -> pa.RecordBatchReader:
        """As Arrow, typed as DuckDB types them; what Parquet has no type for is text.

        The default is DuckDB's own batch.

        Raises:
            QueryError: from the reader, where the query fails half-way through the rows.
            StoreError: likewise, where the snapshot is damaged.
        """
        import pyarrow as pa

        from photogenic.warehouse.duckdb_store.exact_values import for_arrow, projected

        texts = for_arrow(self.columns, self._answer.types)
        answer = self._answer
        if texts is not None:
            answer = self._con.sql(projected(self._statement.query, len(self.columns), texts))
        reader = answer.to_arrow_reader(batch)

        def sound() -> Iterator[pa.RecordBatch]:
            try:
                yield from reader
            except (OSError, pa.ArrowException) as error:
                raise self._explained(error) from error

        return pa.RecordBatchReader.from_batches(reader.schema, sound())
