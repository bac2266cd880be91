"""Compute own relations on Spark: SQL that Spark does not share, or refuses, is the failure of one relation."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from photogenic._lazy import duckdb, pyspark
from photogenic.warehouse.catalog import Relation
from photogenic.warehouse.errors import QueryError
from photogenic.warehouse.labels.compute import Engine

__all__ = ["compute_on_spark", "query_on_spark"]


def compute_on_spark(
    engine: Engine, con: duckdb.DuckDBPyConnection, what: Relation, values: dict[str, Any], digest: str
) -> None:
    """Compute a relation on Spark, and create its table in DuckDB.

    Raises:
        QueryError: the SQL is not in the subset that DuckDB and Spark share, or Spark refuses it.
    """
    with _in_words(what.name):
        engine.compute(con, what, values, digest)


def query_on_spark(
    engine: Engine, con: duckdb.DuckDBPyConnection, text: str
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Run an audit on Spark, and return column names and rows.

    Raises:
        QueryError: as for `compute_on_spark`.
    """
    with _in_words("The audit"):
        return engine.query(con, text)


@contextlib.contextmanager
def _in_words(name: str) -> Iterator[None]:
    try:
        yield
    except pyspark.errors.PySparkException as error:
        raise QueryError(
            f"{name} was refused by Spark: {str(error).splitlines()[0]}",
            "SQL that DuckDB and Spark share",
            "features build --engine duckdb",
        ) from error
