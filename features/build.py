"""Bring a store up to date: the steps of `features build`.

1. Compute labels from the ingested data (warehouse/labels/build.py).
2. Compute missing faces, vectors and features of photos (compute/pipeline.py).
3. Compute the labels that depend on faces again, such as photos with exactly one face.
4. Build the search index of each encoder (search/index.py) and, if requested, the relations `neighbours` and
   `near_duplicates` (similarity/relations.py).
5. Write the relation `embeddings`.
6. Bring the user's own relations up to date that read faces, picture features or neighbors.

Each step computes only missing or stale results and publishes them, under one writer's lock. A killed build loses at
most the batches in progress; the next build continues from there.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace

from photogenic._lazy import pl
from photogenic.features.build_options import BuildOptions
from photogenic.features.build_outcome import recorded
from photogenic.features.compute.pipeline import ComputeReport, compute, photo_bytes
from photogenic.features.encoders.registry import DEFAULT, encoder
from photogenic.features.pictures.registry import without_code
from photogenic.features.pictures.values import held_features
from photogenic.features.previous_build import chosen_cluster, last_labels
from photogenic.features.search import index, index_files
from photogenic.features.search.index_files import IndexManifest
from photogenic.features.similarity.relations import SimilarityReport, update_similarity
from photogenic.features.vectors import reader
from photogenic.warehouse import Database, EncoderError, InputError, Layout, Store, StoreError
from photogenic.warehouse.definitions.build import OwnReport
from photogenic.warehouse.definitions.link import link_project, refuse_replacing
from photogenic.warehouse.labels.build import BuildReport as LabelReport
from photogenic.warehouse.labels.build import build_labels, rehearse_labels, update_own
from photogenic.warehouse.labels.last_build import next_options
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.moment import Moment
from photogenic.warehouse.spark.session import Cluster
from photogenic.warehouse.storage import parquet_parts

__all__ = ["BuildReport", "build", "held_encoders", "prepare", "tell"]

_NO_PICTURES = (
    "No photo of the store has a picture, so there are labels only. "
    "features ingest photos FILE --images FOLDER, or features fetch, brings pictures."
)


@dataclass(slots=True)
class BuildReport:
    """Results and timings of a build.

    Attributes:
        labels: action for each label relation; None when the step did not run.
        computed: faces, vectors and features; None without photos to process.
        indices: manifest of each index, by encoder.
        likeness: computed `neighbours` and `near_duplicates`; None when the step did not run.
        seconds: wall time by step, in order.
        notes: notes and warnings.
        published: whether the results are in the store; False for the labels of a moment without `publish`.
        funnel: number of users, photos, swipes and posts after each step; None before the first label build.
        own: action for each relation of the user's own; None when none of the steps ran.
    """

    labels: LabelReport | None = None
    computed: ComputeReport | None = None
    indices: dict[str, IndexManifest] = field(default_factory=dict)
    likeness: SimilarityReport | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    published: bool = True
    funnel: pl.DataFrame | None = None
    own: OwnReport | None = None

    @property
    def total_s(self) -> float:
        return sum(self.seconds.values())


def build(store: Store, options: BuildOptions | None = None) -> BuildReport:
    """Compute everything that is missing or stale.

    With `as_of` or `known_at`, and without `publish`, only the labels of that moment are computed, and nothing is
    written.

    Args:
        store: the open store; it need not exist where Spark reads facts from outside the store.
        options: options of the build; None takes the defaults.

    Raises:
        AuditError: a relation breaks its contract, or an index has too low a recall; the former state is kept.
        ConflictError: the store has the definitions of another project.
        EncoderError, WeightsError: an encoder is unknown, or its weights are not on this machine.
        InputError: a feature is unknown; Spark has no facts, or cannot be reached.
        LockedError: another process writes.
        MissingPartError: pyspark or Java is missing.
        StoreError: the store does not exist.
    """
    options = options or BuildOptions()
    db, layout = store.database, store.layout
    report = BuildReport()
    cluster = chosen_cluster(db, options)
    labelling = cluster if cluster is not None and cluster.facts is not None else None
    names, moment, labels = prepare(store, options, notes=report.notes, elsewhere=labelling is not None)
    if options.is_rehearsal:
        return _rehearse(store, moment, labels, report, labelling)
    with db.lock("features build"), recorded(layout):
        report.notes += link_project(store, replace=options.replace_project)
        labels = next_options(options.labels, last_labels(db))  # another build may have ended while this one waited
        if options.asks_labels:
            with _timed(report, "labels"):
                report.labels = build_labels(
                    store,
                    as_of=moment.as_of,
                    known_at=moment.known_at,
                    options=labels,
                    anew=options.force,
                    cluster=labelling,
                )
                report.own = report.labels.own
        if options.only in (None, "faces", "embeddings", "features"):
            if len(photo_bytes(db, deleted=True)) or held_encoders(layout) or held_features(layout):
                with _timed(report, "faces and embeddings"):
                    report.computed = compute(
                        store,
                        names if options.only in (None, "embeddings") else [],
                        faces=options.faces,
                        flip=options.flip,
                        dtype=options.dtype,
                        cluster=cluster if options.engine == "spark" else None,
                        features=options.features if options.only in (None, "features") else (),
                        retry=options.retry_features,
                        decoded=options.decoded if options.only in (None, "embeddings") else (),
                    )
                report.notes += [without_code(name) for name in report.computed.without_code]
                with _timed(report, "labels of faces"):
                    after = build_labels(
                        store,
                        as_of=moment.as_of,
                        known_at=moment.known_at,
                        options=labels,
                        cluster=labelling,
                        retry=False,
                    )
                report.own = _merged_own(report.labels.own if report.labels is not None else None, after.own)
                report.labels = _merged(report.labels, after)
            else:
                report.notes.append(_NO_PICTURES)
        if options.only in (None, "index"):
            held = held_encoders(layout)
            for name in names if options.only == "index" and options.encoders is not None else held:
                with _timed(report, f"index {name}"):
                    report.indices[name] = index.build(
                        store,
                        name,
                        recall=options.recall,
                        memory=options.index_memory,
                        cluster=cluster if options.engine == "spark" else None,
                    )
            with _timed(report, "likeness"):
                report.likeness = update_similarity(
                    store, list(report.indices), k=options.neighbours, duplicates=options.near_duplicates
                )
        tell(store)
        if options.only != "labels":
            with _timed(report, "own relations"):
                report.own = _merged_own(report.own, update_own(store, labelling))
        report.funnel = _funnel(db)
    if report.labels is not None and report.labels.change is not None:
        report.notes.append(str(report.labels.change))
    if report.own is not None:
        report.notes += report.own.notes
    for note in report.notes:
        store.progress.note(note)
    return report


def _rehearse(
    store: Store, moment: Moment, labels: LabelOptions, report: BuildReport, labelling: Cluster | None
) -> BuildReport:
    """Compute the labels of a moment, and publish nothing."""
    if labelling is not None:
        raise InputError(
            "Spark computes the labels of this store, and cannot compute them without publishing.",
            "--publish, or --engine duckdb for the swipes of the store",
            f"features build --only labels --as-of {moment.as_of.isoformat()} --publish",
        )
    with _timed(report, "labels"):
        report.labels = rehearse_labels(store, moment, labels)
    funnel = pl.DataFrame([asdict(step) for step in report.labels.funnel])
    report.funnel, report.published = funnel.sort("source", "step_no", descending=[True, False]), False
    report.notes += report.labels.notes
    report.notes.append(
        f"Nothing was published: these are the labels {moment}. `features sql --as-of` reads them; --publish gives "
        "them to every reader."
    )
    for note in report.notes:
        store.progress.note(note)
    return report


def prepare(
    store: Store, options: BuildOptions, *, notes: list[str], elsewhere: bool = False
) -> tuple[list[str], Moment, LabelOptions]:
    """Resolve the options of a build: names of the encoders, moment, and label options, which stay until changed.

    Args:
        store: the open store; it need not exist where facts come from `elsewhere`.
        options: options of the build.
        notes: list to which notes are added.
        elsewhere: whether Spark computes labels from facts outside the store.

    Raises:
        ConflictError: the store has the definitions of another project.
        EncoderError: an encoder is unknown.
        InputError: labels need faces of a lower confidence than the stored ones.
        StoreError: the store does not exist.
    """
    layout, moment = store.layout, Moment.of(options.as_of, options.known_at)
    if not (layout.warehouse.exists() or layout.snapshot.exists() or elsewhere):
        raise StoreError(
            f"There is no store at {layout.root.absolute()}.",
            "a folder that `features ingest` or `features demo` has written",
            f"features ingest users USERS.csv --store {layout.root}",
        )
    refuse_replacing(store, replace=options.replace_project)
    last = last_labels(store.database)
    if options.only in ("faces", "embeddings", "features") and not moment.is_limited and last is not None:
        moment = last.moment
    labels = next_options(options.labels, last)
    if options.only is None or last is None or labels != last.options:
        options.check_confidences(labels)
    if options.encoders is None:
        names = _usual(layout, notes)
    else:
        names = [encoder(name, store.layout.models).name for name in dict.fromkeys(options.encoders)]
    return names, moment, labels


def held_encoders(layout: Layout) -> list[str]:
    """The encoders with vectors in the store, sorted by name."""
    found = (parquet_parts.read_manifest(folder) for folder in layout.embeddings("any").parent.glob("*/"))
    return sorted(facts["encoder"] for facts in found if facts is not None and isinstance(facts.get("encoder"), str))


def _usual(layout: Layout, notes: list[str]) -> list[str]:
    """The default encoders and the registered encoders with vectors in the store."""
    names = list(DEFAULT)
    for name in held_encoders(layout):
        try:
            names.append(encoder(name, layout.models).name)
        except EncoderError:
            notes.append(f"The vectors of {name} were left as they are: no encoder of that name is registered.")
    return list(dict.fromkeys(names))


def _merged(first: LabelReport | None, second: LabelReport) -> LabelReport:
    """Merge the reports of steps 1 and 3: for each relation, step 3 if it computed the relation again, else step 1."""
    if first is None:
        return second
    pairs = zip(first.relations, second.relations, strict=True)
    relations = tuple(after if after.action != "kept" else before for before, after in pairs)
    return replace(
        second, relations=relations, seconds=first.seconds + second.seconds, change=first.change or second.change
    )


def _merged_own(first: OwnReport | None, second: OwnReport | None) -> OwnReport | None:
    """Merge two passes over the own relations: what the second one did, and what the first one computed."""
    if first is None or second is None:
        return second or first
    before = {one.name: one for one in first.relations}
    relations = tuple(before.get(one.name, one) if one.action == "kept" else one for one in second.relations)
    return replace(second, relations=relations, dropped=(*first.dropped, *second.dropped))


def tell(store: Store) -> None:
    """Step 5: write the relation `embeddings`, if it changed."""
    rows = [_row(store.layout, name) for name in held_encoders(store.layout)]
    if rows == store.database.rows("select * from facts.embeddings order by encoder"):
        return
    with store.database.write("features build") as con:
        con.begin()
        con.execute("delete from facts.embeddings")
        for row in rows:
            con.execute(f"insert into facts.embeddings values ({', '.join('?' * len(row))})", row)
        con.commit()


def _row(layout: Layout, name: str) -> tuple[object, ...]:
    made, held = reader.manifest(layout, name), index_files.read_manifest(layout, name)
    if held is not None and held.vectors_content != made.content:
        held = None  # an index of former vectors
    return (
        made.encoder,
        made.dim,
        made.n_photos,
        made.input,
        made.weights_sha256,
        *((held.kind, held.recall_at_10, held.p50_ms, held.index_bytes) if held else (None,) * 4),
    )


def _funnel(db: Database) -> pl.DataFrame | None:
    with db.read() as con:
        if not con.execute(
            "select 1 from duckdb_tables() where database_name = 'store' and table_name = 'funnel'"
        ).fetchall():
            return None
        frame: pl.DataFrame = con.sql("select * from funnel order by source desc, step_no").pl()
    return frame


@contextlib.contextmanager
def _timed(report: BuildReport, step: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        report.seconds[step] = time.perf_counter() - start
