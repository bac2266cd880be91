"""Distances between vectors under the names that Spark gives them, so that one text runs on both engines.

vector_l2_distance(a, b)          array_distance
vector_cosine_similarity(a, b)    array_cosine_similarity
vector_inner_product(a, b)        array_inner_product
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from photogenic._lazy import duckdb

__all__ = ["NAMES", "create_distances"]

NAMES: Mapping[str, str] = MappingProxyType(
    {
        "vector_cosine_similarity": "array_cosine_similarity",
        "vector_inner_product": "array_inner_product",
        "vector_l2_distance": "array_distance",
    }
)
"""Spark's name -> DuckDB's name. Spark has them from version 4.2 on."""


def create_distances(con: duckdb.DuckDBPyConnection, query: str) -> None:
    """Create the functions that a query may name on its connection, as temporary macros."""
    for name in NAMES.keys() & set(re.findall(r"\w+", query.lower())):
        con.execute(f"create or replace temp macro {name}(a, b) as {NAMES[name]}(a, b)")
