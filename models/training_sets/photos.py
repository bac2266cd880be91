"""The photos of a training set, by its name."""

from __future__ import annotations

import re

from photogenic._lazy import pa, pq
from photogenic.models.training_sets.frozen import load
from photogenic.warehouse import InputError, Store

__all__ = ["photo_ids_of"]


def photo_ids_of(store: Store, text: str) -> set[str]:
    """Return the ids of the photos in a training set: `NAME` for its newest version, or `NAME:VERSION`.

    Raises:
        InputError: there is no such set or version.
        StoreError: a file of it is damaged.
    """
    name, mark, version = text.partition(":")
    if mark and re.fullmatch("v?[0-9]{1,9}", version) is None:
        raise InputError(
            f"{text[:80]!r} is no version of a training set.", "NAME or NAME:VERSION", "features training-set list"
        )
    held = load(store, name, int(version.removeprefix("v")) if mark else None)
    found = set[str]()
    for file in held.files:
        found.update(pq.read_table(file, columns=["photo_id"])["photo_id"].cast(pa.string()).to_pylist())
    return found
