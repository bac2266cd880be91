"""Relations that read each other in a circle, of which none can be computed first."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

from photogenic.warehouse.catalog import Relation

__all__ = ["circles"]


def circles(own: Mapping[str, Relation]) -> list[tuple[str, ...]]:
    """Return the circles among own relations, each in the order of reading and beginning with its smallest name."""
    graph = {name: sorted(set(own[name].reads) & set(own)) for name in sorted(own)}
    found: list[tuple[str, ...]] = []
    while True:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            circle = list(reversed(error.args[1][:-1]))
            start = circle.index(min(circle))
            found.append((*circle[start:], *circle[:start]))
            graph = {
                name: [read for read in reads if read not in circle]
                for name, reads in graph.items()
                if name not in circle
            }
        else:
            return found
