"""What changing the encoder would move: the story of `features compare`.

    1. photos    find the photos that both encoders have vectors of, and count those that only one has
    2. overlap   search the neighbors of a sample by both, exactly; share in common, with intervals over owners
    3. moved     list the photos whose neighbors differ most
    4. heads     pair the runs that were trained alike on each encoder, on the test photos that both have predicted
    5. cost      time and bytes per photo, time and recall of a query, license

Nothing is trained, computed for the store or changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from photogenic.features.compare.cost import EncoderCost, costs
from photogenic.features.compare.neighborhoods import Neighborhoods, draw, search
from photogenic.features.compare.options import CompareOptions
from photogenic.features.compare.shared_photos import PhotoCounts, SharedPhotos
from photogenic.models.encoder_change.heads import HeadPair, pair_heads
from photogenic.models.encoder_change.overlap import MovedPhoto, OverlapRow, moved_photos, overlap_rows
from photogenic.warehouse import Store
from photogenic.warehouse.labels.past import MomentDatabase

__all__ = ["EncoderComparison", "compare_encoders"]


@dataclass(frozen=True, slots=True)
class EncoderComparison:
    """Two encoders side by side. A part that was not asked for is empty.

    Attributes:
        encoder_a, encoder_b: names of the encoders.
        k: number of nearest photos of `moved`.
        moment: the moment of photos and labels, in words; empty: now.
        counts: how many photos have vectors.
        photos: the same as rows: photos, n_photos; the last row is the sum.
        overlap: one row per group of photos and figure.
        moved: photos whose neighbors differ most, most first.
        heads: one row per pair of runs.
        cost: one row per encoder.
        train: commands that train what is missing for a pair.
        notes: what could not be compared, and why.
    """

    encoder_a: str
    encoder_b: str
    k: int
    moment: str
    counts: PhotoCounts | None = None
    photos: list[dict[str, Any]] = field(default_factory=list)
    overlap: list[OverlapRow] = field(default_factory=list)
    moved: list[MovedPhoto] = field(default_factory=list)
    heads: list[HeadPair] = field(default_factory=list)
    cost: list[EncoderCost] = field(default_factory=list)
    train: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def table(self, part: str) -> list[dict[str, Any]]:
        """Return one part as rows: photos, overlap, moved, heads or cost."""
        if part == "photos":
            return self.photos
        rows: Sequence[Any] = getattr(self, part)
        return [asdict(row) for row in rows]

    def record(self) -> dict[str, Any]:
        """Return everything as values of JSON."""
        parts = {part: self.table(part) for part in ("photos", "overlap", "moved", "heads", "cost")}
        said = {name: getattr(self, name) for name in ("encoder_a", "encoder_b", "k", "moment")}
        return said | parts | {"train": self.train, "notes": self.notes}


def compare_encoders(store: Store, a: str, b: str, options: CompareOptions | None = None) -> EncoderComparison:
    """Compare two encoders whose vectors the store has.

    Args:
        store: the open store; as of another moment, photos and labels are those of then.
        a: name of the encoder in use.
        b: name of the other encoder.
        options: options of the comparison. None: the defaults.

    Raises:
        InputError: the store has no vectors of that name, or both names are the same.
        StoreError: there is no store, or vectors are damaged.
    """
    options = options or CompareOptions()
    shared = SharedPhotos.of(store, a, b)
    moment = str(store.database.moments) if isinstance(store.database, MomentDatabase) else ""
    found = EncoderComparison(a, b, options.k, moment, shared.counts, shared.rows())
    if options.asks("overlap", "moved"):
        near = _neighborhoods(store, shared, options, found.notes)
        if options.asks("overlap"):
            found.overlap.extend(overlap_rows(shared, near, options.ks, seed=options.seed))
        if options.asks("moved"):
            found.moved.extend(moved_photos(shared, near, options.k, options.moved))
    if options.asks("heads"):
        heads = pair_heads(store, a, b, seed=options.seed)
        found.heads.extend(heads.pairs)
        found.train.extend(heads.train)
        found.notes.extend(heads.notes)
    if options.asks("cost"):
        cost, notes = costs(store, (a, b), measure=options.measure, seed=options.seed)
        found.cost.extend(cost)
        found.notes.extend(notes)
    return found


def _neighborhoods(store: Store, shared: SharedPhotos, options: CompareOptions, notes: list[str]) -> Neighborhoods:
    if len(shared) < 2:
        a, b = shared.a.manifest.encoder, shared.b.manifest.encoder
        n = "No photo has" if not len(shared) else "Only one photo has"
        notes.append(
            f"{n} vectors of both encoders, so there are no neighbors to compare. "
            f"features build --encoder {a} --encoder {b} computes what is missing."
        )
    queries = draw(len(shared), options.sample, options.seed)
    return search(shared, queries, max(options.ks), store.progress)
