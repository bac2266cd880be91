"""Compute faces and vectors on Spark: the steps of the pipeline, on workers that can read the store's photos.

    1. ship        files of weights, and for other machines this package as a zip
    2. distribute  rounds of digests; the workers read the photos, so their bytes never pass through Spark
    3. compute     mapInArrow; a worker process loads detector and networks once, and uses one thread or one GPU
    4. collect     detections and vectors of each round on the driver, which writes them like a local build

On a CPU, vectors are equal to the bit to those of a local build.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import json
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from photogenic._lazy import pa, pl, pyspark, torch
from photogenic.features.compute.preprocess import PhotoTask, Preprocessor, loader
from photogenic.features.compute.worker import Outcome, Vectors, Worker, in_parallel
from photogenic.features.encoders.base import Encoder
from photogenic.features.encoders.batch_embedder import embedders, input_specs
from photogenic.features.encoders.device import CPU, Device, choose
from photogenic.features.encoders.registry import encoder
from photogenic.features.encoders.weights import Weights, own_sha256, resolve
from photogenic.features.faces.detections import DetectionResult
from photogenic.features.faces.detector import Detector, Face, FaceSettings
from photogenic.features.pictures.definition import PictureFeature
from photogenic.features.pictures.runner import Runner, for_other_processes
from photogenic.features.pictures.shipped import feature_network
from photogenic.features.pictures.work import FeatureRow
from photogenic.warehouse import Layout
from photogenic.warehouse.processes import launch
from photogenic.warehouse.spark.session import Cluster, require_spark, run_on_spark, session
from photogenic.warehouse.storage.checksum import digest
from photogenic.warehouse.user_modules import project_module, use_project_module, user_modules

__all__ = ["outcomes_on_spark", "photos_per_round", "program_archive"]

_ROUND_BYTES = 1 << 27
"""Bytes of the vectors of one round. A killed build loses the rounds in progress."""

_BATCH = 256
"""Photos per task and per Arrow batch; fewer where some workers would get none."""

_SPREAD, _LEAST = 64, 16
"""Largest number of tasks of a small round, and smallest number of photos per task."""

_ROUNDS_AT_ONCE = 2
"""Rounds in progress at a time, so that no worker waits for the slowest task of a round."""

_ROWS = "spark.sql.execution.arrow.maxRecordsPerBatch"
_PACKAGES = ("features", "ingest", "warehouse", "sql")
_INPUT = "sha256 string, detect boolean, wanted array<string>, features array<string>, faces string"
_OUTPUT = "kind string, sha256 string, encoder string, flip boolean, vector array<float>, payload string"


@dataclass(frozen=True, slots=True)
class _Job:
    """Configuration of a worker process.

    Attributes:
        root: folder of the store.
        names: names of the encoders.
        faces: options of the face detector.
        modules: modules of the user, separated by commas, which the workers must have.
        folders: folders that workers on this machine append to their module search path.
        features: features to compute from pixels.
        project: `features.py` of the user's project.
    """

    root: str
    names: tuple[str, ...]
    faces: FaceSettings
    modules: str
    folders: tuple[str, ...]
    features: tuple[PictureFeature, ...]
    project: Path | None


def photos_per_round(encoders: Sequence[Encoder], *, flip: bool) -> int:
    """Number of photos of a round, so that their vectors take about 100 MB."""
    width = 4 * sum(e.dim for e in encoders) * (1 + flip)
    return max(_ROUND_BYTES // max(width, 2048), _BATCH)


def outcomes_on_spark(
    cluster: Cluster,
    layout: Layout,
    rounds: Iterable[Sequence[PhotoTask]],
    *,
    encoders: Sequence[Encoder],
    faces: FaceSettings,
    features: Sequence[PictureFeature] = (),
) -> Iterator[Outcome]:
    """Yield the outcome of each round of photos, as they are ready.

    Args:
        cluster: Spark cluster.
        layout: paths of the store, on storage that the workers mount at the same path.
        rounds: tasks of each round.
        encoders: encoders to compute.
        faces: options of the face detector.
        features: features to compute.

    Raises:
        InputError: Spark cannot be reached, or its workers fail, for example because they cannot read the photos.
        MissingPartError: pyspark, pandas or Java is missing.
    """
    require_spark(cluster, "pandas")
    spark = session(cluster)
    run_on_spark(cluster, lambda: _ship(spark, cluster, encoders, faces))
    modules = ",".join(module for _, module in user_modules())
    folders = tuple(launch.module_folders()) if cluster.is_here else ()
    names = tuple(e.name for e in encoders)
    by_pixels = for_other_processes(feature for feature in features if feature.network is None)
    job = _Job(str(layout.root.absolute()), names, faces, modules, folders, by_pixels, project_module())
    work = functools.partial(_work, job)

    def one(tasks: Sequence[PhotoTask]) -> Outcome:
        return _to_outcome(run_on_spark(cluster, lambda: _run_round(spark, tasks, work)), len(tasks))

    former = spark.conf.get(_ROWS) or "10000"
    spark.conf.set(_ROWS, str(_BATCH))
    try:
        yield from in_parallel(one, rounds, _ROUNDS_AT_ONCE)
    finally:
        spark.conf.set(_ROWS, former)


def _ship(spark: pyspark.sql.SparkSession, cluster: Cluster, encoders: Sequence[Encoder], faces: FaceSettings) -> None:
    """Step 1: send missing files. Fine-tuned networks are not sent, because the workers read them from the store."""
    entries = [faces.weights, *(e.backbone.weights for e in encoders)]
    files = {file for entry in entries if entry is not None and entry.path is None for file in _files_to_ship(entry)}
    spark.addArtifacts(*sorted(map(str, files)), file=True)
    if not cluster.is_here:
        spark.addArtifacts(str(program_archive()), pyfile=True)


def _files_to_ship(entry: Weights) -> list[Path]:
    """The file of weights under the name of its entry, and the digest file of user weights.

    Spark names a shipped file after the target of a link, and the workers would not find it under that name.
    """
    found = resolve(entry)
    files = [(found, entry.file)]
    if own_sha256(entry) is not None:
        files.append((found.with_name(f"{found.name}.sha256"), f"{entry.file}.sha256"))
    return [path if path.resolve().name == name else _copy_under_name(path, name, digest(path)) for path, name in files]


@functools.cache
def _copy_under_name(path: Path, name: str, sha256: str) -> Path:
    """Copy a file to a temporary folder under that name; it is removed when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix=f"photogenic-{sha256[:16]}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(shutil.copyfile(path, folder / name))


