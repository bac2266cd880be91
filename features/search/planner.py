"""Choose how to search: exact over the matching rows, unless that takes too long.

Approximate indexes lose recall under a filter: at 1 % of 200,000 vectors an inverted file finds 22 % of the true
neighbors, a graph 15-60 %. Exact search over few matching rows is fast, so it is the default. The IVF index answers
only when a large share of many photos matches, or for many queries at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Plan", "choose"]

SCAN_BYTES = 10**9
"""Bytes of vectors that one query may read: about 0.1 s on two cores."""

BATCH = 16
"""Number of queries from which throughput matters more than latency."""

BATCH_SCAN_BYTES = 20 * 10**6
"""Bytes of vectors that each query of a batch may read: about 0.2 ms on two cores."""

SPARSE = 8
"""If fewer than one in this many photos match, an IVF search would visit most of the cells."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a search is carried out.

    Attributes:
        way: exact (compare every matching row), ivf, or selector (the IVF index with a mask of the matching rows).
        why: reason in one line.
    """

    way: Literal["exact", "ivf", "selector"]
    why: str


def choose(
    n_queries: int, n_matching: int, n_photos: int, dim: int, *, has_ivf: bool, exact: bool | None = None
) -> Plan:
    """Choose the way to search.

    Args:
        n_queries: number of queries at once.
        n_matching: photos that may be results.
        n_photos: photos in the index.
        dim: numbers per vector.
        has_ivf: whether the index has an IVF index.
        exact: True forces exact search, False the IVF index where there is one; None chooses by cost.
    """
    if not has_ivf:
        return Plan("exact", "the index is exact")
    if exact:
        return Plan("exact", "as requested")
    size = n_matching * dim * 4
    if exact is None:
        if n_matching * SPARSE <= n_photos:
            return Plan("exact", f"{n_matching:,} of {n_photos:,} photos match")
        if size <= (BATCH_SCAN_BYTES if n_queries >= BATCH else SCAN_BYTES):
            return Plan("exact", f"{size / 1e6:.0f} MB are read for a query")
    if n_matching == n_photos:
        return Plan("ivf", f"{n_queries:,} queries over {size / 1e6:.0f} MB")
    return Plan("selector", f"{n_queries:,} queries over {n_matching:,} of {n_photos:,} photos")
