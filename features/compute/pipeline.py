"""Compute faces and vectors from photo bytes: only missing results, on all cores, resumable after a kill.

    1. list photos with bytes                from the newest snapshot
    2. list missing results                  by digest of the bytes and of the encoder
    3. decode, detect faces, crop, embed     N workers; each takes a batch through all steps
    4. write                                 each batch as a part that is published atomically
    5. commit                                manifests last
    6. update the warehouse                  faces, and the photos that are unreadable

A worker takes its batch through all steps, so no stage waits for another, and memory is limited to a few batches. The
vectors of a photo do not depend on the other photos of its batch.
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
from photogenic.features.compute.process_pool import open_preprocessor
from photogenic.features.compute.spark import outcomes_on_spark, photos_per_round
from photogenic.features.compute.worker import Outcome, Worker, in_parallel
from photogenic.features.encoders.base import Encoder
from photogenic.features.encoders.batch_embedder import embedders
from photogenic.features.encoders.device import Device, choose, torch_threads
from photogenic.features.encoders.registry import encoder
from photogenic.features.faces.detections import FaceDetections
from photogenic.features.faces.detector import FaceSettings
from photogenic.features.vectors.writer import VectorWriter
from photogenic.warehouse import Database, Progress, Store
from photogenic.warehouse.spark.session import Cluster

_NOTE_RATES_S = 30.0
"""Seconds between notes about the rate of each step."""

__all__ = ["ComputeReport", "Embedded", "compute", "embed_files", "photo_bytes"]


@dataclass(slots=True)
class ComputeReport:
    """Results and timings of a run.

    Attributes:
        n_photos: photos with bytes.
        n_decoded: photo bytes decoded in this run; 0 when nothing was missing.
        n_faces: faces found in them.
        computed: encoder -> vectors computed in this run, including mirror images.
        unreadable: status -> photos found unreadable in this run.
        bad_vectors: encoder -> vectors of this run that are not finite and were not stored.
        seconds: step (decode, faces, cut, each backbone) -> seconds of work, summed over the workers.
        counts: step -> photos that passed it.
        wall_s: wall time of the run in seconds.
    """

    n_photos: int
    n_decoded: int = 0
    n_faces: int = 0
    computed: dict[str, int] = field(default_factory=dict)
    unreadable: dict[str, int] = field(default_factory=dict)
    bad_vectors: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    wall_s: float = 0.0

    def add(self, outcome: Outcome, bad: Mapping[str, int]) -> None:
        """Count one batch. `bad`: encoder -> vectors that could not be stored."""
        self.n_decoded += outcome.n
        self.n_faces += sum(len(detection.faces) for detection in outcome.detections)
        for made in outcome.vectors:
            self.computed[made.encoder] = self.computed.get(made.encoder, 0) + len(made.sha256s)
        for name, n in bad.items():
            self.computed[name] -= n
            self.bad_vectors[name] = self.bad_vectors.get(name, 0) + n
        for step, seconds in outcome.seconds.items():
            self.seconds[step] = self.seconds.get(step, 0.0) + seconds
            self.counts[step] = self.counts.get(step, 0) + outcome.counts[step]

    def note_rates(self, progress: Progress, n_threads: int | None) -> None:
        """Note the rate of each step if all threads did only this step, or one thread where `n_threads` is None."""
        n = n_threads or 1
        rates = {step: n * self.counts[step] / seconds for step, seconds in self.seconds.items() if seconds}
        steps = ", ".join(f"{step} {rate:,.0f}" for step, rate in rates.items())
        alone = "each step alone" if n_threads else "each step alone, one worker"
        progress.note(f"{self.n_decoded:,} photos processed; photos/s of {alone}: {steps}")


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
    """Bring faces and vectors up to date with the photos in the store.

    Args:
        store: the open store.
        encoders: names of the encoders; empty computes faces only.
        faces: options of the face detector.
        flip: whether to compute the vectors of the mirror images too.
        dtype: storage type of the vectors; None keeps the type of the stored vectors, float32 for new ones. Another
            type than the stored one computes all vectors again.
        device: device for the networks: cpu, cuda, cuda:1. Default: the first GPU, else the CPU.
        cluster: Spark cluster that processes the photos (spark.py); None uses this machine.

    Raises:
        EncoderError: an encoder is unknown.
        InputError: Spark cannot be reached, or its workers fail.
        WeightsError: the weights of an encoder are not found.
        LockedError: another process writes to the store.
    """
    db, progress = store.database, store.progress
    start, started_at = time.monotonic(), dt.datetime.now(dt.UTC).replace(tzinfo=None)
    settings = faces or FaceSettings()
    chosen = [encoder(name, store.layout.models) for name in dict.fromkeys(encoders)]
    with db.lock("compute features"):
        held = photo_bytes(db, deleted=True)
        kept, photos = (rows.filter(status="ok").drop("status") for rows in (held, photo_bytes(db)))
        detections = FaceDetections(store.layout, settings)
        writers = [VectorWriter(store.layout, e, settings.digest, dtype) for e in chosen]
        report = ComputeReport(len(photos))
        work = missing(photos, detections.overview(), writers, flip=flip)
        if len(work):
            n_threads = db.settings.threads if cluster is None else None
            owners, noted_at = dict(photos.group_by("sha256").agg("photo_id").iter_rows()), time.monotonic()
            for outcome in _outcomes(
                store, work, writers, settings=settings, device=device, flip=flip, cluster=cluster
            ):
                report.add(outcome, _write(outcome, owners, detections, writers))
                if time.monotonic() - noted_at >= _NOTE_RATES_S:
                    report.note_rates(progress, n_threads)
                    noted_at = time.monotonic()
            report.note_rates(progress, n_threads)
            for name, n in report.bad_vectors.items():
                progress.note(f"{n:,} vectors of {name} are not finite (bad_vector) and were not stored.")
        detections.commit(held["sha256"].unique())
        _commit(kept, detections, writers)
        report.unreadable = _update_warehouse(db, detections)
        if report.n_decoded and cluster is None:  # rates of other machines do not predict those of this one
            throughput.record(db, started_at, report.seconds, report.counts, time.monotonic() - start)
    report.wall_s = time.monotonic() - start
    return report


def photo_bytes(db: Database, *, deleted: bool = False) -> pl.DataFrame:
    """List the photos whose bytes are in the store, by id: photo_id, sha256, status (`ok` until found unreadable).

    Args:
        db: the warehouse.
        deleted: whether to list deleted photos too: what was computed of them is kept until they are purged.
    """
    held = sql.read("features/photo_bytes")
    if deleted:
        return db.frame(held)
    gone = sql.read("features/deleted_now")
    return db.frame(f"select * from ({held}) as held anti join ({gone}) as gone using (photo_id) order by photo_id")


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
    """Step 3: process batches in parallel, and yield their outcomes as they are ready."""
    needed = [writer.encoder for writer in writers if any(work[name].any() for name in writer.columns if name in work)]
    if cluster is not None:
        n = photos_per_round(needed, flip=flip)
        rounds = tasks(work, (n for _ in range(0, len(work), n)))
        outcomes = outcomes_on_spark(cluster, store.layout, rounds, encoders=needed, faces=settings)
    else:
        outcomes = _outcomes_on_this_machine(store, work, needed, choose(device), settings=settings)
    with store.progress.stage("photos", len(work), "photos") as advance:
        for outcome in outcomes:
            yield outcome
            advance(outcome.n)


def _outcomes_on_this_machine(
    store: Store, work: pl.DataFrame, needed: Sequence[Encoder], device: Device, *, settings: FaceSettings
) -> Iterator[Outcome]:
    """Process the batches on the cores and the GPU of this machine."""
    n_threads = store.database.settings.threads
    width = min(device.batch, BATCH) if not device.is_gpu else device.batch
    batches = sizes(len(work), width=width, most=max(width, BATCH), n_workers=n_threads)
    networks = embedders(needed, device, n_pictures=len(work))
    preprocessor = open_preprocessor(store.layout, settings, networks, device, n=len(work), n_threads=n_threads)
    with torch_threads(1), preprocessor as (prepare, n_callers):
        yield from in_parallel(Worker(prepare, networks), tasks(work, batches), n_callers)


def _write(
    outcome: Outcome, owners: Mapping[str, Sequence[str]], detections: FaceDetections, writers: Sequence[VectorWriter]
) -> dict[str, int]:
    """Step 4: write each vector for every photo with these bytes. Return encoder -> vectors that were not stored."""
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
    """Step 5: commit detections and vectors. Face encoders keep photos with exactly one face."""
    decoded = detections.overview().filter(status="ok")
    alone = decoded.filter(n_faces=1)
    for writer in writers:
        eligible = alone if writer.encoder.input == "face" else decoded
        writer.commit(photos.join(eligible, on="sha256", how="semi"))


def _update_warehouse(db: Database, detections: FaceDetections) -> dict[str, int]:
    """Step 6: write changes to the warehouse in one transaction. Return status -> photos found unreadable."""
    bad = detections.overview().filter(pl.col("status") != "ok").select("sha256", "status", "detail")
    photos = photo_bytes(db).filter(status="ok").drop("status").join(bad, on="sha256", how="inner")
    with db.read() as con:
        state = f"{detections.state()} {con.execute(sql.read('features/held_bytes')).fetchone()}"
        recorded = con.execute(
            "select comment from system.main.duckdb_tables() where schema_name = 'facts' and table_name = 'faces'"
        )
        if not len(photos) and recorded.fetchone() == (state,):
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
