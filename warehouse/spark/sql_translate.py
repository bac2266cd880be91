"""Translate the SQL of sql/ to Spark: what both engines share is translated, anything else is refused.

This is an allow-list: other constructs were not tested to give the same result on both engines. sqlglot alone
translates nearly everything, but some constructs change their meaning; each rule below is such a case.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import get_args, get_type_hints

import sqlglot
from sqlglot import ErrorLevel, exp
from sqlglot.dialects.spark import Spark

from photogenic.warehouse.errors import QueryError
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.sql_guard.rewrite import has_nearest_join

__all__ = ["FACTS", "faults", "to_spark", "tree_of"]

FACTS = "facts_"
"""Prefix in Spark for the schema `facts`: temporary views of Spark belong to no schema."""

_NODES = (
    *(
        exp.Select,
        exp.From,
        exp.Where,
        exp.Group,
        exp.Having,
        exp.Qualify,
        exp.Distinct,
        exp.With,
        exp.CTE,
        exp.Subquery,
    ),
    *(exp.Union, exp.Except, exp.Join, exp.Table, exp.TableAlias, exp.Column, exp.Star, exp.Identifier, exp.Alias),
    *(exp.Cast, exp.DataType, exp.DataTypeParam, exp.Literal, exp.Null, exp.Boolean, exp.Interval, exp.Var),
    *(exp.Parameter, exp.Placeholder, exp.Paren, exp.Tuple, exp.Case, exp.If, exp.Coalesce, exp.Nullif, exp.Least),
    *(exp.And, exp.Or, exp.Not, exp.Is, exp.In, exp.Between, exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE),
    *(exp.NullSafeEQ, exp.NullSafeNEQ, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Neg, exp.DPipe),
    *(exp.Count, exp.Sum, exp.Min, exp.Max, exp.Median, exp.Filter, exp.Window, exp.Order, exp.Ordered),
    *(exp.RowNumber, exp.PercentRank, exp.Lag, exp.Lead),
    *(exp.DateDiff, exp.Floor, exp.Sqrt, exp.Abs, exp.Ln, exp.Exp, exp.MD5, exp.Substring, exp.ArrayContains),
)
_TYPES = {"VARCHAR", "TEXT", "BIGINT", "INT", "DOUBLE", "BOOLEAN", "TIMESTAMPNTZ", "ARRAY"}
_WHOLE = {"BIGINT", "INT"}
_FLOATS = (exp.Div, exp.Sqrt, exp.Ln, exp.Exp, exp.Median, exp.PercentRank)
_PARAMETER_TYPES = {str: "varchar", int: "bigint", float: "double", dt.datetime: "timestamp"}


def tree_of(text: str) -> exp.Expr:
    """Parse DuckDB's SQL with sqlglot.

    Raises:
        QueryError: it has a NEAREST join, which sqlglot would read as something else.
    """
    if has_nearest_join(text):
        raise QueryError(
            "A NEAREST join cannot be translated for Spark: sqlglot reads it as a join with another table.",
            "a relation without NEAREST; Spark 4.2 and newer run the text itself, with `exact` or `approx` and with "
            "vector_l2_distance or vector_cosine_similarity",
            "features build --engine duckdb",
        )
    return sqlglot.parse_one(text, read="duckdb")


def to_spark(text: str) -> str:
    """Translate a query for Spark. Parameters become `:name`, cast to the type of the option of that name.

    Raises:
        QueryError: the query uses a construct that the engines do not share.
    """
    try:
        return _translated(tree_of(text))
    except sqlglot.errors.SqlglotError as error:
        raise QueryError(
            f"This SQL cannot be translated for Spark: {str(error).splitlines()[0]}",
            "the subset of SQL that DuckDB and Spark share",
            "features build --engine duckdb",
        ) from error


def _translated(tree: exp.Expr) -> str:
    if found := list(faults(tree)):
        raise QueryError(
            "This SQL has another meaning in Spark: " + "; ".join(found),
            "the subset of SQL that DuckDB and Spark share",
            "see warehouse/spark/sql_translate.py for what it holds, or build with --engine duckdb",
        )
    for node in list(tree.find_all(exp.Table)):
        if node.db == "facts":
            node.replace(exp.to_table(f"{FACTS}{node.name}", alias=node.alias or node.name))
    kinds = _parameters()
    for parameter in list(tree.find_all(exp.Placeholder)):
        if parameter.name in kinds:
            parameter.replace(exp.cast(parameter.copy(), kinds[parameter.name], dialect="duckdb"))
    return tree.sql(dialect=Spark, unsupported_level=ErrorLevel.RAISE, comments=False)


def faults(tree: exp.Expr) -> Iterator[str]:
    """Return the constructs that Spark would read differently."""
    for node in tree.walk():
        if type(node) not in _NODES:
            yield f"{type(node).__name__} is not in the subset: {node.sql()}"
        if isinstance(node, exp.Literal) and not node.is_string and "." in node.this and "e" not in node.this.lower():
            yield f"{node.this} is a decimal in Spark: write {node.this}e0"
        if isinstance(node, exp.DataType) and node.this.name not in _TYPES:
            yield f"type {node.sql()}"
        if isinstance(node, exp.Cast) and node.to.this.name in _WHOLE and _is_fraction(node.this):
            yield f"DuckDB rounds, Spark truncates: {node.sql()}; write floor() inside"
        if isinstance(node, exp.DateDiff) and node.text("unit").lower() != "microsecond":
            yield f"DuckDB counts boundaries, Spark whole units: {node.sql()}; write 'microsecond'"
        if isinstance(node, exp.Star) and any(node.args.values()):
            yield f"a star with exceptions: {node.sql()}"
        if isinstance(node, exp.Join) and node.method:
            yield f"{node.method} join"
        if isinstance(node, exp.Select):
            yield from _aliases_in_where(node)


def _is_fraction(value: exp.Expr) -> bool:
    while isinstance(value, (exp.Paren, exp.Coalesce)):
        value = value.this
    if isinstance(value, exp.Floor):
        return False
    if isinstance(value, exp.Cast):
        return bool(value.to.this.name == "DOUBLE")
    return isinstance(value, _FLOATS) or (isinstance(value, exp.Literal) and not value.is_int)


def _aliases_in_where(select: exp.Select) -> Iterator[str]:
    """Yield aliases of SELECT in WHERE, which DuckDB resolves and Spark does not, unless a column has the name."""
    made = {item.alias for item in select.expressions if isinstance(item, exp.Alias)}
    named = {column.name for item in select.expressions for column in item.find_all(exp.Column)}
    where = select.args.get("where")
    for column in where.find_all(exp.Column) if where else ():
        if column.name in made - named and not column.table:
            yield f"{column.name} is an alias in WHERE"


def _parameters() -> Mapping[str, str]:
    """Return the SQL types of the options in sql/; Spark would refuse an untyped NULL."""
    found = {}
    for name, hint in get_type_hints(LabelOptions).items():
        kinds = {type(value) if not isinstance(value, type) else value for value in get_args(hint) or (hint,)}
        found[name] = next(_PARAMETER_TYPES[kind] for kind in kinds if kind in _PARAMETER_TYPES)
    return found
