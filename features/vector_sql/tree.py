"""DuckDB's parse tree of a SELECT as JSON: read it, find NEAREST joins and names in it, and make SQL of it again.

document   {"error": false, "statements": [{"node": {"type": "SELECT_NODE", ...}, ...}]}
node       a query: SELECT_NODE, SET_OPERATION_NODE, ...; its WITH is `cte_map`
reference  an item of FROM: BASE_TABLE, SUBQUERY, JOIN, ...
expression an object with a `class`: COLUMN_REF, FUNCTION, STAR, ...
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from photogenic._lazy import duckdb

__all__ = [
    "NearestJoin",
    "Node",
    "column",
    "deparse",
    "name_of",
    "nearest_joins",
    "own_expressions",
    "parameters",
    "parse",
    "parse_expression",
    "parse_reference",
    "quoted",
    "select_from",
    "walk",
]

Node = dict[str, Any]


@dataclass(frozen=True, slots=True)
class NearestJoin:
    """A NEAREST join in a statement.

    Attributes:
        join: its node, which may be changed in place.
        select: the SELECT that has it in its FROM; None: it is in a PIVOT or the like.
        withs: entries of the WITHs around it that it can see, outermost first; each is a `cte_map`.
        is_recursive: whether a recursive WITH contains it.
    """

    join: Node
    select: Node | None
    withs: tuple[tuple[Node, ...], ...]
    is_recursive: bool


def parse(con: duckdb.DuckDBPyConnection, text: str) -> Node | None:
    """Return the document of one SELECT; None: it is another statement, or nested too deeply for Python."""
    ((found,),) = con.execute("select json_serialize_sql($1::varchar)", [text]).fetchall()
    if not found.startswith('{"error":false,"statements":[{'):
        return None
    try:
        document: Node = json.loads(found)
    except RecursionError:
        return None
    return document if len(document["statements"]) == 1 else None


def deparse(con: duckdb.DuckDBPyConnection, document: Node) -> str:
    """Return the SQL of a document."""
    ((text,),) = con.execute("select json_deserialize_sql($1::json)", [json.dumps(document)]).fetchall()
    return str(text)


def parse_expression(con: duckdb.DuckDBPyConnection, text: str) -> Node:
    """Return the node of an expression that this program wrote."""
    found = parse(con, f"select {text}")
    assert found is not None
    made: Node = found["statements"][0]["node"]["select_list"][0]
    return made


def parse_reference(con: duckdb.DuckDBPyConnection, text: str) -> Node:
    """Return the node of a FROM that this program wrote."""
    found = parse(con, f"from {text}")
    assert found is not None
    made: Node = found["statements"][0]["node"]["from_table"]
    return made


def walk(tree: object) -> Iterator[Node]:
    """Yield every object of a tree, outermost first."""
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from walk(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from walk(value)


def nearest_joins(document: Node) -> list[NearestJoin]:
    """Return the NEAREST joins of a statement, inner ones before those around them."""
    return list(_joins(document, None, (), False))


def _joins(
    tree: object, select: Node | None, withs: tuple[tuple[Node, ...], ...], recursive: bool
) -> Iterator[NearestJoin]:
    if isinstance(tree, list):
        for value in tree:
            yield from _joins(value, None, withs, recursive)
        return
    if not isinstance(tree, dict):
        return
    kind = tree.get("type")
    recursive = recursive or kind == "RECURSIVE_CTE_NODE"
    entries: list[Node] = tree["cte_map"]["map"] if isinstance(tree.get("cte_map"), dict) else []
    for number, entry in enumerate(entries):
        yield from _joins(entry["value"], None, (*withs, tuple(entries[:number])), recursive)
    inside = (*withs, tuple(entries)) if entries else withs
    for key, value in tree.items():
        if key == "cte_map":
            continue
        around = tree if kind == "SELECT_NODE" and key == "from_table" else None
        if kind == "JOIN" and key in ("left", "right"):
            around = select
        yield from _joins(value, around, inside, recursive)
    if kind == "JOIN" and tree.get("ref_type") == "NEAREST":
        yield NearestJoin(tree, select, inside, recursive)


def own_expressions(select: Node) -> Iterator[Node]:
    """Yield the expressions of a SELECT and the conditions of its joins, without those of queries inside it."""

    def expressions(tree: object) -> Iterator[Node]:
        if isinstance(tree, list):
            for value in tree:
                yield from expressions(value)
        elif isinstance(tree, dict):
            if "class" in tree:
                yield tree
            for key, value in tree.items():
                if key not in ("subquery", "query", "cte_map"):
                    yield from expressions(value)

    for key, value in select.items():
        if key != "cte_map":
            yield from expressions(value)


def name_of(reference: Node) -> str | None:
    """Name by which columns of an item of FROM are qualified; None: it has none of its own."""
    if reference.get("alias"):
        return str(reference["alias"])
    return str(reference["table_name"]) if reference.get("type") == "BASE_TABLE" else None


def column(expression: Node) -> tuple[str, ...] | None:
    """Names of a column reference, in lower case, such as ("b", "embedding"); None: it is another expression."""
    if expression.get("class") != "COLUMN_REF":
        return None
    return tuple(name.lower() for name in expression["column_names"])


def parameters(tree: object) -> set[str]:
    """Names of the parameters in a tree."""
    return {node["identifier"] for node in walk(tree) if node.get("class") == "PARAMETER"}


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def select_from(
    con: duckdb.DuckDBPyConnection,
    reference: Node,
    withs: Sequence[Sequence[Node]],
    change: Callable[[Node], None] = lambda _: None,
) -> Node:
    """Return the document of `with ... select * from reference`, with copies of the parts that it needs.

    Args:
        con: any connection.
        reference: an item of FROM.
        withs: WITHs around it, outermost first.
        change: called with the copies, to change them.
    """
    document = parse(con, "select * from _")
    assert document is not None
    reference = copy.deepcopy(reference)
    change(reference)
    node = document["statements"][0]["node"]
    node["from_table"] = reference
    for entries in reversed(withs):
        needed = _needed(entries, node)
        if not needed:
            continue
        kept = [copy.deepcopy(entry) for entry in entries if entry["key"].lower() in needed]
        for entry in kept:
            change(entry["value"])
        if node["cte_map"]["map"]:
            inner, outer = node, parse(con, "select * from (select 1) as _")
            assert outer is not None
            node = outer["statements"][0]["node"]
            node["from_table"]["subquery"]["node"] = inner
            document["statements"][0]["node"] = node
        node["cte_map"]["map"] = kept
    return document


def _needed(entries: Sequence[Node], tree: Node) -> set[str]:
    """Names of the entries of a WITH that a tree reads, directly or through others."""
    by_name = {entry["key"].lower(): entry for entry in entries}
    needed: set[str] = set()
    pending: list[object] = [tree]
    while pending:
        for node in walk(pending.pop()):
            name = str(node.get("table_name", "")).lower()
            if node.get("type") == "BASE_TABLE" and name in by_name and name not in needed:
                needed.add(name)
                pending.append(by_name[name]["value"])
    return needed
