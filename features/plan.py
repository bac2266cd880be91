"""Say what a build would do, and do nothing: the other side of features/build.py, step by step.

Labels are rehearsed, pictures and vectors counted, indices compared with the vectors that there would be.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

import numpy as np

from photogenic._lazy import pl
from photogenic.features.build import held_encoders, prepare
from photogenic.features.build_options import BuildOptions
from photogenic.features.compute import throughput
from photogenic.features.compute.pending import missing
from photogenic.features.compute.pipeline import photo_bytes
from photogenic.features.encoders.registry import encoder
from photogenic.features.faces.detections import FaceDetections
from photogenic.features.faces.settings import FaceSettings
from photogenic.features.previous_build import chosen_cluster
from photogenic.features.search import index
from photogenic.features.similarity.relations import stale_likeness
from photogenic.features.vectors.writer import VectorWriter
from photogenic.warehouse import Store
from photogenic.warehouse.labels.plan import LabelPlan, plan_labels

__all__ = ["BuildPlan", "plan"]


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """What a build would do.

    Attributes:
        labels: what would change among them, without what follows from new faces; None: not asked for.
        n_decoded: pictures that would be decoded, to look for faces or to compute vectors.
        n_pictures: pictures that would be looked at for the first time.
        n_vectors: vectors that would be computed, by encoder, those of mirror images as `ENCODER|flip`; of
            encoders of faces at most so many, for not every picture shows exactly one.
        seconds: `decode`, `faces`, and as n_vectors: how long, going by when each was last done; a step is missing
            while it was never measured. They add up to the time that passes.
        n_bytes: of the new vectors, as n_vectors.
        indices: encoders whose index would be made anew.
        likeness: what would be made from indices: `neighbours ENCODER`, `near_duplicates`; as far as can be
            told before new vectors are there.
        notes: what one should know.
    """

    labels: LabelPlan | None = None
    n_decoded: int = 0
    n_pictures: int = 0
    n_vectors: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    n_bytes: dict[str, int] = field(default_factory=dict)
    indices: tuple[str, ...] = ()
    likeness: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        labels = self.labels is not None and self.labels.changes
        return bool(labels or self.n_decoded or any(self.n_vectors.values()) or self.indices or self.likeness)


def plan(store: Store, options: BuildOptions | None = None) -> BuildPlan:
    """Rehearse `build` with the same options. Needs no lock and writes nothing.

    Args:
        store: the store.
        options: as for the build.

    Raises:
        AuditError: the build would fail.
        EncoderError, WeightsError: an unknown encoder, or one whose weights are not on this machine.
        InputError: Spark has no facts.
        StoreError: there is no store.
    """
    options = options or BuildOptions()
    layout = store.layout
    notes: list[str] = []
    names, as_of, choices = prepare(store, options, notes=notes)
    labels = None
    cluster = chosen_cluster(store.database, options)
    if cluster is not None and cluster.facts is not None:
        notes.append("What Spark would do about labels is not rehearsed: it takes as long as the build.")
    elif options.asks_labels:
        labels = plan_labels(store, as_of=as_of, options=choices, anew=options.force)
    found = BuildPlan(labels, notes=tuple(notes))
    if options.only in (None, "faces", "embeddings"):
        found = _photos(found, store, names if options.only != "faces" else [], options)
    indices: list[str] = []
    likeness: tuple[str, ...] = ()
    if options.only in (None, "index"):
        fresh = {name.partition("|")[0] for name, n in found.n_vectors.items() if n}
        asked = options.only == "index" and options.encoders is not None
        considered = names if asked else sorted({*held_encoders(layout), *fresh})
        indices = [
            name
            for name in considered
            if name in fresh or not index.is_current(layout, name, recall=options.recall, memory=options.index_memory)
        ]
        likeness = stale_likeness(store, considered, k=options.neighbours, duplicates=options.near_duplicates)
    return replace(found, indices=tuple(indices), likeness=likeness)


def _photos(so_far: BuildPlan, store: Store, names: Sequence[str], options: BuildOptions) -> BuildPlan:
    """Count the rows of `missing`, as `compute` would see them, and what they take."""
    faces = options.faces or FaceSettings()
    photos = photo_bytes(store.database).filter(status="ok").drop("status")
    writers = [
        VectorWriter(store.layout, encoder(name, store.layout.models), faces.digest, options.dtype) for name in names
    ]
    work = missing(photos, FaceDetections(store.layout, faces).overview(), writers, flip=options.flip)
    wanted = {name: writer for writer in writers for name in writer.columns if name in work}
    counts = {"decode": {"decode": len(work), "cut": len(work)}}
    of_faces = [work[name] for name, writer in wanted.items() if writer.encoder.input == "face"]
    counts["faces"] = {"faces": int(reduce(operator.or_, of_faces, work["look"]).sum())}
    # Layers of one network share its pass, which is counted with the first; each side of a photo is a pass of its own.
    passed: dict[tuple[str, bool], pl.Series] = {}
    for name, writer in wanted.items():
        key = writer.encoder.backbone.name, name == writer.columns[1]
        before = passed.get(key, pl.zeros(len(work), pl.Boolean, eager=True))
        passed[key] = before | work[name]
        counts[name] = {key[0]: int((passed[key] & ~before).sum())}
    known = throughput.last(store.database)
    estimates = {step: known.seconds(parts) for step, parts in counts.items() if any(parts.values())}
    return replace(
        so_far,
        n_decoded=len(work),
        n_pictures=int(work["look"].sum()),
        n_vectors={name: int(work[name].sum()) for name in wanted},
        seconds={step: seconds for step, seconds in estimates.items() if seconds is not None},
        n_bytes={
            name: int(work[name].sum()) * writer.encoder.dim * np.dtype(writer.dtype).itemsize
            for name, writer in wanted.items()
        },
    )
