"""A graph of nodes and of the nodes that each is made from, and the part of it above and below one node."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Edge", "Graph", "Kind", "Lineage", "Node", "node_id"]

Kind = Literal[
    "relation", "column", "table", "files", "file", "option", "command", "code", "encoder", "vectors", "index", "audit",
    "runs", "training set",
]  # fmt: skip
"""What a node is. table: a base table, `facts.NAME`. code: a function of pictures, or the face detector."""


@dataclass(frozen=True, slots=True)
class Node:
    """One thing that numbers come from, or that is made from them.

    Attributes:
        id: `KIND:NAME`.
        detail: what it is, or how much of it there is.
        code: file or function that makes it; empty: none does.
        digest: digest of that code, or of weights; empty: none.
        n: number of its rows, files, vectors or runs; None: it has none, or they were not counted.
    """

    id: str
    kind: Kind
    name: str
    detail: str = ""
    code: str = ""
    digest: str = ""
    n: int | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    """`target` is made from `source`, directly; both are ids."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Lineage:
    """One node with what it is made from and what is made from it.

    Attributes:
        root: the node that was asked for.
        up: the nodes that it is made from, the nearest first.
        down: the nodes that are made from it, the nearest first.
        edges: the direct connections between all these nodes.
        depths: id -> number of steps from the root.
    """

    root: Node
    up: tuple[Node, ...]
    down: tuple[Node, ...]
    edges: tuple[Edge, ...]
    depths: Mapping[str, int]

    def inputs(self, node: str) -> list[Node]:
        """Return the nodes of this lineage that a node is made from directly."""
        return self._beside(edge.source for edge in self.edges if edge.target == node)

    def uses(self, node: str) -> list[Node]:
        """Return the nodes of this lineage that are made from a node directly."""
        return self._beside(edge.target for edge in self.edges if edge.source == node)

    def _beside(self, ids: Iterable[str]) -> list[Node]:
        known = {node.id: node for node in (self.root, *self.up, *self.down)}
        return [known[one] for one in ids]

    def records(self) -> list[dict[str, Any]]:
        """Return one dictionary per node: its direction from the root, its fields, and the ids of its inputs."""
        inputs: dict[str, list[str]] = {}
        for edge in self.edges:
            inputs.setdefault(edge.target, []).append(edge.source)
        parts = (("root", (self.root,)), ("up", self.up), ("down", self.down))
        return [
            {
                "direction": direction,
                "depth": self.depths[node.id],
                "id": node.id,
                "kind": node.kind,
                "name": node.name,
                "n": node.n,
                "detail": node.detail,
                "code": node.code,
                "digest": node.digest,
                "inputs": inputs.get(node.id, []),
            }
            for direction, nodes in parts
            for node in nodes
        ]


def node_id(kind: Kind, name: str) -> str:
    """Return the id of a node."""
    return f"{kind}:{name}"


@dataclass(slots=True)
class Graph:
    """Nodes by id, with their direct inputs and uses in the order in which they were added."""

    nodes: dict[str, Node] = field(default_factory=dict)
    _inputs: dict[str, dict[str, None]] = field(default_factory=dict)
    _uses: dict[str, dict[str, None]] = field(default_factory=dict)

    def add(
        self, kind: Kind, name: str, *, detail: str = "", code: str = "", digest: str = "", n: int | None = None
    ) -> str:
        """Add a node, unless there is one of that kind and name, and return its id."""
        node = node_id(kind, name)
        self.nodes.setdefault(node, Node(node, kind, name, detail, code, digest, n))
        return node

    def link(self, source: str, target: str) -> None:
        """Record that a node is made from another one; both are in the graph."""
        self._inputs.setdefault(target, {})[source] = None
        self._uses.setdefault(source, {})[target] = None

    def inputs(self, node: str) -> Iterator[str]:
        """Return the ids of the direct inputs of a node."""
        return iter(self._inputs.get(node, ()))

    def uses(self, node: str) -> Iterator[str]:
        """Return the ids of the nodes that are made from a node directly."""
        return iter(self._uses.get(node, ()))

    def above(self, node: str, depth: int | None = None) -> dict[str, int]:
        """Return the ids of everything that a node is made from, with the number of steps, the nearest first."""
        return _reached(node, self._inputs, depth)

    def below(self, node: str, depth: int | None = None) -> dict[str, int]:
        """Return the ids of everything that is made from a node, with the number of steps, the nearest first."""
        return _reached(node, self._uses, depth)

    def lineage(self, node: str, *, up: bool = True, down: bool = True, depth: int | None = None) -> Lineage:
        """Return the part of the graph above and below a node, up to a number of steps."""
        above = self.above(node, depth) if up else {}
        below = self.below(node, depth) if down else {}
        sides = ({node, *above}, {node, *below})
        edges = tuple(
            Edge(source, target)
            for target, sources in self._inputs.items()
            for source in sources
            if any(source in side and target in side for side in sides)
        )
        return Lineage(
            self.nodes[node],
            tuple(self.nodes[one] for one in above),
            tuple(self.nodes[one] for one in below if one not in above),
            edges,
            {node: 0, **below, **above},
        )


def _reached(start: str, beside: Mapping[str, Iterable[str]], depth: int | None) -> dict[str, int]:
    """Walk in breadth from a node, which is left out of the result."""
    found, queue = {start: 0}, deque([start])
    while queue:
        node = queue.popleft()
        if depth is not None and found[node] >= depth:
            continue
        for one in beside.get(node, ()):
            if one not in found:
                found[one] = found[node] + 1
                queue.append(one)
    del found[start]
    return found
