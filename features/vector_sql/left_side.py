"""The left side of a NEAREST join: the item of FROM that gets the call of the search, and its hidden columns."""

from __future__ import annotations

from dataclasses import dataclass

from photogenic._lazy import duckdb
from photogenic.features.vector_sql.correlated import tables_of
from photogenic.features.vector_sql.tree import (
    Node,
    column,
    name_of,
    own_expressions,
    parse_expression,
    quoted,
    walk,
)

__all__ = [
    "LeftToDuckDBError",
    "MarkedLeft",
    "call_of",
    "hide",
    "leaf_of",
    "refuse_unseen_columns",
    "vectors_in",
]


class LeftToDuckDBError(Exception):
    """Why DuckDB answers a join."""


@dataclass(frozen=True, slots=True)
class MarkedLeft:
    """An item of FROM on the left side, with markers in the place of its vectors.

    Attributes:
        reference: the item.
        key: the column whose vectors are searched.
        vectors: its columns of markers, and the relations of their vectors.
    """

    reference: Node
    key: str
    vectors: dict[str, str]


def leaf_of(left: Node, needed: list[Node]) -> Node | None:
    """The item of FROM that has all that a search needs, if a column of it is there once for each of its rows."""
    names = {parts[0] for node in walk(needed) if (parts := column(node)) is not None}
    if not _is_inner(left):
        return None  # a row of NULL for what is not there would have no search
    chosen = [one for one in tables_of(left) if (name_of(one) or "").lower() in names]
    if len(names) != 1 or len(chosen) != 1 or chosen[0]["type"] not in ("BASE_TABLE", "SUBQUERY"):
        return None
    return chosen[0]


def _is_inner(reference: Node) -> bool:
    if reference["type"] != "JOIN":
        return True
    is_plain = reference["join_type"] == "INNER" and reference["ref_type"] not in ("POSITIONAL", "ASOF")
    return is_plain and _is_inner(reference["left"]) and _is_inner(reference["right"])


def vectors_in(columns: list[tuple[str, str]], used: list[str]) -> dict[str, str]:
    """The columns of markers among columns, by their types, and the relations of their vectors."""
    kinds = {f"STRUCT({name} INTEGER)": one for one in used for name in (one, quoted(one))}
    return {name: kinds[kind] for name, kind in columns if kind in kinds}


def refuse_unseen_columns(select: Node, alias: str) -> None:
    """Refuse a SELECT that would see the hidden columns of a replaced join."""
    for expression in own_expressions(select):
        kind = expression.get("class")
        if kind == "POSITIONAL_REFERENCE":
            raise LeftToDuckDBError("the query names columns by their places in FROM")
        if kind == "STAR" and expression.get("expr") is not None:
            raise LeftToDuckDBError("the query has COLUMNS with a condition")
    for expression in walk(select):
        if column(expression) == (alias.lower(),):
            raise LeftToDuckDBError(f"the query takes whole rows of {alias}")


def hide(select: Node, alias: str | None, hidden: list[str]) -> None:
    """Leave hidden columns out of the stars of an item of FROM; None: out of those of all items."""
    own = {id(expression) for expression in own_expressions(select) if expression.get("class") == "STAR"}
    for expression in walk(select):
        if expression.get("class") == "STAR":
            relation = expression["relation_name"].lower()
            if relation == alias.lower() if alias is not None else not relation and id(expression) in own:
                expression["exclude_list"] += hidden


def call_of(con: duckdb.DuckDBPyConnection, name: str, arguments: list[Node]) -> Node:
    """The node of a call."""
    made = parse_expression(con, f"{name}({', '.join(map(str, range(len(arguments))))})")
    for place, argument in zip(made["arguments"], arguments, strict=True):
        place["expression"] = argument
    return made
