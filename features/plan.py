"""Say what a build would do, and do nothing: the other side of features/build.py, step by step.

Labels are rehearsed, pictures and vectors counted, indices compared with the vectors that there would be.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from features import index
from features.build import Part, held_encoders, prepare
from features.encoders import encoder
from features.faces import FaceSettings
from features.likeness import stale_likeness
from warehouse import Database, Layout, Progress, silent
from warehouse.options import LabelOptions
from warehouse.plan import LabelPlan, plan_labels

if TYPE_CHECKING:
    import polars as pl

__all__ = ["BuildPlan", "plan"]


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """What a build would do.

    Attributes:
        labels: what would change among them, without what follows from new faces; None: not asked for.
        n_pictures: pictures that would be looked at for the first time.
        n_vectors: vectors that would be computed, by encoder; of encoders of faces at most so many, for
            not every picture shows exactly one.
        indices: encoders whose index would be made anew.
        likeness: what would be made from indices: `neighbours ENCODER`, `near_duplicates`; as far as can be
            told before new vectors are there.
        notes: what one should know.
    """

    labels: LabelPlan | None = None
    n_pictures: int = 0
    n_vectors: dict[str, int] = field(default_factory=dict)
    indices: tuple[str, ...] = ()
    likeness: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        labels = self.labels is not None and self.labels.changes
        return bool(labels or self.n_pictures or any(self.n_vectors.values()) or self.indices or self.likeness)


def plan(
    db: Database,
    layout: Layout,
    *,
    encoders: Sequence[str] | None = None,
    only: Part | None = None,
    as_of: dt.datetime | None = None,
    options: LabelOptions | None = None,
    faces: FaceSettings | None = None,
    flip: bool = False,
    recall: float = 0.99,
    memory: int | None = None,
    neighbours: int | None = None,
    near_duplicates: bool = False,
    anew: bool = False,
    progress: Progress = silent,
) -> BuildPlan:
    """Rehearse `build` with the same arguments. Needs no lock and writes nothing.

    Args:
        db: the warehouse.
        layout: the store.
        encoders: as for the build, like all that follow.
        only: one step alone.
        as_of: UTC.
        options: the choices behind labels and splits.
        faces: the face detector and its threshold.
        flip: the vectors of mirror images too.
        recall: wanted of each search index.
        memory: most bytes of each search index.
        neighbours: of each photo.
        near_duplicates: the relation of that name.
        anew: every label again.
        progress: hears of every relation.

    Raises:
        AuditError: the build would fail.
        EncoderError, WeightsError: an encoder that nobody knows, or whose weights are not here.
        StoreError: there is no store.
    """
    notes: list[str] = []
    names, as_of, choices = prepare(db, layout, encoders=encoders, only=only, as_of=as_of, options=options, notes=notes)
    labels = None
    if only in (None, "labels"):
        labels = plan_labels(db, as_of=as_of, options=choices, anew=anew, progress=progress)
    n_pictures, n_vectors = 0, dict[str, int]()
    if only in (None, "faces", "embeddings"):
        work = _work(db, layout, names if only != "faces" else [], faces or FaceSettings(), flip=flip)
        n_pictures = int(work["look"].sum())
        n_vectors = {name: int(work[name].sum()) for name in work.columns if name not in ("sha256", "look")}
    indices: list[str] = []
    likeness: tuple[str, ...] = ()
    if only in (None, "index"):
        fresh = {name.partition("|")[0] for name, n in n_vectors.items() if n}
        considered = names if only == "index" and encoders is not None else sorted({*held_encoders(layout), *fresh})
        indices = [
            name
            for name in considered
            if name in fresh or not index.is_current(layout, name, recall=recall, memory=memory)
        ]
        likeness = stale_likeness(db, layout, considered, k=neighbours, duplicates=near_duplicates)
    return BuildPlan(labels, n_pictures, n_vectors, tuple(indices), likeness, tuple(notes))


def _work(db: Database, layout: Layout, names: Sequence[str], faces: FaceSettings, *, flip: bool) -> pl.DataFrame:
    """The rows of `missing`, as `compute` would see them."""
    from features.missing import missing
    from features.pipeline import photo_bytes
    from features.shelf import Shelf
    from features.sightings import Sightings

    photos = photo_bytes(db).filter(status="ok").drop("status")
    shelves = [Shelf(layout, encoder(name), faces.digest) for name in names]
    return missing(photos, Sightings(layout, faces).overview(), shelves, flip=flip)
