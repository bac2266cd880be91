"""Plan a build without any change to the store: the same steps as features/build.py.

Labels are computed in temporary tables, pending pictures and vectors are counted, and indices are compared with the
vectors that the build would have.
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
from photogenic.features.consequences import Consequence, consequences
from photogenic.features.encoders.registry import encoder
from photogenic.features.faces.detections import FaceDetections
from photogenic.features.faces.settings import FaceSettings
from photogenic.features.pictures.registry import chosen_features, without_code
from photogenic.features.pictures.relations import face_state
from photogenic.features.pictures.values import FeatureValues, held_features
from photogenic.features.pictures.work import feature_step
from photogenic.features.previous_build import chosen_cluster, last_labels
from photogenic.features.search import index, index_files
from photogenic.features.similarity.relations import stale_similarity
from photogenic.features.vectors.writer import VectorWriter
from photogenic.warehouse import Store
from photogenic.warehouse.labels.last_build import LabelChange
from photogenic.warehouse.labels.plan import LabelPlan, plan_labels

__all__ = ["BuildPlan", "plan", "plan_label_change"]

_NOT_MEASURED = "Seconds are empty for steps that were not measured yet in this store"


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """The work of a build.

    Attributes:
        labels: changes of label relations, without those that depend on new faces; None when the step does not run.
        n_decoded: pictures to decode, for face detection or for vectors.
        n_pictures: pictures to decode for the first time.
        n_vectors: vectors to compute, by encoder, those of mirror images as `ENCODER|flip`; an upper bound for
            encoders of faces, because not every picture has exactly one face.
        seconds: estimated wall time of `decode`, `faces`, each key of n_vectors, and `feature NAME` for each key of
            n_features, from the latest measurements; a step that was never measured is absent.
        n_features: photos to compute a feature for, by feature.
        n_bytes: size of the new vectors, by the keys of n_vectors.
        indices: encoders whose index would be built again.
        likeness: relations to compute from indices: `neighbours ENCODER`, `near_duplicates`; those that depend on
            new vectors may be absent.
        notes: notes and warnings.
        label_change: other label options than those of the last build, and their effect; None: they are the same.
        why: step and what it would compute, such as `labels photo_labels` or `index dlib_face` -> why.
        follows: what becomes stale through this work, or was made from what it replaces.
    """

    labels: LabelPlan | None = None
    n_decoded: int = 0
    n_pictures: int = 0
    n_vectors: dict[str, int] = field(default_factory=dict)
    n_features: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    n_bytes: dict[str, int] = field(default_factory=dict)
    indices: tuple[str, ...] = ()
    likeness: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    label_change: LabelChange | None = None
    why: dict[str, str] = field(default_factory=dict)
    follows: tuple[Consequence, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether the build has any work."""
        labels = self.labels is not None and (self.labels.changes or self.labels.own.changed)
        pictures = self.n_decoded or any(self.n_vectors.values()) or any(self.n_features.values())
        return bool(labels or pictures or self.indices or self.likeness)


def plan(store: Store, options: BuildOptions | None = None) -> BuildPlan:
    """Plan `build` with the same options. It needs no lock and writes nothing.

    Args:
        store: the open store.
        options: options of the build; None takes the defaults.

    Raises:
        AuditError: the build would fail.
        EncoderError, WeightsError: an encoder is unknown, or its weights are not on this machine.
        InputError: Spark has no facts.
        StoreError: the store does not exist.
    """
    options = options or BuildOptions()
    layout = store.layout
    notes: list[str] = []
    names, moment, choices = prepare(store, options, notes=notes)
    labels, change = None, None
    if _is_on_spark(store, options):
        notes.append("The plan leaves out labels on Spark, because to compute them takes as long as the build.")
        change = plan_label_change(store, options)
    elif options.asks_labels:
        labels = plan_labels(store, as_of=moment.as_of, known_at=moment.known_at, options=choices, anew=options.force)
        change = labels.change
    else:
        change = plan_label_change(store, options)
    if options.is_rehearsal:
        return BuildPlan(labels, notes=(*notes, f"Without --publish, labels {moment} are computed and not published."))
    found = BuildPlan(labels, notes=tuple(notes), label_change=change)
    if options.only in (None, "faces", "embeddings", "features"):
        found = _photos(found, store, names if options.only in (None, "embeddings") else [], options)
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
        likeness = stale_similarity(store, considered, k=options.neighbours, duplicates=options.near_duplicates)
    return _with_reasons(store, replace(found, indices=tuple(indices), likeness=likeness))


def plan_label_change(store: Store, options: BuildOptions) -> LabelChange | None:
    """Plan what other label options than those of the last build do to the labels; None: nothing changes them.

    If they are other options, the label build is rehearsed, which takes about as long as the build. Labels on Spark are
    not rehearsed.

    Raises:
        AuditError, EncoderError, InputError, StoreError: see `plan`.
    """
    _, moment, choices = prepare(store, options, notes=[], elsewhere=_is_on_spark(store, options))
    last = last_labels(store.database)
    if last is None or not options.changes_labels or options.is_rehearsal or choices == last.options:
        return None
    if not _is_on_spark(store, options):
        planned = plan_labels(store, as_of=moment.as_of, known_at=moment.known_at, options=choices, anew=options.force)
        return planned.change
    ((n_labels,),) = store.database.rows(
        "select coalesce(sum(n_rows), 0) from facts.relation_state where relation = $1", ["photo_labels"]
    )
    return LabelChange.between(last.options, choices, n_labels=n_labels)


