"""Run SQL queries on the published snapshot, and return a polars frame or single rows."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from photogenic._lazy import duckdb, pa, pl
from photogenic.warehouse.catalog import OURS, Catalog, catalog_of
from photogenic.warehouse.duckdb_store.distances import create_distances
from photogenic.warehouse.duckdb_store.error_mapping import corruption_error, map_engine_errors
from photogenic.warehouse.duckdb_store.interrupt import is_interrupt
from photogenic.warehouse.duckdb_store.parameters import Parameters, bind
from photogenic.warehouse.duckdb_store.query_errors import no_rows, query_error
from photogenic.warehouse.errors import PhotogenicError, StoreError

if TYPE_CHECKING:
    from photogenic.warehouse.duckdb_store.database import Database

__all__ = ["Cursor", "no_labels_error", "require_labels", "sql", "stream"]

# Rows that are Python objects at one time: few, since a row can have megabytes. More would not be faster.
_ROWS = 64


def require_labels(con: duckdb.DuckDBPyConnection) -> None:
    """Refuse a snapshot that was not built yet.

    Raises:
        StoreError: it has no computed relations.
    """
    query = (
        "select 1 from system.main.duckdb_tables()"
        " where database_name = current_database() and table_name = 'photo_labels'"
    )
    if not con.execute(query).fetchall():
        raise no_labels_error()


def no_labels_error() -> StoreError:
    """Return the error for a store without labels."""
    return StoreError("The store has no labels yet.", "a store that was built", "features build")


def sql(db: Database, query: str, params: Parameters | None = None, *, limit: int | None = None) -> pl.DataFrame:
    """Run one SELECT on the newest snapshot.

    A column with values that polars has no type for (intervals, unions, infinite instants, 39 digits) is text.

    Args:
        db: the store.
        query: one statement that reads.
        params: values of its parameters: by name for `$name`, in order for `?`.
        limit: maximum number of rows to fetch.

    Raises:
        QueryError: DuckDB refused the query, or a parameter does not fit.
        StoreError: there is no store.
    """
    if db.extension is not None and db.is_of_now and (found := _without_duckdb(db, query, params)) is not None:
        return found if limit is None else found.head(limit)
    with db.read(query=_named_in(query, params)) as con:
        try:
            statement, values = _prepared(db, con, query, params)
            statement = _limit_pivot(con, statement, limit)
            answer = con.sql(statement, params=values)
            if answer is None:
                raise no_rows(query)
            return _frame(con, statement.query, values, answer, limit)
        except duckdb.InterruptException:
            raise
        except duckdb.Error as error:
            raise _explained(db, con, query, error) from error


def _without_duckdb(db: Database, query: str, params: Parameters | None) -> pl.DataFrame | None:
    """Return the answer of the extension to a query that needs no DuckDB; None: it needs DuckDB."""
    assert db.extension is not None
    with map_engine_errors(db.layout):
        return db.extension.answer(query, params)


def _unique(names: Sequence[str]) -> list[str]:
    """Return names of which none is repeated, as a frame needs them: the second `photo_id` is `photo_id_1`."""
    found: list[str] = []
    for name in names:
        unique, number = name, 0
        while unique in found or (number and unique in names):
            number += 1
            unique = f"{name}_{number}"
        found.append(unique)
    return found


def _named_in(query: str, params: Parameters | None) -> str:
    """Return the query and the texts among its parameters: a text may be a condition that names relations."""
    values = params.values() if isinstance(params, Mapping) else params if isinstance(params, Sequence) else ()
    return " ".join([query, *(value for value in values if isinstance(value, str))])


def _prepared(
    db: Database, con: duckdb.DuckDBPyConnection, query: str, params: Parameters | None
) -> tuple[duckdb.Statement, dict[str, object] | None]:
    """Check a query and its parameters, and give its connection what the extension of the store adds to SQL."""
    from photogenic.warehouse.sql_guard.guard import parse_read_only

    create_distances(con, query)
    extension, instance = db.extension, db.instance_of(con)
    if extension is None or instance is None:
        statement = parse_read_only(con, query)
        return statement, bind(statement, params)
    extension.install(con, instance, query)
    statement = parse_read_only(con, query, extension.functions())
    values = bind(statement, params)
    return extension.rewrite(con, statement, values)


def _explained(db: Database, con: duckdb.DuckDBPyConnection, query: str, error: Exception) -> PhotogenicError:
    if db.extension is not None and (failure := db.extension.failure(con, error)) is not None:
        return failure
    return corruption_error(error, db.layout) or query_error(query, error, _catalog(db, con))


def _catalog(db: Database, con: duckdb.DuckDBPyConnection) -> Catalog:
    """Return the relations of the store, for the message of an error; those of sql/ if they cannot be read."""
    try:
        return db.with_added(catalog_of(con))
    except duckdb.Error:
        return OURS


def _frame(
    con: duckdb.DuckDBPyConnection,
    query: str,
    values: dict[str, object] | None,
    answer: duckdb.DuckDBPyRelation,
    limit: int | None,
) -> pl.DataFrame:
    from photogenic.warehouse.duckdb_store.exact_values import for_arrow, project, unsupported_columns

    def table(answer: duckdb.DuckDBPyRelation) -> pa.Table:
        return (answer if limit is None else answer.limit(limit)).to_arrow_table()

    columns, texts = answer.columns, for_arrow(answer.columns, answer.types)
    found = table(answer if texts is None else con.sql(project(query, len(columns), texts), params=values))
    if wrong := unsupported_columns(found):
        texts = for_arrow(columns, answer.types, wrong)
        assert texts is not None
        found = table(con.sql(project(query, len(columns), texts), params=values))
    frame = pl.from_arrow(found.rename_columns(_unique(found.column_names)))
    assert isinstance(frame, pl.DataFrame)
    return frame


@contextlib.contextmanager
def stream(
    db: Database,
    query: str,
    params: Parameters | None = None,
    *,
    limit: int | None = None,
    sample: int | None = None,
) -> Iterator[Cursor]:
    """Run one SELECT and yield a cursor, from which the caller fetches as many rows as it needs.

    Args:
        db: the store.
        query: one statement that reads.
        params: values of its parameters: by name for `$name`, in order for `?`.
        limit: the number of rows that the caller will fetch at most; the cursor may have more.
        sample: size of a random sample of the rows, the same one each time. Default: all rows.

    Raises:
        QueryError: DuckDB refused the query, a parameter does not fit, or it failed while it produced the rows.
        StoreError: there is no store.
    """
    from photogenic.warehouse.duckdb_store.exact_values import sample_rows

    def explained(error: Exception) -> PhotogenicError:
        return _explained(db, con, query, error)

    with db.read(query=_named_in(query, params)) as con:
        try:
            statement, values = _prepared(db, con, query, params)
            statement = _limit_pivot(con, statement, limit if sample is None else None)
            answer = con.sql(statement, params=values)
            if answer is None:
                raise no_rows(query)
            if sample is not None:
                (statement,) = con.extract_statements(sample_rows(statement.query, answer.columns, sample))
                answer = con.sql(statement, params=values)
            extension = db.extension
            plan = None if extension is None else functools.partial(extension.plan, con)
            yield Cursor(con, statement, values, answer, explained, plan)
        except duckdb.InterruptException:
            raise
        except duckdb.Error as error:
            raise explained(error) from error


def _limit_pivot(con: duckdb.DuckDBPyConnection, statement: duckdb.Statement, limit: int | None) -> duckdb.Statement:
    """Limit the rows of a PIVOT that looks up its values: DuckDB computes it as a whole, beyond the memory limit."""
    if limit is None or statement.type.name != "MULTI":
        return statement
    (bounded,) = con.extract_statements(f"select * from (\n{statement.query}\n) as answer limit {limit}")
    return bounded


class Cursor:
    """Result of one query, to be read once, as rows or as Arrow batches.

    Attributes:
        columns, types: names and types of its columns.
    """

    def __init__(  # noqa: PLR0917
        self,
        con: duckdb.DuckDBPyConnection,
        statement: duckdb.Statement,
        values: dict[str, object] | None,
        answer: duckdb.DuckDBPyRelation,
        explained: Callable[[Exception], PhotogenicError],
        plan: Callable[[], list[str]] | None = None,
    ) -> None:
        self._plan = plan
        self._con, self._statement, self._values = con, statement, values
        self._answer, self._explained = answer, explained
        self.columns: tuple[str, ...] = tuple(answer.columns)
        self.types: tuple[str, ...] = tuple(map(str, answer.types))

    @property
    def plan(self) -> list[str]:
        """How the extension of the store answers parts of the query, a line each, and what it noted so far."""
        return [] if self._plan is None else self._plan()

    def rows(self) -> Iterator[tuple[object, ...]]:
        """Yield row by row, few of them in memory at a time. Values that Python cannot hold are text."""
        from photogenic.warehouse.duckdb_store.exact_values import Rows, project

        how = Rows.of(self._answer.types)
        statement: duckdb.Statement | str = self._statement
        if how is not None:
            statement = project(self._statement.query, len(self.columns), how.expressions)
        # The rows() of the relation itself would hold all rows in memory, beyond the memory limit.
        self._con.execute(statement, self._values)
        while rows := self._con.fetchmany(_ROWS):
            yield from rows if how is None else how.restore(rows)

    def batches(self, batch: int = 2_048) -> pa.RecordBatchReader:
        """Return a reader of Arrow batches with DuckDB's types; columns without a type in Parquet are text.

        Args:
            batch: rows per batch. Default: the batch size of DuckDB.

        Raises:
            QueryError: from the reader, if the query fails while it produces the rows.
            StoreError: from the reader, if the snapshot is damaged.
        """
        from photogenic.warehouse.duckdb_store.exact_values import for_arrow, project

        texts = for_arrow(self.columns, self._answer.types)
        answer = self._answer
        if texts is not None:
            query = project(self._statement.query, len(self.columns), texts)
            answer = self._con.sql(query, params=self._values)
        reader = answer.to_arrow_reader(batch)

        def sound() -> Iterator[pa.RecordBatch]:
            try:
                yield from reader
            except (OSError, pa.ArrowException) as error:
                if is_interrupt(error):
                    raise
                raise self._explained(error) from error

        return pa.RecordBatchReader.from_batches(reader.schema, sound())
