"""Bring a store up to date: the story of `features build`.

1. Labels, from what was ingested (warehouse/labels/build.py).
2. Faces and vectors of the photos that have none yet (pipeline.py).
3. Labels again, as far as they look at faces: which photos show exactly one.
4. The search index of each encoder (index.py); where they are wanted, the neighbours of every photo
   and the photos that show the same picture (likeness.py).
5. What was made of each encoder is told to the warehouse: the relation `embeddings`.

Each step does only what is missing or stale and publishes what it did, under one writer's lock. A build
that is killed loses at most a batch of photos; the next one goes on from there.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, get_args

from photogenic.features.encoders.registry import DEFAULT, encoder
from photogenic.features.previous_build import Engine, check_confidences, chosen_cluster, former_choices
from photogenic.features.search import index, index_files
from photogenic.features.search.index_files import IndexManifest
from photogenic.features.similarity.relations import Likeness, update_likeness
from photogenic.features.vectors import reader
from photogenic.warehouse import Database, EncoderError, InputError, Layout, Progress, Store, StoreError, no_progress
from photogenic.warehouse.labels.build import BuildReport as LabelReport
from photogenic.warehouse.labels.build import build_labels
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.option_ranges import check
from photogenic.warehouse.storage import parquet_parts

if TYPE_CHECKING:
    import polars as pl

    from photogenic.features.compute.pipeline import ComputeReport
    from photogenic.features.faces.detector import FaceSettings

__all__ = ["BuildReport", "Part", "build", "held_encoders", "prepare", "tell"]

_NO_PICTURES = (
    "No photo of the store has a picture, so there are labels only. "
    "features ingest photos FILE --images DIR, or features fetch, brings pictures."
)

Part = Literal["labels", "faces", "embeddings", "index"]


@dataclass(slots=True)
class BuildReport:
    """What a build did.

    Attributes:
        labels: of each relation, whether it was computed; None when labels were not asked for.
        computed: faces and vectors; None when there was nothing to look at.
        indices: by encoder.
        likeness: neighbours and near-duplicates, as far as they were made now; None when indices were not asked for.
        seconds: by step, in order.
        notes: what one should know.
        funnel: how many users, photos, swipes and posts are left after each step; None before the first label build.
    """

    labels: LabelReport | None = None
    computed: ComputeReport | None = None
    indices: dict[str, IndexManifest] = field(default_factory=dict)
    likeness: Likeness | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    funnel: pl.DataFrame | None = None

    @property
    def total_s(self) -> float:
        return sum(self.seconds.values())


def build(
    db: Database,
    layout: Layout,
    *,
    encoders: Sequence[str] | None = None,
    only: Part | None = None,
    as_of: dt.datetime | None = None,
    options: LabelOptions | None = None,
    faces: FaceSettings | None = None,
    flip: bool = False,
    dtype: Literal["float32", "float16"] | None = None,
    recall: float = 0.99,
    memory: int | None = None,
    neighbours: int | None = None,
    near_duplicates: bool = False,
    anew: bool = False,
    engine: Engine | None = None,
    master: str | None = None,
    facts: str | None = None,
    progress: Progress = no_progress,
) -> BuildReport:
    """Do what is missing or stale.

    Args:
        db: the warehouse.
        layout: the store.
        encoders: which; None: the default pair, and those that the store has vectors of.
        only: one step alone (`faces` and `embeddings` with the labels that follow from them); None: all.
        as_of: UTC; labels see only what happened and had arrived before. None: everything.
        options: the choices behind labels and splits; None: the published ones, or with `only` faces or
            embeddings, those of the last build, as of the same instant.
        faces: the face detector and its threshold.
        flip: the vectors of mirror images too.
        dtype: of the numbers in Parquet; None: as they are held, float32 if there are none.
        recall: wanted of each search index.
        memory: most bytes of each search index; None: no limit.
        neighbours: how many of each photo the relation `neighbours` holds; None: as many as last time, if any.
        near_duplicates: make the relation `near_duplicates`; False: only if it was made before.
        anew: compute every label again, whether or not it is stale.
        engine: who computes labels, None: whoever did last; `spark` looks at photos too, in this build.
        master: of Spark: `local[*]`, `spark://HOST:7077`, `sc://HOST:15002`; None: the one of the last build.
        facts: folder or address of what `features export` wrote; None: those of the last build.
        progress: hears of every step.

    Raises:
        AuditError: a relation broke its contract, or an index its promise; the former state stands.
        EncoderError, WeightsError: an encoder that nobody knows, or whose weights are not here.
        InputError: Spark has no facts, or cannot be reached.
        LockedError: another process writes.
        MissingPartError: pyspark or Java is absent.
        StoreError: there is no store.
    """
    from photogenic.features.compute.pipeline import compute, photo_bytes

    check(recall=recall, memory=memory, neighbours=neighbours)
    report = BuildReport()
    asks_labels = only in (None, "labels")
    cluster = chosen_cluster(db, engine=engine, master=master, facts=facts, labels=asks_labels)
    labelling = cluster if cluster is not None and cluster.facts is not None else None
    names, as_of, choices = prepare(
        db,
        layout,
        encoders=encoders,
        only=only,
        as_of=as_of,
        options=options,
        faces=faces,
        notes=report.notes,
        elsewhere=labelling is not None,
    )
    store = Store(db, progress)
    with db.lock("features build"):
        if asks_labels:
            with _timed(report, "labels"):
                report.labels = build_labels(store, as_of=as_of, options=choices, anew=anew, cluster=labelling)
        if only in (None, "faces", "embeddings"):
            if len(photo_bytes(db)) or held_encoders(layout):
                with _timed(report, "faces and embeddings"):
                    wanted = names if only != "faces" else []
                    report.computed = compute(
                        store,
                        wanted,
                        faces=faces,
                        flip=flip,
                        dtype=dtype,
                        cluster=cluster if engine == "spark" else None,
                    )
                with _timed(report, "labels of faces"):
                    labels = build_labels(store, as_of=as_of, options=choices, cluster=labelling)
                report.labels = _merged(report.labels, labels)
            else:
                report.notes.append(_NO_PICTURES)
        if only in (None, "index"):
            held = held_encoders(layout)
            for name in names if only == "index" and encoders is not None else held:
                with _timed(report, f"index {name}"):
                    report.indices[name] = index.build(store, name, recall=recall, memory=memory)
            with _timed(report, "likeness"):
                report.likeness = update_likeness(store, list(report.indices), k=neighbours, duplicates=near_duplicates)
        tell(db, layout)
        report.funnel = _funnel(db)
    for note in report.notes:
        progress.note(note)
    return report


def prepare(
    db: Database,
    layout: Layout,
    *,
    encoders: Sequence[str] | None,
    only: Part | None,
    as_of: dt.datetime | None,
    options: LabelOptions | None,
    faces: FaceSettings | None,
    notes: list[str],
    elsewhere: bool = False,
) -> tuple[list[str], dt.datetime | None, LabelOptions]:
    """Which encoders, as of when, and with which choices about labels: what `build` makes of its arguments.
    A store need not exist where facts come from `elsewhere`.

    Raises:
        EncoderError: an encoder that nobody knows.
        InputError: a step that does not exist; a confidence of faces below those that are kept.
        StoreError: there is no store.
    """
    if options is not None:
        check_confidences(options, faces)
    if only is not None and only not in get_args(Part):
        raise InputError(f"There is no step {only!r}.", f"one of {', '.join(get_args(Part))}", "features build")
    if not (layout.warehouse.exists() or layout.snapshot.exists() or elsewhere):
        raise StoreError(
            f"There is no store at {layout.root.absolute()}.",
            "a folder that `features ingest` or `features demo` has written",
            f"features ingest users USERS.csv --store {layout.root}",
        )
    if only in ("faces", "embeddings") and options is None and as_of is None:
        as_of, options = former_choices(db)
    names = (
        _usual(layout, notes)
        if encoders is None
        else [encoder(name, layout.models).name for name in dict.fromkeys(encoders)]
    )
    return names, as_of, options or LabelOptions()


def held_encoders(layout: Layout) -> list[str]:
    """The encoders that the store has vectors of, by name."""
    found = (parquet_parts.read_manifest(folder) for folder in layout.embeddings("any").parent.glob("*/"))
    return sorted(facts["encoder"] for facts in found if facts is not None and isinstance(facts.get("encoder"), str))


def _usual(layout: Layout, notes: list[str]) -> list[str]:
    """The default pair and what the store holds, as far as this process knows it."""
    names = list(DEFAULT)
    for name in held_encoders(layout):
        try:
            names.append(encoder(name, layout.models).name)
        except EncoderError:
            notes.append(f"The vectors of {name} were left as they are: no encoder of that name is registered.")
    return list(dict.fromkeys(names))


def _merged(first: LabelReport | None, second: LabelReport) -> LabelReport:
    """Of each relation, the last word: what step 3 computed again, else what step 1 did."""
    if first is None:
        return second
    pairs = zip(first.relations, second.relations, strict=True)
    relations = tuple(after if after.action != "kept" else before for before, after in pairs)
    return replace(second, relations=relations, seconds=first.seconds + second.seconds)


def tell(db: Database, layout: Layout) -> None:
    """Step 5: the relation `embeddings`. Writes only what changed."""
    rows = [_row(layout, name) for name in held_encoders(layout)]
    with db.read() as con:
        known = con.execute("select * from facts.embeddings order by encoder").fetchall()
    if rows == known:
        return
    with db.write("features build") as con:
        con.begin()
        con.execute("delete from facts.embeddings")
        for row in rows:
            con.execute(f"insert into facts.embeddings values ({', '.join('?' * len(row))})", row)
        con.commit()


def _row(layout: Layout, name: str) -> tuple[object, ...]:
    made, held = reader.manifest(layout, name), index_files.read_manifest(layout, name)
    if held is not None and held.vectors_content != made.content:
        held = None  # of former vectors
    return (
        made.encoder,
        made.dim,
        made.n_photos,
        made.input,
        made.weights_sha256,
        held.kind if held else None,
        held.recall_at_10 if held else None,
        held.p50_ms if held else None,
        held.index_bytes if held else None,
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