@functools.cache
def program_archive() -> Path:
    """Zip this package to a temporary file, which stays until the process ends, for workers that join later."""
    root = Path(launch.HOME)
    package = root / "photogenic"
    paths = sorted(p for name in _PACKAGES for p in (package / name).rglob("*") if p.suffix in (".py", ".sql"))
    paths += [package / "__init__.py", package / "_lazy.py"]
    state = hashlib.sha256()
    for path in paths:
        state.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    folder = Path(tempfile.mkdtemp(prefix="photogenic"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    made = folder / f"photogenic_{state.hexdigest()[:16]}.zip"
    with zipfile.ZipFile(made, "w") as archive:
        for path in paths:
            archive.writestr(zipfile.ZipInfo(str(path.relative_to(root))), path.read_bytes())
    return made


def _run_round(spark: pyspark.sql.SparkSession, tasks: Sequence[PhotoTask], work: Any) -> pa.Table:
    """Steps 2 and 3 for one round."""
    n = len(tasks)
    rows = pa.table(
        {
            "sha256": [task.sha256 for task in tasks],
            "detect": [task.detect for task in tasks],
            "wanted": [[f"{name}|{'flip' * flip}" for name, flip in sorted(task.wanted)] for task in tasks],
            "features": [sorted(task.features) for task in tasks],
            "faces": [_faces_text(task.faces) for task in tasks],
        },
        schema=pa.schema(
            [
                ("sha256", pa.string()),
                ("detect", pa.bool_()),
                ("wanted", pa.list_(pa.string())),
                ("features", pa.list_(pa.string())),
                ("faces", pa.string()),
            ]
        ),
    )
    n_tasks = max(-(-n // _BATCH), min(_SPREAD, n // _LEAST), 1)
    frame = spark.createDataFrame(rows, schema=_INPUT).repartition(n_tasks)
    return frame.mapInArrow(work, _OUTPUT).toArrow()


def _work(job: _Job, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Process batches of tasks on a worker, and yield their outcomes as rows."""
    for batch in batches:
        rows = batch.to_pylist()
        wanted = [frozenset((n, bool(f)) for n, _, f in (w.rpartition("|") for w in row["wanted"])) for row in rows]
        tasks = [
            PhotoTask(row["sha256"], row["detect"], some, frozenset(row["features"]), _to_faces(row["faces"]))
            for row, some in zip(rows, wanted, strict=True)
        ]
        yield _to_rows(_worker(job)(tasks))


@functools.cache
def _worker(job: _Job) -> Worker:
    """Load detector and networks once per worker process, on the GPU of the task if Spark assigned one."""
    os.environ["FEATURES_WEIGHTS"], os.environ["FEATURES_MODULES"] = pyspark.SparkFiles.getRootDirectory(), job.modules
    launch.append_module_folders([folder for folder in job.folders if folder not in sys.path])
    torch.set_num_threads(1)
    layout, device = Layout(Path(job.root)), _device()
    use_project_module(job.project)
    networks = embedders([feature_network(name) or encoder(name, layout.models) for name in job.names], device)
    detector, run = Detector(job.faces), Runner()
    atexit.register(detector.close)
    atexit.register(run.close)
    confidence, specs = job.faces.confidence, input_specs(networks)
    prepare = Preprocessor(loader(layout), detector, confidence, specs, device, features=job.features, run=run)
    return Worker(prepare, networks)


def _device() -> Device:
    """The GPU that Spark assigned to this task (`spark.task.resource.gpu.amount`), else the CPU."""
    context = pyspark.TaskContext.get()
    given = context.resources().get("gpu") if context is not None else None
    if given is None:
        return CPU

    # A container may show its only GPU as number 0, whatever its number on the machine.
    address = int(given.addresses[0])
    return choose(f"cuda:{address if address < torch.cuda.device_count() else 0}")


def _to_rows(outcome: Outcome) -> pa.RecordBatch:
    """Convert an outcome to rows: detections, vectors, and one row of timings."""
    rows: list[dict[str, Any]] = [
        {"kind": "detection", "sha256": seen.sha256, "payload": json.dumps(asdict(seen), default=np.ndarray.tolist)}
        for seen in outcome.detections
    ]
    rows += [
        {"kind": "vector", "sha256": sha256, "encoder": made.encoder, "flip": made.flip, "vector": made.X[at]}
        for made in outcome.vectors
        for at, sha256 in enumerate(made.sha256s)
    ]
    rows += [{"kind": "feature", "sha256": row.sha256, "payload": json.dumps(asdict(row))} for row in outcome.features]
    rows.append({"kind": "times", "payload": json.dumps([outcome.seconds, outcome.counts])})
    text = pa.string()
    kinds = {"kind": text, "sha256": text, "encoder": text, "flip": pa.bool_(), "vector": pa.list_(pa.float32())}
    return pa.RecordBatch.from_pylist(rows, schema=pa.schema([*kinds.items(), ("payload", text)]))


def _to_outcome(table: pa.Table, n: int) -> Outcome:
    """Step 4: convert the rows of a round to one outcome."""
    frame: Any = pl.from_arrow(table)
    detections = [
        _detection(json.loads(payload)) for payload in frame.filter(kind="detection").sort("sha256")["payload"]
    ]
    outcome = Outcome(n, detections, {}, {})
    vectors = frame.filter(kind="vector").sort("encoder", "flip", "sha256")
    for (name, flip), rows in vectors.group_by("encoder", "flip", maintain_order=True):
        X = rows["vector"].explode().to_numpy().reshape(len(rows), -1)
        outcome.vectors.append(Vectors(name, flip, rows["sha256"].to_list(), X))
    for payload in frame.filter(kind="feature").sort("sha256", "payload")["payload"]:
        row = json.loads(payload)
        outcome.features.append(FeatureRow(**{**row, "values": tuple(row["values"])}))
    for payload in frame.filter(kind="times")["payload"]:
        seconds, counts = json.loads(payload)
        for step, spent in seconds.items():
            outcome.seconds[step] = outcome.seconds.get(step, 0.0) + spent
            outcome.counts[step] = outcome.counts.get(step, 0) + counts[step]
    return outcome


def _faces_text(faces: Sequence[Face] | None) -> str | None:
    return None if faces is None else json.dumps([asdict(face) for face in faces], default=np.ndarray.tolist)


def _to_faces(text: str | None) -> tuple[Face, ...] | None:
    return None if text is None else tuple(_face(face) for face in json.loads(text))


def _face(payload: Mapping[str, Any]) -> Face:
    return Face(**{**payload, "keypoints": np.array(payload["keypoints"], np.float64)})


def _detection(payload: Mapping[str, Any]) -> DetectionResult:
    return DetectionResult(**{**payload, "faces": [_face(face) for face in payload["faces"]]})
