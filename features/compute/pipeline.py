"""Compute faces, vectors and features from photo bytes: only missing results, on all cores, resumable after a kill.

    1. list photos with bytes                from the newest snapshot
    2. list missing results                  by digest of the bytes and of the encoder, or of the feature's code
    3. decode, detect faces, crop, embed     N workers; each takes a batch through all steps
       compute features of the pixels        where only these are missing, with the stored faces and without a network
    4. write                                 each batch as a part that is published atomically
    5. commit                                manifests last
    6. update the warehouse                  faces, the photos that are unreadable, and the relations of features

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
from photogenic.features.compute.pending import missing, sizes, tasks, with_faces
from photogenic.features.compute.preprocess import BATCH
from photogenic.features.compute.process_pool import open_preprocessor
from photogenic.features.compute.spark import outcomes_on_spark, photos_per_round
from photogenic.features.compute.worker import Outcome, Worker, in_parallel
from photogenic.features.decoded.reader import opened_pictures
from photogenic.features.decoded.rule import PictureRule
from photogenic.features.encoders.base import Encoder
from photogenic.features.encoders.batch_embedder import embedders
from photogenic.features.encoders.device import Device, choose, torch_threads
from photogenic.features.encoders.registry import encoder
from photogenic.features.faces.detections import FaceDetections
from photogenic.features.faces.detector import FaceSettings
from photogenic.features.pictures.definition import PictureFeature
from photogenic.features.pictures.registry import chosen_features
from photogenic.features.pictures.relations import commit_features, face_state, network_rows, refuse_names
from photogenic.features.pictures.shipped import SHIPPED
from photogenic.features.pictures.values import NOT_TRIED_AGAIN, FeatureValues, held_features
from photogenic.features.pictures.work import feature_step
from photogenic.features.vectors.writer import VectorWriter
from photogenic.warehouse import Database, InputError, Progress, Store
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
        features: feature -> photos that it was computed for in this run.
        failed: feature -> photos of this run for which it failed; their rows have the reason.
        without_code: features with values in the store whose code is not there; they were left as they are.
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
    features: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    without_code: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    wall_s: float = 0.0

    def add(self, outcome: Outcome, bad: Mapping[str, int]) -> None:
        """Count one batch. `bad`: encoder -> vectors that could not be stored."""
        self.n_decoded += outcome.n
        self.n_faces += sum(len(detection.faces) for detection in outcome.detections)
        for made in outcome.vectors:
            if made.encoder not in SHIPPED:
                self.computed[made.encoder] = self.computed.get(made.encoder, 0) + len(made.sha256s)
        for name in sorted({row.feature for row in outcome.features}):
            rows = [row for row in outcome.features if row.feature == name]
            self.features[name] = self.features.get(name, 0) + len({row.sha256 for row in rows})
            n_failed = len({row.sha256 for row in rows if row.status not in NOT_TRIED_AGAIN})
            if n_failed:
                self.failed[name] = self.failed.get(name, 0) + n_failed
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
    features: Sequence[str] | None = (),
    retry: bool = False,
    decoded: Sequence[str] = (),
) -> ComputeReport:
    """Bring faces, vectors and features up to date with the photos in the store.

    Args:
        store: the open store.
        encoders: names of the encoders; empty computes faces only.
        faces: options of the face detector.
        flip: whether to compute the vectors of the mirror images too.
        dtype: storage type of the vectors; None keeps the type of the stored vectors, float32 for new ones. Another
            type than the stored one computes all vectors again.
        device: device for the networks: cpu, cuda, cuda:1. Default: the first GPU, else the CPU.
        cluster: Spark cluster that processes the photos (spark.py); None uses this machine.
        features: names of features of a picture. None: see `chosen_features`.
        retry: whether to compute features again that failed.
        decoded: addresses of decoded pictures that are read in place of decoding photos (features/decoded).

    Raises:
        EncoderError: an encoder is unknown.
        InputError: a feature is unknown; Spark cannot be reached, or its workers fail; decoded pictures cannot be used.
        WeightsError: the weights of an encoder are not found.
        LockedError: another process writes to the store.
    """
    db, progress = store.database, store.progress
    start, started_at = time.monotonic(), dt.datetime.now(dt.UTC).replace(tzinfo=None)
    settings = faces or FaceSettings()
    chosen = [encoder(name, store.layout.models) for name in dict.fromkeys(encoders)]
    _check_decoded(decoded, chosen, cluster)
    with db.lock("compute features"):
        held = photo_bytes(db, deleted=True)
        kept, photos = (rows.filter(status="ok").drop("status") for rows in (held, photo_bytes(db)))
        detections = FaceDetections(store.layout, settings)
        writers = [VectorWriter(store.layout, e, settings.digest, dtype) for e in chosen]
        stored = held_features(store.layout)
        wanted, without_code = chosen_features(features, list(stored))
        refuse_names(store, wanted)
        values = [FeatureValues.of(store.layout, feature, face_state(settings)) for feature in wanted]
        report = ComputeReport(len(photos), without_code=without_code)
        work = missing(photos, detections.overview(), writers, values, flip=flip, retry=retry)
        if len(work):
            n_threads = db.settings.threads if cluster is None else None
            owners, noted_at = dict(photos.group_by("sha256").agg("photo_id").iter_rows()), time.monotonic()
            if any(feature.uses_faces for feature in wanted):
                work = with_faces(work, detections.stored(work.filter(~pl.col("detect"))["sha256"]))
            for outcome in _outcomes(
                store,
                work,
                writers,
                wanted,
                settings=settings,
                device=device,
                flip=flip,
                cluster=cluster,
                decoded=decoded,
            ):
                outcome.features += network_rows(outcome.vectors, wanted)
                report.add(outcome, _write(outcome, owners, detections, writers, values))
                if time.monotonic() - noted_at >= _NOTE_RATES_S:
                    report.note_rates(progress, n_threads)
                    noted_at = time.monotonic()
            report.note_rates(progress, n_threads)
            if decoded:
                n_read = report.counts.get("decoded before", 0)
                progress.note(f"The pictures of {n_read:,} of {len(work):,} photos were read decoded.")
            for name, n in report.bad_vectors.items():
                progress.note(f"{n:,} vectors of {name} are not finite (bad_vector) and were not stored.")
            for name, n in report.failed.items():
                progress.note(
                    f"{name} failed for {n:,} photos: select status, detail from {name} where status <> 'ok'."
                )
        detections.commit(held["sha256"].unique())
        _commit(kept, detections, writers)
        commit_features(store, values, stored, held["sha256"].unique())
        report.unreadable = _update_warehouse(db, detections)
        if report.n_decoded and cluster is None:  # rates of other machines do not predict those of this one
            throughput.record(db, started_at, report.seconds, report.counts, time.monotonic() - start)
    report.wall_s = time.monotonic() - start
    return report


def _check_decoded(decoded: Sequence[str], encoders: Sequence[Encoder], cluster: Cluster | None) -> None:
    """Refuse decoded pictures that no encoder takes, before the work begins."""
    if decoded and cluster is not None:
        raise InputError(
            "Spark's workers decode photos themselves.",
            "decoded pictures without --engine spark",
            "features build --engine duckdb --decoded ADDRESS",
        )
    with opened_pictures(decoded, (PictureRule.of_input(one.backbone.input_spec) for one in encoders)):
        pass


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
    features: Sequence[PictureFeature],
    *,
    settings: FaceSettings,
    device: str | None,
    flip: bool,
    cluster: Cluster | None,
    decoded: Sequence[str],
) -> Iterator[Outcome]:
    """Step 3: process batches in parallel, and yield their outcomes as they are ready."""
    needed = [writer.encoder for writer in writers if any(work[name].any() for name in writer.columns if name in work)]
    detects = bool(work["detect"].any()) or any(e.input == "face" for e in needed)
    due = [feature for feature in features if work[feature_step(feature.name)].any()]
    needed += [feature.network for feature in due if feature.network is not None]
    if cluster is not None:
        n = photos_per_round(needed, flip=flip)
        rounds = tasks(work, (n for _ in range(0, len(work), n)), features)
        outcomes = outcomes_on_spark(cluster, store.layout, rounds, encoders=needed, faces=settings, features=due)
    else:
        outcomes = _outcomes_on_this_machine(
            *(store, work, needed, choose(device)),
            settings=settings,
            features=features,
            detects=detects,
            decoded=decoded,
        )
    with store.progress.stage("photos", len(work), "photos") as advance:
        for outcome in outcomes:
            yield outcome
            advance(outcome.n)


def _outcomes_on_this_machine(
    store: Store,
    work: pl.DataFrame,
    needed: Sequence[Encoder],
    device: Device,
    *,
    settings: FaceSettings,
    features: Sequence[PictureFeature],
    detects: bool,
    decoded: Sequence[str],
) -> Iterator[Outcome]:
    """Process the batches on the cores and the GPU of this machine."""
    n_threads = store.database.settings.threads
    width = min(device.batch, BATCH) if not device.is_gpu else device.batch
    batches = sizes(len(work), width=width, most=max(width, BATCH), n_workers=n_threads)
    networks = embedders(needed, device, n_pictures=len(work))
    preprocessor = open_preprocessor(
        store.layout,
        settings,
        networks,
        device,
        n=len(work),
        n_threads=n_threads,
        features=[feature for feature in features if feature.network is None],
        detects=detects,
        decoded=decoded,
    )
    with torch_threads(1), preprocessor as (prepare, n_callers):
        yield from in_parallel(Worker(prepare, networks), tasks(work, batches, features), n_callers)


def _write(
    outcome: Outcome,
    owners: Mapping[str, Sequence[str]],
    detections: FaceDetections,
    writers: Sequence[VectorWriter],
    values: Sequence[FeatureValues],
) -> dict[str, int]:
    """Step 4: write each vector for every photo with these bytes. Return encoder -> vectors that were not stored."""
    if outcome.detections:
        detections.append(outcome.detections)
    for stored in values:
        if of_feature := [row for row in outcome.features if row.feature == stored.feature.name]:
            stored.append(of_feature)
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