def _with_reasons(store: Store, found: BuildPlan) -> BuildPlan:
    """Add why each step has work, and what becomes stale through it."""
    fresh = {name.partition("|")[0]: n for name, n in found.n_vectors.items() if n}
    why = {f"embeddings {name}": "photos that have no such vector yet" for name, n in found.n_vectors.items() if n}
    if found.n_pictures:
        why["faces pictures never looked at"] = "photos without a search for faces"
    if found.n_decoded:
        why["photos pictures to decode"] = "for the steps below"
    for name in found.indices:
        held = index_files.read_manifest(store.layout, name) is not None
        why[f"index {name}"] = (
            f"{fresh[name]:,} new vectors"
            if name in fresh
            else "its vectors or settings changed"
            if held
            else "there is no index of it"
        )
    for one in found.likeness:
        encoder_name = one.partition(" ")[2]
        follows = encoder_name in found.indices or (not encoder_name and found.indices)
        why[f"index {one}"] = "the index changes" if follows else "asked for, or its vectors changed"
    computed: set[str] = set()
    if found.labels is not None:
        own = {built.name for built in found.labels.own.relations}
        for name, parts in found.labels.why.items():
            why[f"{'own relations' if name in own else 'labels'} {name}"] = "; ".join(parts)
        both = (*found.labels.relations, *found.labels.own.relations)
        computed = {built.name for built in both if built.action != "kept"}
    why |= {f"features {name}": "photos without its values" for name, n in found.n_features.items() if n}
    tables = ["facts.faces"] if found.n_pictures else []
    tables += [f"facts.picture_{name}" for name, n in found.n_features.items() if n]
    tables += ["facts.neighbours"] if any(one.startswith("neighbours") for one in found.likeness) else []
    tables += ["facts.near_duplicates"] if "near_duplicates" in found.likeness else []
    follows_from = consequences(
        store,
        relations=found.labels.changed if found.labels is not None else (),
        tables=tables,
        vectors=sorted(fresh),
        planned=computed,
    )
    return replace(found, why=why, follows=follows_from)


def _is_on_spark(store: Store, options: BuildOptions) -> bool:
    """Whether Spark computes the labels."""
    cluster = chosen_cluster(store.database, options)
    return cluster is not None and cluster.facts is not None


def _photos(so_far: BuildPlan, store: Store, names: Sequence[str], options: BuildOptions) -> BuildPlan:
    """Count the rows of `missing` as in `compute`, and estimate their time and size."""
    faces = options.faces or FaceSettings()
    photos = photo_bytes(store.database).filter(status="ok").drop("status")
    writers = [
        VectorWriter(store.layout, encoder(name, store.layout.models), faces.digest, options.dtype) for name in names
    ]
    asked = options.features if options.only in (None, "features") else ()
    features, no_code = chosen_features(asked, list(held_features(store.layout)))
    values = [FeatureValues.of(store.layout, feature, face_state(faces)) for feature in features]
    work = missing(
        photos,
        FaceDetections(store.layout, faces).overview(),
        writers,
        values,
        flip=options.flip,
        retry=options.retry_features,
    )
    wanted = {name: writer for writer in writers for name in writer.columns if name in work}
    counts = {"decode": {"decode": len(work), "cut": len(work)}}
    of_faces = [work[name] for name, writer in wanted.items() if writer.encoder.input == "face"]
    counts["faces"] = {"faces": int(reduce(operator.or_, of_faces, work["detect"]).sum())}
    n_features = {feature.name: int(work[feature_step(feature.name)].sum()) for feature in features}
    for feature in features:
        step = feature_step(feature.name)
        measured = step if feature.network is None else feature.network.backbone.name
        counts[step] = {measured: n_features[feature.name]}
    # Layers of one network share a pass, which is counted with the first layer; mirror images are a second pass.
    passed: dict[tuple[str, bool], pl.Series] = {}
    for name, writer in wanted.items():
        key = writer.encoder.backbone.name, name == writer.columns[1]
        before = passed.get(key, pl.zeros(len(work), pl.Boolean, eager=True))
        passed[key] = before | work[name]
        counts[name] = {key[0]: int((passed[key] & ~before).sum())}
    known = throughput.last(store.database)
    estimates = {step: known.seconds(parts) for step, parts in counts.items() if any(parts.values())}
    notes = [*so_far.notes, *(without_code(name) for name in no_code)]
    if unknown := [step for step, seconds in estimates.items() if seconds is None]:
        notes.append(f"{_NOT_MEASURED}: {', '.join(unknown)}. A build of some photos measures them.")
    return replace(
        so_far,
        notes=tuple(notes),
        n_decoded=len(work),
        n_pictures=int(work["detect"].sum()),
        n_vectors={name: int(work[name].sum()) for name in wanted},
        n_features=n_features,
        seconds={step: seconds for step, seconds in estimates.items() if seconds is not None},
        n_bytes={
            name: int(work[name].sum()) * writer.encoder.dim * np.dtype(writer.dtype).itemsize
            for name, writer in wanted.items()
        },
    )
