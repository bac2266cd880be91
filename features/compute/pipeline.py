"""From photo bytes to faces and vectors: only what is missing, on every core, killed and resumed at will.

    1. which photos have bytes               the newest snapshot
    2. what is missing                       by digest of the bytes and of the encoder
    3. decode, find faces, cut, embed        N workers; each takes a batch through all steps
    4. write                                 batch by batch, each batch a part that appears whole
    5. put in order                          manifests last
    6. tell the warehouse                    faces, and the photos that turned out unreadable

A worker does everything to its batch, so no stage waits for another, and memory is a few batches however
many photos there are. A photo's vectors do not depend on what else is in its batch.
"""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from photogenic import sql
from photogenic._lazy import pl
from photogenic.features.compute import throughput
from photogenic.features.compute.embed_files import Embedded, embed_files
from photogenic.features.compute.pending import missing, sizes, tasks
from photogenic.features.compute.preprocess import BATCH
from photogenic.features.compute.process_pool import preparing
from photogenic.features.compute.spark import outcomes_on_spark, photos_a_round
from photogenic.features.compute.worker import Outcome, Worker, in_parallel
from photogenic.features.encoders.base import Encoder
from photogenic.features.encoders.batch_embedder import embedders
from photogenic.features.encoders.device import Device, choose, one_thread_each
from photogenic.features.encoders.registry import encoder
from photogenic.features.faces.detections import FaceDetections
from photogenic.features.faces.detector import FaceSettings
from photogenic.features.vectors.writer import VectorWriter
from photogenic.warehouse import Database, Progress, Store
from photogenic.warehouse.spark.session import Cluster

_SAY_S = 30.0
"""How often it says meanwhile what limits."""

__all__ = ["ComputeReport", "Embedded", "compute", "embed_files", "photo_bytes"]


@dataclass(slots=True)
class ComputeReport:
    """What a run did.

    Attributes:
        n_photos: photos with bytes.
        n_looked: photo bytes decoded in this run; 0 when nothing was missing.
        n_faces: faces found in them.
        computed: encoder -> vectors computed in this run, mirror images included.
        unreadable: status -> photos whose bytes turned out not to be a picture, in this run.
        bad_vectors: encoder -> vectors with numbers that are not finite, in this run: counted here, and not kept.
        seconds: decode, faces, cut, each backbone -> seconds of work, summed over the workers.
        counts: the same steps -> photos that went through.
        wall_s: of the whole.
    """

    n_photos: int
    n_looked: int = 0
    n_faces: int = 0
    computed: dict[str, int] = field(default_factory=dict)
    unreadable: dict[str, int] = field(default_factory=dict)
    bad_vectors: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    wall_s: float = 0.0

    def add(self, outcome: Outcome, bad: Mapping[str, int]) -> None:
        """Count one batch. `bad`: encoder -> vectors that could not be kept."""
        self.n_looked += outcome.n
        self.n_faces += sum(len(detection.faces) for detection in outcome.detections)
        for made in outcome.vectors:
            self.computed[made.encoder] = self.computed.get(made.encoder, 0) + len(made.sha256s)
        for name, n in bad.items():
            self.computed[name] -= n
            self.bad_vectors[name] = self.bad_vectors.get(name, 0) + n
        for step, seconds in outcome.seconds.items():
            self.seconds[step] = self.seconds.get(step, 0.0) + seconds
            self.counts[step] = self.counts.get(step, 0) + outcome.counts[step]

    def say(self, progress: Progress, n_threads: int | None) -> None:
        """How fast each step would be if all threads did nothing else: the slowest one limits. None: one would be."""
        n = n_threads or 1
        rates = {step: n * self.counts[step] / seconds for step, seconds in self.seconds.items() if seconds}
        steps = ", ".join(f"{step} {rate:,.0f}" for step, rate in rates.items())
        alone = "each step alone" if n_threads else "each step alone, one worker"
        progress.note(f"{self.n_looked:,} photos looked at; photos/s of {alone}: {steps}")


def compute(
    store: Store,
    encoders: Sequence[str],
    *,
    faces: FaceSettings | None = None,
    flip: bool = False,
    dtype: Literal["float32", "float16"] | None = None,
    device: str | None = None,
    cluster: Cluster | None = None,
) -> ComputeReport:
    """Bring faces and vectors up to date with the photos that have bytes.

    Args:
        store: the open store.
        encoders: names; none: faces only.
        faces: the detector and the confidence that counts.
        flip: the vectors of the mirror images as well.
        dtype: of the numbers in Parquet; None: as the encoder's vectors are held, float32 if there are none. Another
            one than they are held in computes them anew.
        device: as torch calls it; by default the best there is.
        cluster: Spark, whose workers look at the photos (executors.py); None: this machine does.

    Raises:
        EncoderError: an encoder nobody knows.
        InputError: Spark cannot be reached, or its workers fail.
        WeightsError: weights that cannot be found.
        LockedError: another process writes to the store.
    """
    db, progress = store.database, store.progress
    start, started_at = time.monotonic(), dt.datetime.now(dt.UTC).replace(tzinfo=None)
    settings = faces or FaceSettings()
    chosen = [encoder(name, store.layout.models) for name in dict.fromkeys(encoders)]
    with db.lock("compute features"):
        held = photo_bytes(db)
        photos = held.filter(status="ok").drop("status")
        detections = FaceDetections(store.layout, settings)
        writers = [VectorWriter(store.layout, e, settings.digest, dtype) for e in chosen]
        report = ComputeReport(len(photos))
        work = missing(photos, detections.overview(), writers, flip=flip)
        if len(work):
            n_threads = db.settings.threads if cluster is None else None
            owners, said = dict(photos.group_by("sha256").agg("photo_id").iter_rows()), time.monotonic()
            for outcome in _outcomes(
                store, work, writers, settings=settings, device=device, flip=flip, cluster=cluster
            ):
                report.add(outcome, _keep(outcome, owners, detections, writers))
                if time.monotonic() - said >= _SAY_S:
                    report.say(progress, n_threads)
                    said = time.monotonic()
            report.say(progress, n_threads)
            for name, n in report.bad_vectors.items():
                progress.note(f"{n:,} vectors of {name} are not finite numbers (bad_vector), and not kept.")
        detections.commit(held["sha256"].unique())
        _commit(photos, detections, writers)
        report.unreadable = _tell(db, detections)
        if report.n_looked and cluster is None:  # what others take says nothing of this machine
            throughput.record(db, started_at, report.seconds, report.counts, time.monotonic() - start)
    report.wall_s = time.monotonic() - start
    return report


