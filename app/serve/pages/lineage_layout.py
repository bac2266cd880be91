"""Places for the nodes of a graph in columns from left to right, and lines between them, as numbers for SVG.

Every line leads to the right. Lines that a longer way replaces are left out, so that a graph of a hundred nodes can
still be read; the page lists every direct step in words.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Box", "Drawing", "draw"]

WIDTH, HEIGHT = 196, 36
_ACROSS, _DOWN, _MARGIN = 62, 12, 12
_SWEEPS = 12

Edges = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Box:
    """A node with its upper left corner, in pixels."""

    id: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Drawing:
    """A graph with places.

    Attributes:
        lines: source, target, and the path of SVG between them.
    """

    width: float
    height: float
    boxes: tuple[Box, ...]
    lines: tuple[tuple[str, str, str], ...]


def draw(nodes: Sequence[str], edges: Edges, root: str | None = None) -> Drawing:
    """Place the nodes of a graph without circles.

    Args:
        nodes: ids of the nodes.
        edges: pairs of ids, source and target.
        root: the node in the middle: what it is made from stands on its left, as near as it can; None: there is none.
    """
    edges = _needed(nodes, edges)
    layers = _layers(nodes, edges, root)
    ways = [_way(edge, layers) for edge in edges]
    columns = _columns(nodes, layers, ways)
    places = _places(columns, [step for way in ways for step in itertools.pairwise(way)])
    top = min(places.values(), default=0.0)
    y = {one: place - top + _MARGIN for one, place in places.items()}
    x = {one: _MARGIN + n * (WIDTH + _ACROSS) for n, column in enumerate(columns) for one in column}
    boxes = tuple(Box(one, x[one], round(y[one], 1)) for one in nodes)
    lines = tuple((way[0], way[-1], _path([(x[one], y[one]) for one in way])) for way in ways)
    width = 2 * _MARGIN + len(columns) * (WIDTH + _ACROSS) - _ACROSS
    height = max(y.values(), default=0.0) + HEIGHT + _MARGIN
    return Drawing(width, round(height, 1), boxes, lines)


def _needed(nodes: Sequence[str], edges: Edges) -> Edges:
    """Leave out the edges whose target is also reached on a longer way."""
    beside = _beside(nodes, edges)
    below: dict[str, set[str]] = {}
    for one in reversed(_sorted(nodes, edges)):
        below[one] = {target for next_one in beside[one] for target in (next_one, *below[next_one])}
    return [
        (source, target)
        for source, target in edges
        if not any(target in below[other] for other in beside[source] if other != target)
    ]


def _beside(nodes: Sequence[str], edges: Edges, *, backwards: bool = False) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {one: [] for one in nodes}
    for source, target in edges:
        if backwards:
            found[target].append(source)
        else:
            found[source].append(target)
    return found


def _sorted(nodes: Sequence[str], edges: Edges) -> list[str]:
    """Sort nodes so that every edge leads forward. Nodes of a circle, which SQL cannot have, come last."""
    beside, n_before = _beside(nodes, edges), dict.fromkeys(nodes, 0)
    for _, target in edges:
        n_before[target] += 1
    order = [one for one in nodes if not n_before[one]]
    for one in order:
        for target in beside[one]:
            n_before[target] -= 1
            if not n_before[target]:
                order.append(target)
    return order


def _layers(nodes: Sequence[str], edges: Edges, root: str | None) -> dict[str, int]:
    """Return the number of the column of each node."""
    order, after = _sorted(nodes, edges), _beside(nodes, edges)
    before = _beside(nodes, edges, backwards=True)
    first, last = dict[str, int](), dict[str, int]()
    for one in order:
        first[one] = max((first[other] + 1 for other in before[one]), default=0)
    deepest = max(first.values(), default=0)
    for one in reversed(order):
        last[one] = min((last[other] - 1 for other in after[one]), default=first[one] if root is None else deepest)
    if root is None:
        return last
    above = _reached(root, before)
    shift = {one: last[one] - last[root] if one in above else first[one] - first[root] for one in order}
    least = min(shift.values(), default=0)
    return {one: place - least for one, place in shift.items()}


def _reached(start: str, beside: Mapping[str, Sequence[str]]) -> set[str]:
    found, queue = {start}, [start]
    while queue:
        for one in beside[queue.pop()]:
            if one not in found:
                found.add(one)
                queue.append(one)
    return found


def _way(edge: tuple[str, str], layers: Mapping[str, int]) -> list[str]:
    """Return the ends of an edge, and between them a place in each column that it crosses."""
    source, target = edge
    between = [f"{source}\n{target}\n{layer}" for layer in range(layers[source] + 1, layers[target])]
    return [source, *between, target]


def _columns(nodes: Sequence[str], layers: Mapping[str, int], ways: Sequence[Sequence[str]]) -> list[list[str]]:
    columns: list[list[str]] = [[] for _ in range(max(layers.values(), default=-1) + 1)]
    for one in nodes:
        columns[layers[one]].append(one)
    for way in ways:
        for layer, one in enumerate(way[1:-1], layers[way[0]] + 1):
            columns[layer].append(one)
    return columns


def _places(columns: list[list[str]], steps: Collection[tuple[str, str]]) -> dict[str, float]:
    """Order each column by the places of what its nodes are connected with, and return the height of each node."""
    beside: dict[str, list[str]] = {one: [] for column in columns for one in column}
    for source, target in steps:
        beside[source].append(target)
        beside[target].append(source)
    gap = {one: float(_DOWN if "\n" in one else HEIGHT + _DOWN) for one in beside}
    place: dict[str, float] = {}
    for column in columns:
        y = 0.0
        for one in column:
            place[one] = y
            y += gap[one]
    for sweep in range(_SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            wish = {
                one: sum(place[other] for other in beside[one]) / len(beside[one]) if beside[one] else place[one]
                for one in column
            }
            column.sort(key=lambda one: (wish[one], one))
            _spread(column, wish, gap, place)
    return place


def _spread(
    column: Sequence[str], wish: Mapping[str, float], gap: Mapping[str, float], place: dict[str, float]
) -> None:
    """Put the nodes of a column at the places that they wish, apart from each other, and about the same mean."""
    y = -1e9
    for one in column:
        place[one] = y = max(wish[one], y)
        y += gap[one]
    if column:
        off = sum(place[one] - wish[one] for one in column) / len(column)
        for one in column:
            place[one] -= off


def _path(places: Sequence[tuple[float, float]]) -> str:
    """Return a path of SVG through places; it is level where it crosses a column."""
    (x, y), *rest = places
    x, y = x + WIDTH, y + HEIGHT / 2
    path = f"M{x:.0f} {y:.1f}"
    for number, (left, upper) in enumerate(rest, 1):
        middle = upper + HEIGHT / 2
        bend = (left - x) / 2
        path += f"C{x + bend:.0f} {y:.1f} {left - bend:.0f} {middle:.1f} {left:.0f} {middle:.1f}"
        x, y = left, middle
        if number < len(rest):
            path += f"H{left + WIDTH:.0f}"
            x = left + WIDTH
    return path
