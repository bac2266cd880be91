"""What the ranking expression of a NEAREST join measures.

    by distance array_distance(a.embedding, b.embedding)             l2
    by similarity array_cosine_similarity(a.embedding, b.embedding)  cosine
    by similarity array_inner_product(a.embedding, b.embedding)      product

Rows without a distance (NULL) are no neighbors, in DuckDB as here.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from photogenic.features.vector_sql.tree import Node

__all__ = ["FUNCTIONS", "Measure", "Ranking", "ranking_of"]

Measure = Literal["l2", "cosine", "product"]

_ASCENDING: dict[str, Measure] = {
    "array_distance": "l2",
    "list_distance": "l2",
    "<->": "l2",
    "vector_l2_distance": "l2",
    "array_cosine_distance": "cosine",
    "list_cosine_distance": "cosine",
    "<=>": "cosine",
    "array_negative_inner_product": "product",
    "list_negative_inner_product": "product",
    "array_negative_dot_product": "product",
    "list_negative_dot_product": "product",
}
_DESCENDING: dict[str, Measure] = {
    "array_cosine_similarity": "cosine",
    "list_cosine_similarity": "cosine",
    "vector_cosine_similarity": "cosine",
    "array_inner_product": "product",
    "list_inner_product": "product",
    "array_dot_product": "product",
    "list_dot_product": "product",
    "vector_inner_product": "product",
}
FUNCTIONS = {**_ASCENDING, **_DESCENDING}
"""Functions by which a NEAREST join over vectors is answered without comparing all pairs of rows in DuckDB."""


class Ranking(NamedTuple):
    """A distance between two expressions, nearest first.

    Attributes:
        function: its name in the query.
        measure: what it measures.
        sides: the expressions.
    """

    function: str
    measure: Measure
    sides: tuple[Node, Node]


def ranking_of(join: Node) -> Ranking | str:
    """Return the ranking of a NEAREST join, or the reason why this program cannot compute it."""
    expression = join["ranking_expression"]
    name = str(expression.get("function_name", "")).lower()
    if expression.get("class") != "FUNCTION" or name not in FUNCTIONS or expression.get("filter"):
        return "its ranking is not a distance between two vectors"
    ascending = join["nearest_order_type"] in ("ASCENDING", "ORDER_DEFAULT")
    if name not in (_ASCENDING if ascending else _DESCENDING):
        return f"{name} by {'distance' if ascending else 'similarity'} asks for the farthest"
    sides = [argument["expression"] for argument in expression["arguments"]]
    if len(sides) != 2 or expression.get("distinct"):
        return f"{name} compares two vectors"
    return Ranking(name, FUNCTIONS[name], (sides[0], sides[1]))
