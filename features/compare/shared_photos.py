"""The photos that both encoders have vectors of, and how many only one of them has."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photogenic import sql
from photogenic._lazy import pl
from photogenic.features.build import held_encoders
from photogenic.features.vectors.reader import VectorSet, open_vectors
from photogenic.warehouse import InputError, Layout, Store, StoreError
from photogenic.warehouse.labels.past import MomentDatabase

__all__ = ["PhotoCounts", "SharedPhotos", "check_encoders"]


@dataclass(frozen=True, slots=True)
class PhotoCounts:
    """How many photos of the store have vectors. The first five add up to `n_photos`.

    Attributes:
        changed: as of another moment, photos with other bytes than now: no vector is theirs.
        both, only_a, only_b, neither: the other photos, by the encoders that have a vector of them.
        n_photos: photos of the store that are not deleted.
    """

    both: int
    only_a: int
    only_b: int
    neither: int
    changed: int
    n_photos: int


@dataclass(frozen=True, slots=True)
class SharedPhotos:
    """Photos that both encoders have vectors of, in order of photo_id.

    Attributes:
        a, b: vectors of the two encoders.
        rows_a, rows_b: int64 (n,), positions of the photos in the two sets of vectors.
        photos: photo_id, user_id, gender.
        counts: how many photos of the store have vectors.
    """

    a: VectorSet
    b: VectorSet
    rows_a: NDArray[np.int64]
    rows_b: NDArray[np.int64]
    photos: pl.DataFrame
    counts: PhotoCounts

    def __len__(self) -> int:
        return len(self.photos)

    @classmethod
    def of(cls, store: Store, a: str, b: str) -> SharedPhotos:
        """Find the photos, without deleted ones. The store may be that of another moment.

        Raises:
            InputError: the store has no vectors of that name, or both names are the same.
            StoreError: there is no store, or vectors are damaged.
        """
        check_encoders(store.layout, (a, b))
        of_a, of_b = open_vectors(store.layout, a), open_vectors(store.layout, b)
        everything = photos = store.database.frame(sql.read("search/owners"))
        if isinstance(store.database, MomentDatabase):
            kept = store.database.frame(sql.read("search/unchanged"))
            photos = photos.join(kept, on="photo_id", how="semi", maintain_order="left")
        ids: list[str] = photos["photo_id"].to_list()
        rows_a, rows_b = of_a.positions(ids), of_b.positions(ids)
        both = (rows_a >= 0) & (rows_b >= 0)
        counts = PhotoCounts(
            both=int(both.sum()),
            only_a=int(((rows_a >= 0) & ~both).sum()),
            only_b=int(((rows_b >= 0) & ~both).sum()),
            neither=int(((rows_a < 0) & (rows_b < 0)).sum()),
            changed=len(everything) - len(photos),
            n_photos=len(everything),
        )
        return cls(of_a, of_b, rows_a[both], rows_b[both], photos.filter(pl.Series(both)), counts)

    def rows(self) -> list[dict[str, Any]]:
        """Return the counts as rows: which, n_photos. The last row is their sum."""
        a, b, counts = self.a.manifest.encoder, self.b.manifest.encoder, self.counts
        rows = [
            (f"vectors of both {a} and {b}", counts.both),
            (f"vectors of {a} only", counts.only_a),
            (f"vectors of {b} only", counts.only_b),
            ("vectors of neither", counts.neither),
        ]
        rows += [("other bytes than now", counts.changed)] if counts.changed else []
        return [{"photos": what, "n_photos": n} for what, n in (*rows, ("all", counts.n_photos))]


def check_encoders(layout: Layout, names: Sequence[str]) -> None:
    """Refuse names of which the store has no vectors, and two equal names.

    Raises:
        InputError: as above.
        StoreError: there is no store, or it has no vectors.
    """
    held = held_encoders(layout)
    if not held:
        if not (layout.snapshot.exists() or layout.warehouse.exists()):
            raise StoreError(
                f"There is no store at {layout.root.absolute()}.",
                "a folder that `features ingest` or `features demo` has written",
                "--store FOLDER",
            )
        raise StoreError(f"The store {layout.root} holds no vectors.", "vectors of two encoders", "features build")
    for name in names:
        if name not in held:
            near = difflib.get_close_matches(name, held, 1)
            shown = name[:80]
            raise InputError(
                f"The store has no vectors of {shown!r}.",
                f"one of {', '.join(held)}, or an encoder that is built first",
                f"features compare {' '.join(near[0] if one == name else one for one in names)}"
                if near
                else f"features build --encoder {shown}",
            )
    if len(set(names)) < len(names):
        others = [name for name in held if name != names[0]]
        raise InputError(
            f"Both encoders are {names[0]}: their neighbors are the same.",
            "two encoders",
            f"features compare {names[0]} {others[0]}" if others else "features build --encoder NAME",
        )
