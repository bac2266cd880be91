"""Values of the lineage page: the graph of one relation or column as numbers for SVG, and its columns in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from photogenic.app.serve.pages.lineage_layout import HEIGHT, WIDTH, draw
from photogenic.features.lineage import described, overview
from photogenic.warehouse import Store
from photogenic.warehouse.lineage import Lineage, Node

__all__ = ["drawn", "drawn_overview", "node_address"]

_DRAWN = ("relation", "column", "table", "files", "vectors", "encoder", "code", "index", "runs", "training set")
"""Kinds of nodes in the drawing. The others are listed below it."""

_MOMENT = ("relation:clock", "table:facts.clock")
"""Left out of the drawing: nearly every relation reads the clock."""

_LONGEST = 27
"""Most characters of a name in a box."""


@dataclass(frozen=True, slots=True)
class Box:
    """One node of the drawing, in pixels.

    Attributes:
        over: small text above the name: the relation of a column, or the kind of what is no relation.
        address: page of the node; empty: it has none.
    """

    node: Node
    x: float
    y: float
    over: str
    name: str
    address: str


def drawn(store: Store, name: str) -> dict[str, Any]:
    """Return the values of the page of a relation, a column, or another name that has a lineage.

    Raises:
        InputError: there is nothing of this name.
    """
    found, lines = described(store, name)
    root = found.root
    sides = {"inputs": found.inputs(root.id), "uses": found.uses(root.id)}
    beside = {side: [(one, node_address(one)) for one in nodes if one.kind != "audit"] for side, nodes in sides.items()}
    return _drawing(found, root.id) | {
        "root": root,
        "holder": root.name.rpartition(".")[0] if root.kind == "column" else "",
        "columns": lines,
        "n_up": len(found.up),
        "n_down": len(found.down),
        **beside,
        "audits": [node for node in found.down if node.kind == "audit"],
        "files": [node for node in found.up if node.kind == "file"],
        "relations": (),
    }


def drawn_overview(store: Store) -> dict[str, Any]:
    """Return the values of the page of all relations."""
    found, relations = overview(store)
    values: dict[str, Any] = dict.fromkeys(("columns", "inputs", "uses", "audits", "files"), ())
    values |= {"root": None, "holder": "", "n_up": 0, "n_down": 0}
    return values | _drawing(found, None) | {"relations": [(one, node_address(one)) for one in relations]}


def node_address(node: Node) -> str:
    """Return the address of the page about a node; empty: there is none."""
    if node.kind in ("relation", "column", "table", "option", "encoder", "audit", "training set", "vectors", "index"):
        return f"/lineage/{quote(node.name, safe='')}"
    if node.kind == "runs":
        return "/models"
    if node.kind == "files":
        query = f"from ingests where kind = '{node.name.removeprefix('files of ')}' order by ingest_no desc"
        return f"/sql?{urlencode({'q': query})}"
    return ""


def _drawing(found: Lineage, root: str | None) -> dict[str, Any]:
    """Return the boxes and lines of a lineage."""
    nodes = {
        one.id: one
        for one in (found.root, *found.up, *found.down)
        if one.id == root or (one.kind in _DRAWN and one.id not in _MOMENT)
    }
    edges = [(edge.source, edge.target) for edge in found.edges if edge.source in nodes and edge.target in nodes]
    joined = {one for edge in edges for one in edge}
    shown = [one for one in nodes if one == root or one in joined]
    drawing = draw(shown, edges, root)
    boxes = [_box(nodes[box.id], box.x, box.y) for box in drawing.boxes]
    places = {box.node.id: number for number, box in enumerate(boxes)}
    lines = [(places[source], places[target], path) for source, target, path in drawing.lines]
    return {
        "boxes": boxes,
        "lines": lines,
        "width": drawing.width,
        "height": drawing.height,
        "box": (WIDTH, HEIGHT),
        "kinds": [kind for kind in _DRAWN if any(box.node.kind == kind for box in boxes)],
    }


def _box(node: Node, x: float, y: float) -> Box:
    over, name = "", node.name
    if node.kind == "column":
        over, _, name = node.name.rpartition(".")
    elif node.kind not in ("relation", "table", "files"):
        over = node.kind
    return Box(node, x, y, _cut(over), _cut(name), node_address(node))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
