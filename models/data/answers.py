"""Inputs that may contain the answer: those that are computed from what the target is computed from.

The headers of relations say what each reads, so this is known before any training. A note is given and nothing is
refused, because an input may be right all the same: the swipes of last year say nothing of those of today. The audit of
each training refuses an input that is the label itself (models/data/leakage.py).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from photogenic import sql
from photogenic.models.data.targets import Target
from photogenic.warehouse import Store
from photogenic.warehouse.catalog import Catalog, catalog_of
from photogenic.warehouse.columns import ColumnRef

__all__ = ["answer_notes", "shared_source"]

_OURS = {
    "like_ratio": ("photo_labels", "value"),
    "popular": ("photo_labels", "popular"),
    "gender": ("users", "gender"),
}
"""Target of the program -> relation and column of its labels."""

_WHO_AND_WHEN = frozenset(
    {
        "clock",
        "deleted_photos",
        "deleted_users",
        "faces",
        "gender_changes",
        "main_photos",
        "photo_owners",
        "photo_periods",
        "photos",
        "recipient_timeline",
        "user_genders",
        "user_versions",
        "users",
    }
)
"""Relations that most others read, to find a photo, its owner or its times. To share one of them means nothing."""


def answer_notes(store: Store, targets: Sequence[Target], inputs: Sequence[ColumnRef]) -> list[str]:
    """Return a note for each target and relation of inputs that may contain the answer."""
    if not inputs:
        return []
    with store.database.read(query="from facts.own_relations") as con:
        catalog = catalog_of(con)
    notes = []
    for target in targets:
        column = target.column
        place = (column.relation, column.column) if column is not None else _OURS[target.name]
        found: dict[tuple[str, str], list[str]] = {}
        for ref in inputs:
            if source := shared_source(catalog, place, (ref.relation, ref.column)):
                found.setdefault((ref.relation, source), []).append(ref.name)
        for (_, source), names in found.items():
            some = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")
            notes.append(
                f"{some} may contain the answer to {target.name}, because both rest on {source}. A photo without "
                "labels would not have it; leave it out, or compute it from what is known before."
            )
    return notes


def shared_source(catalog: Catalog, target: tuple[str, str], given: tuple[str, str]) -> str | None:
    """Return the relation on which a target and an input, each (relation, column), both rest. None: there is none."""
    of_target, of_input = _chain(catalog, target[0]), _chain(catalog, given[0])
    for (place, column), chain, own in ((given, of_target, target), (target, of_input, given)):
        if place == own[0]:
            if place not in sql.VIEWS:
                return place
        elif place in chain and (place not in sql.VIEWS or _mentions(catalog, chain, place, column)):
            return place
    shared = {name for name in of_target & of_input - _WHO_AND_WHEN if "." not in name}
    # The nearest ones: what others of them read is their source and says less.
    nearest = sorted(name for name in shared if not any(name in _chain(catalog, other) - {other} for other in shared))
    return nearest[0] if nearest else None


def _chain(catalog: Catalog, name: str) -> set[str]:
    """Return a relation and all that it reads, directly or through others."""
    found, left = set[str](), [name]
    while left:
        one = left.pop()
        if one not in found:
            found.add(one)
            left += catalog.relation(one).reads if one in catalog.names else ()
    return found


def _mentions(catalog: Catalog, chain: set[str], place: str, column: str) -> bool:
    """Return whether a relation of a chain that reads `place` names the column in its SQL."""
    readers = [name for name in chain if name in catalog.names and place in catalog.relation(name).reads]
    return any(re.search(rf"\b{re.escape(column)}\b", catalog.relation(name).text) for name in readers)
