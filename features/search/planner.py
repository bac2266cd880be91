"""How a search is carried out: exactly, over the rows that match, unless that would take too long.

Approximate indexes collapse under a filter: at 1 % of 200,000 vectors an inverted file finds 22 % of the true
neighbours, a graph 15-60 %. Exact search over the matching rows is both true and fast, so it is the rule; the
IVF index answers only when nearly everything matches and there is much of it, or many queries come at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Plan", "choose"]

SCAN_BYTES = 10**9
"""Vectors that one query may read: about 0.1 s on two cores."""

BATCH = 16
"""From so many queries on, what each costs counts, not how long the first one waits."""

BATCH_SCAN_BYTES = 20 * 10**6
"""Vectors that each query of a batch may be compared with: about 0.2 ms on two cores."""

SPARSE = 8
"""Below one in so many photos, an IVF index would visit most of its cells to find the matching ones."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Attributes:
    way: exact (every matching row is measured), shortcut, or selector (the IVF index, told which rows count).
    why: one line, for people.
    """

    way: Literal["exact", "shortcut", "selector"]
    why: str


def choose(
    n_queries: int, n_matching: int, n_photos: int, dim: int, *, shortcut: bool, exact: bool | None = None
) -> Plan:
    """The way to search.

    Args:
        n_queries: that come at once.
        n_matching: photos that may be an answer.
        n_photos: photos in the index.
        dim: numbers per vector.
        shortcut: whether the index has one.
        exact: True: whatever it costs; False: the IVF index wherever there is one; None: by cost.
    """
    if not shortcut:
        return Plan("exact", "the index is exact")
    if exact:
        return Plan("exact", "as asked")
    size = n_matching * dim * 4
    if exact is None:
        if n_matching * SPARSE <= n_photos:
            return Plan("exact", f"{n_matching:,} of {n_photos:,} photos match")
        if size <= (BATCH_SCAN_BYTES if n_queries >= BATCH else SCAN_BYTES):
            return Plan("exact", f"{size / 1e6:.0f} MB are read for a query")
    if n_matching == n_photos:
        return Plan("shortcut", f"{n_queries:,} queries over {size / 1e6:.0f} MB")
    return Plan("selector", f"{n_queries:,} queries over {n_matching:,} of {n_photos:,} photos")
