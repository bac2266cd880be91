"""The relations that are made from indices: `neighbours` and `near_duplicates`.

Both are made when they are asked for, and from then on kept up to date by every build.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from photogenic.features.similarity import near_duplicates, neighbours
from photogenic.warehouse import Store
from photogenic.warehouse.option_ranges import check

__all__ = ["Likeness", "stale_likeness", "update_likeness"]


@dataclass(frozen=True, slots=True)
class Likeness:
    """What was made now.

    Attributes:
        neighbours: encoder -> how many of each photo.
        n_near_duplicates: pairs of photos; None when they were not sought, or nothing had changed.
    """

    neighbours: dict[str, int]
    n_near_duplicates: int | None


def update_likeness(
    store: Store, encoders: Sequence[str], *, k: int | None = None, duplicates: bool = False
) -> Likeness:
    """Bring both up to date.

    Args:
        store: the open store.
        encoders: that have an index.
        k: neighbours of each photo; None: as many as last time, none if there were none.
        duplicates: seek them; False: only if they were sought before.
    """
    check(neighbours=k)
    made = neighbours.update(store, encoders, k)
    wanted = near_duplicates.DuplicateSettings() if duplicates else None
    n_links = near_duplicates.update(store, wanted, graphs=made)
    return Likeness({name: graph.k for name, graph in made.items()}, n_links)


def stale_likeness(
    store: Store, encoders: Sequence[str], *, k: int | None = None, duplicates: bool = False
) -> tuple[str, ...]:
    """What `update_likeness` would make, as `neighbours ENCODER` and `near_duplicates`."""
    stale = [f"neighbours {name}" for name in neighbours.stale(store, encoders, k)]
    wanted = near_duplicates.DuplicateSettings() if duplicates else None
    if near_duplicates.stale(store, wanted) is not None:
        stale.append("near_duplicates")
    return tuple(stale)