def photo_bytes(db: Database) -> pl.DataFrame:
    """photo_id, sha256, status of the photos whose bytes are held, by id; `ok`: sound as far as is known."""
    with db.read() as con:
        frame: pl.DataFrame = con.sql(sql.read("features/photo_bytes")).pl()
    return frame


def _outcomes(
    store: Store,
    work: pl.DataFrame,
    writers: Sequence[VectorWriter],
    *,
    settings: FaceSettings,
    device: str | None,
    flip: bool,
    cluster: Cluster | None,
) -> Iterator[Outcome]:
    """Step 3: batches worked on side by side, as they are ready."""
    needed = [writer.encoder for writer in writers if any(work[name].any() for name in writer.columns if name in work)]
    if cluster is not None:
        n = photos_a_round(needed, flip=flip)
        rounds = tasks(work, (n for _ in range(0, len(work), n)))
        outcomes = outcomes_on_spark(cluster, store.layout, rounds, encoders=needed, faces=settings)
    else:
        outcomes = _here(store, work, needed, choose(device), settings=settings)
    with store.progress.stage("photos", len(work), "photos") as advance:
        for outcome in outcomes:
            yield outcome
            advance(outcome.n)


def _here(
    store: Store, work: pl.DataFrame, needed: Sequence[Encoder], device: Device, *, settings: FaceSettings
) -> Iterator[Outcome]:
    """By the cores and the GPU of this machine."""
    n_threads = store.database.settings.threads
    width = min(device.batch, BATCH) if not device.is_gpu else device.batch
    batches = sizes(len(work), width=width, most=max(width, BATCH), n_workers=n_threads)
    networks = embedders(needed, device, n_pictures=len(work))
    crew = preparing(store.layout, settings, networks, device, n=len(work), n_threads=n_threads)
    with one_thread_each(), crew as (prepare, n_callers):
        yield from in_parallel(Worker(prepare, networks), tasks(work, batches), n_callers)


def _keep(
    outcome: Outcome, owners: Mapping[str, Sequence[str]], detections: FaceDetections, writers: Sequence[VectorWriter]
) -> dict[str, int]:
    """Step 4. A vector is written for every photo that has these bytes. Encoder -> vectors that could not be kept."""
    if outcome.detections:
        detections.append(outcome.detections)
    bad: Counter[str] = Counter()
    for writer in writers:
        bad[writer.encoder.name] += sum(
            int((~writer.storable(made.X)).sum()) for made in outcome.vectors if made.encoder == writer.encoder.name
        )
        rows = [
            (photo_id, digest, made.flip, made.X[at])
            for made in outcome.vectors
            if made.encoder == writer.encoder.name
            for at, digest in enumerate(made.sha256s)
            for photo_id in owners[digest]
        ]
        if rows:
            photo_ids, digests, flips, X = zip(*rows, strict=True)
            writer.append(photo_ids, digests, flips, np.stack(X))
    return dict(+bad)


def _commit(photos: pl.DataFrame, detections: FaceDetections, writers: Sequence[VectorWriter]) -> None:
    """Step 5. Face encoders keep photos with exactly one face that counts."""
    seen = detections.overview().filter(status="ok")
    alone = seen.filter(n_faces=1)
    for writer in writers:
        eligible = alone if writer.encoder.input == "face" else seen
        writer.commit(photos.join(eligible, on="sha256", how="semi"))


def _tell(db: Database, detections: FaceDetections) -> dict[str, int]:
    """Step 6, in one transaction, and only when there is news. Returns status -> photos found unreadable."""
    bad = detections.overview().filter(pl.col("status") != "ok").select("sha256", "status", "detail")
    photos = photo_bytes(db).filter(status="ok").drop("status").join(bad, on="sha256", how="inner")
    with db.read() as con:
        state = f"{detections.state()} {con.execute(sql.read('features/held_bytes')).fetchone()}"
        told = con.execute("select comment from duckdb_tables() where schema_name = 'facts' and table_name = 'faces'")
        if not len(photos) and told.fetchone() == (state,):
            return {}
    with db.write("compute features") as con:
        con.begin()
        if len(photos):
            con.register("found_bad", photos.to_arrow())
            now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
            con.execute(sql.read("features/mark_unreadable"), {"now": now})
        con.execute("delete from facts.faces")
        parts = [str(path) for path in detections.parts.paths()]
        if parts:
            values = {"parts": parts, "confidence": detections.settings.confidence}
            con.execute(f"insert into facts.faces {sql.read('features/load_faces')}", values)
        con.execute(f"comment on table facts.faces is '{state}'")
        con.commit()
    return dict(Counter(photos["status"].to_list()))
