"""Update the relations that are computed from indices: `neighbours` and `near_duplicates`.

Both are optional. Once requested, every build keeps them up to date.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from photogenic.features.similarity import near_duplicates, neighbours
from photogenic.warehouse import Store
from photogenic.warehouse.option_ranges import check

__all__ = ["SimilarityReport", "keep_similarity", "stale_similarity", "update_similarity"]


@dataclass(frozen=True, slots=True)
class SimilarityReport:
    """The relations that an update computed.

    Attributes:
        neighbours: encoder -> number of neighbors of each photo.
        n_near_duplicates: pairs of photos; None when they were not requested, or nothing had changed.
    """

    neighbours: dict[str, int]
    n_near_duplicates: int | None


def update_similarity(
    store: Store, encoders: Sequence[str], *, k: int | None = None, duplicates: bool = False
) -> SimilarityReport:
    """Bring both relations up to date.

    Args:
        store: the open store.
        encoders: encoders with an index.
        k: number of neighbors of each photo; None keeps the number of the last time, if any.
        duplicates: whether to compute near-duplicates; False updates them only if they were computed before.
    """
    check(neighbours=k)
    made = neighbours.update(store, encoders, k)
    wanted = near_duplicates.DuplicateSettings() if duplicates else None
    n_links = near_duplicates.update(store, wanted, graphs=made)
    return SimilarityReport({name: graph.k for name, graph in made.items()}, n_links)


def keep_similarity(before: Store, store: Store, encoders: Sequence[str], *, lost_links: bool) -> None:
    """Close the gaps that removed photos left in both relations, and mark them as up to date.

    The rows of these photos are gone already. A photo that lost a neighbor is searched again. Near-duplicates that
    lost links are left to the next build, since copies of one picture were linked through the removed one. What was
    stale before stays stale.

    Args:
        before: the store with these photos.
        store: the store without them.
        encoders: encoders whose vectors lost photos.
        lost_links: whether a link of a removed photo was removed.
    """
    stale = neighbours.stale(before, encoders)
    neighbours.fill_gaps(store, [name for name in encoders if name not in stale])
    if not lost_links and near_duplicates.stale(before) is None:
        near_duplicates.mark_current(store)


def stale_similarity(
    store: Store, encoders: Sequence[str], *, k: int | None = None, duplicates: bool = False
) -> tuple[str, ...]:
    """What `update_similarity` would compute, as `neighbours ENCODER` and `near_duplicates`."""
    stale = [f"neighbours {name}" for name in neighbours.stale(store, encoders, k)]
    wanted = near_duplicates.DuplicateSettings() if duplicates else None
    if near_duplicates.stale(store, wanted) is not None:
        stale.append("near_duplicates")
    return tuple(stale)
