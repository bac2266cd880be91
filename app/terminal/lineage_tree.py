"""A lineage as rows of a table: its nodes as a tree, each with its kind, its code and a detail."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from photogenic.warehouse.lineage.graph import Lineage, Node

__all__ = ["COLUMNS", "tree_rows"]

COLUMNS = ("name", "kind", "code", "detail")

_LINES = ("├─ ", "└─ ", "│  ", "   ", "…")
_PLAIN = ("|- ", "`- ", "|  ", "   ", "...")


def tree_rows(found: Lineage, *, up: bool) -> list[tuple[str, str, str, str]]:
    """Return the rows of what a node is made from (`up`), or of what is made from it, with the columns `COLUMNS`.

    A node has one line, below a node that it is connected with. Where it would stand again, it is only named.
    """
    tree = _Tree(found.inputs if up else found.uses, _LINES if _has_lines() else _PLAIN)
    tree.add(found.root, "")
    tree.add_beside(found.root, "")
    return tree.rows


@dataclass(slots=True)
class _Tree:
    """The rows of a tree while they are written.

    Attributes:
        beside: the function from the id of a node to the nodes that stand below it.
        lines: lines before a node, before the last one, below a node, and below the last one; mark of nodes that are
            only named.
    """

    beside: Callable[[str], list[Node]]
    lines: tuple[str, str, str, str, str]
    rows: list[tuple[str, str, str, str]] = field(default_factory=list)
    _placed: set[str] = field(default_factory=set)

    def add(self, node: Node, lines: str) -> None:
        """Add the line of a node."""
        self._placed.add(node.id)
        code = f"{node.code} {node.digest[:8]}".strip() if node.code else ""
        self.rows.append((lines + node.name, node.kind, code, node.detail))

    def add_beside(self, node: Node, indent: str) -> None:
        """Add the lines below a node; nodes that have a line already are named in one."""
        branch, last, below, empty, more = self.lines
        nodes = self.beside(node.id)
        again = [one.name for one in nodes if one.id in self._placed]
        new = [one for one in nodes if one.id not in self._placed]
        self._placed |= {one.id for one in new}
        for number, one in enumerate(new, 1):
            is_last = number == len(new) and not again
            self.add(one, indent + (last if is_last else branch))
            self.add_beside(one, indent + (empty if is_last else below))
        if again:
            own = "which has a line of its own" if len(again) == 1 else "which have lines of their own"
            self.rows.append((f"{indent}{last}{more}", "", "", f"and {', '.join(again)}, {own}"))


def _has_lines() -> bool:
    """Return whether stdout can show the lines of a tree."""
    return (getattr(sys.stdout, "encoding", None) or "utf-8").lower().startswith("utf")
