"""lineage: where does a number come from, and what depends on it?

In: the catalog of relations, and the tables of the store. Out: a graph of relations, columns, base tables, files,
options and code. features/lineage.py adds networks, vectors and indices; app draws it as a tree or as a page.
"""

from __future__ import annotations

from photogenic.warehouse.lineage.graph import Edge, Graph, Lineage, Node

__all__ = ["Edge", "Graph", "Lineage", "Node"]
