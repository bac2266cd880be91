"""What a build makes stale: relations that follow from its work, and what was made from the state that it replaces.

Runs and training sets are frozen: they stay as they are, and only a new training uses the new state.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from photogenic.features.lineage import read_graph
from photogenic.warehouse import Store
from photogenic.warehouse.lineage.store_graph import StoreGraph

__all__ = ["Consequence", "consequences"]

_TABLES = {"facts.faces": "faces", "facts.neighbours": "neighbours", "facts.near_duplicates": "near-duplicates"}


@dataclass(frozen=True, slots=True)
class Consequence:
    """One thing that becomes stale.

    Attributes:
        step: `labels` for a relation that the build may compute; `runs` and `training sets` are frozen.
        name: name of the relation or training set; target and encoder of runs.
        n: number of runs or rows; None: unknown before the build.
        why: what changes it, or what it was made from.
    """

    step: Literal["labels", "runs", "training sets"]
    name: str
    n: int | None
    why: str


def consequences(
    store: Store,
    *,
    relations: Collection[str],
    tables: Collection[str],
    vectors: Collection[str],
    planned: Collection[str],
) -> tuple[Consequence, ...]:
    """Return what becomes stale through a build.

    Args:
        store: the open store.
        relations: relations and base tables whose rows change.
        tables: base tables that the build fills again after the labels.
        vectors: encoders with new vectors.
        planned: relations that the build computes for certain.
    """
    if not (relations or tables or vectors):
        return ()
    with store.database.read() as con:
        graph = read_graph(con, store.layout)
    changed = {graph.place(name): name for name in relations}
    for table in tables:
        words = _TABLES.get(table, table.removeprefix("facts.picture_"))
        changed[f"table:{table}"] = words
        for node in graph.graph.uses(f"table:{table}"):
            kind, _, name = node.partition(":")
            if kind == "relation" and name not in graph.catalog.computed:
                changed[node] = name
    changed |= {f"vectors:{name}": f"vectors of {name}" for name in vectors}
    return (*_relations(graph, tables, planned), *_frozen(graph, changed))


def _relations(graph: StoreGraph, tables: Collection[str], planned: Collection[str]) -> Iterator[Consequence]:
    """Yield the computed relations below base tables that are filled after the labels."""
    causes: dict[str, list[str]] = {}
    for table in tables:
        for node in graph.graph.below(f"table:{table}"):
            kind, _, name = node.partition(":")
            if kind == "relation" and name in graph.catalog.computed and name not in planned:
                causes.setdefault(name, []).append(_TABLES.get(table, table.removeprefix("facts.picture_")))
    for name in graph.catalog.computed:
        if name in causes:
            yield Consequence("labels", name, None, f"may change with new {' and '.join(causes[name])}")


def _frozen(graph: StoreGraph, changed: dict[str, str]) -> Iterator[Consequence]:
    """Yield the runs and training sets that were made from something that changes."""
    for node in graph.graph.nodes.values():
        if node.kind not in ("runs", "training set"):
            continue
        made_from = [changed[source] for source in graph.graph.inputs(node.id) if source in changed]
        if made_from:
            why = f"made from the former {' and '.join(made_from)}; kept as it is"
            yield Consequence("runs" if node.kind == "runs" else "training sets", node.name, node.n, why)
