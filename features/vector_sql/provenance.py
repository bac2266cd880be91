"""Whether the right side of a NEAREST join only hands on the vectors that it reads.

The right side is computed with a marker in the place of each vector: its relation and its row. The result has the
markers wherever the query would have had the vectors, so the nearest rows and their vectors can be looked up. That is
right only if the query does nothing with a vector but hand it on: `select photo_id, embedding as e`, `*`,
`* exclude (x)`, filters and joins by other columns. Vectors that are compared, grouped, sorted or computed with could
give another result than their markers. The type of a marker is none of a vector, so most such queries fail to bind
with markers; those that would not are found here, by the names that a vector may have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from photogenic.features.vector_sql.tree import Node, column, name_of, own_expressions, walk

__all__ = ["mark", "why_not_handed_on"]

_PASSING = frozenset({"OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL"})


def mark(tree: object, markers: Mapping[str, str]) -> None:
    """Let each reference to a relation of vectors in a tree read the relation of its markers, under the same name.

    Args:
        tree: a part of a document; it is changed.
        markers: relation of vectors, in lower case -> relation of its markers.
    """
    for node in walk(tree):
        if node.get("type") != "BASE_TABLE" or node.get("schema_name") or node.get("catalog_name"):
            continue
        if (marker := markers.get(node["table_name"].lower())) is not None:
            node["alias"] = node["alias"] or node["table_name"]
            node["table_name"], node["qualified_name"] = marker, {"path": [marker]}


def why_not_handed_on(document: Node, markers: Mapping[str, str], top: Node) -> str | None:
    """Return the reason why a right side does more than hand on vectors; None: it hands them on.

    Args:
        document: the document of `tree.select_from` for the right side, marked.
        markers: as in `mark`.
        top: the right side in that document, whose own names of columns do not matter.
    """
    marked = set(markers.values())
    names, tables = {"embedding"}, set[str]()
    sources: set[str] = {name.lower() for name in marked}
    while True:
        before = len(names), len(tables), len(sources)
        for node in walk(document):
            _spread(node, sources, names, tables, top)
        if before == (len(names), len(tables), len(sources)):
            break
    for node in walk(document):
        if node.get("type") == "SELECT_NODE" and (why := _why_not(node, sources, names, tables)) is not None:
            return why
        if node.get("type") == "SET_OPERATION_NODE" and not node["setop_all"] and _reads(node, sources):
            return "its right side compares vectors in a UNION, EXCEPT or INTERSECT"
        if node.get("type") in ("RECURSIVE_CTE_NODE", "PIVOT") and _reads(node, sources):
            return "its right side has vectors in a recursive WITH or a PIVOT"
    return None


def _spread(node: Node, sources: set[str], names: set[str], tables: set[str], top: Node) -> None:
    """Add the names that a part of the tree gives to vectors, and to tables and WITHs that have vectors."""
    if isinstance(node.get("cte_map"), dict):
        for entry in node["cte_map"]["map"]:
            if _reads(entry["value"], sources):
                sources.add(entry["key"].lower())
                names.update(name.lower() for name in entry["value"]["aliases"])
    if node.get("type") in ("BASE_TABLE", "SUBQUERY", "JOIN") and "class" not in node and _reads(node, sources):
        if (name := name_of(node)) is not None:
            tables.add(name.lower())
        if node is not top:
            names.update(name.lower() for name in node.get("column_name_alias", ()))
    if node.get("class") == "COLUMN_REF" and node["alias"] and names & set(column(node) or ()):
        names.add(node["alias"].lower())
    if node.get("class") == "STAR":
        for renamed in node["rename_list"]:
            if renamed["key"]["column"].lower() in names:
                names.add(renamed["value"].lower())


def _why_not(select: Node, sources: set[str], names: set[str], tables: set[str]) -> str | None:
    reads = _reads(select["from_table"], sources)
    if reads:
        if any(modifier["type"] == "DISTINCT_MODIFIER" for modifier in select["modifiers"]):
            return "its right side has DISTINCT over vectors"
        if select["group_expressions"] or select["aggregate_handling"] != "STANDARD_HANDLING":
            return "its right side groups vectors"
        for reference in walk(select["from_table"]):
            if reference.get("type") == "JOIN" and (
                reference["ref_type"] in ("NATURAL", "ASOF", "POSITIONAL")
                or names & {name.lower() for name in reference["using_columns"]}
            ):
                return "its right side joins by vectors"
    passing = {id(item) for item in select["select_list"] if item.get("class") == "COLUMN_REF"}
    stars = {id(item) for item in select["select_list"] if item.get("class") == "STAR"}
    for expression in own_expressions(select):
        if expression.get("type") in _PASSING:
            passing.update(id(child) for child in expression["children"])
        kind = expression.get("class")
        if kind == "STAR" and reads and (id(expression) not in stars or expression["columns"]):
            return "its right side computes with all columns of vectors"
        if kind == "POSITIONAL_REFERENCE" and reads:
            return "its right side names columns by their places"
        if kind == "COLUMN_REF" and id(expression) not in passing:
            parts = column(expression) or ()
            if names & set(parts):
                return f"its right side computes with the vectors in {'.'.join(expression['column_names'])}"
            if len(parts) == 1 and parts[0] in tables:
                return f"its right side computes with the rows of {parts[0]}"
    if reads and any(_orders_by_place(modifier) for modifier in select["modifiers"]):
        return "its right side is sorted by all columns, or by their places"
    return None


def _orders_by_place(modifier: Node) -> bool:
    expressions = [order["expression"] for order in modifier.get("orders", ())]
    return any(expression.get("class") in ("CONSTANT", "STAR", "PARAMETER") for expression in expressions)


def _reads(tree: object, sources: set[str]) -> bool:
    return any(
        node.get("type") == "BASE_TABLE" and str(node.get("table_name", "")).lower() in sources
        for node in _references(tree)
    )


def _references(tree: object) -> Iterator[Node]:
    """Yield the references in FROM in a tree, without those of queries in its expressions."""
    pending: list[Any] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending += node
        elif isinstance(node, dict) and "class" not in node:
            yield node
            pending += node.values()
