"""Faces and vectors computed by Spark's workers: the pipeline's own steps, on machines that share the store's photos.

    1. ship        files of weights, and to other machines this package as a zip
    2. hand out    rounds of digests: the workers read the photos, bytes never pass through Spark
    3. compute     mapInArrow; a worker process loads detector and networks once, and uses one thread or one GPU
    4. bring back  detections and vectors, round by round, to the driver, which keeps them as a local build does

A vector does not depend on who computed it: on a CPU it is the local encoder's to the bit.
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
from photogenic.warehouse import Layout
from photogenic.warehouse.processes import launch
from photogenic.warehouse.spark.session import Cluster, require_spark, run_on_spark, session
from photogenic.warehouse.storage.checksum import digest
from photogenic.warehouse.user_modules import user_modules

__all__ = ["outcomes_on_spark", "photos_a_round"]

_ROUND_BYTES = 1 << 27
"""Of vectors that are brought back together. Some rounds are under way at a time; a build that is killed loses them."""

_BATCH = 256
"""Photos of a task, and of an Arrow batch; fewer where that leaves workers without any."""

_SPREAD, _LEAST = 64, 16
"""Into how many tasks a small round is cut, and the photos of a task below which it is not."""

_AT_ONCE = 2
"""Rounds, so that no worker waits for the slowest task of one."""

_ROWS = "spark.sql.execution.arrow.maxRecordsPerBatch"
_ROOMS = ("features", "ingest", "warehouse", "sql")
_INPUT = "sha256 string, look boolean, wanted array<string>"
_OUTPUT = "kind string, sha256 string, encoder string, flip boolean, vector array<float>, said string"


@dataclass(frozen=True, slots=True)
class _Job:
    """What a worker process is to do. `yours`: modules of the user's own, which the workers must have.

    `folders`: where workers on this machine may look for them, after all else.
    """

    root: str
    names: tuple[str, ...]
    faces: FaceSettings
    yours: str
    folders: tuple[str, ...]


def photos_a_round(encoders: Sequence[Encoder], *, flip: bool) -> int:
    """So many that their vectors are some 100 MB."""
    width = 4 * sum(e.dim for e in encoders) * (1 + flip)
    return max(_ROUND_BYTES // max(width, 2048), _BATCH)


def outcomes_on_spark(
    cluster: Cluster,
    layout: Layout,
    rounds: Iterable[Sequence[PhotoTask]],
    *,
    encoders: Sequence[Encoder],
    faces: FaceSettings,
) -> Iterator[Outcome]:
    """What became of each round of photos, in the order they are ready.

    Args:
        cluster: the master.
        layout: the store, on storage that the workers see under the same path.
        rounds: photos, and what is wanted of each.
        encoders: that are wanted.
        faces: the detector, and the confidence that counts.

    Raises:
        InputError: Spark cannot be reached, or its workers fail: they do not see the photos, or lack a package.
        MissingPartError: pyspark, pandas or Java is absent.
    """
    require_spark(cluster, "pandas")
    spark = session(cluster)
    run_on_spark(cluster, lambda: _ship(spark, cluster, encoders, faces))
    yours = ",".join(module for _, module in user_modules())
    folders = tuple(launch.module_folders()) if cluster.is_here else ()
    job = _Job(str(layout.root.absolute()), tuple(e.name for e in encoders), faces, yours, folders)
    work = functools.partial(_work, job)

    def one(tasks: Sequence[PhotoTask]) -> Outcome:
        return _gathered(run_on_spark(cluster, lambda: _round(spark, tasks, work)), len(tasks))

    former = spark.conf.get(_ROWS) or "10000"
    spark.conf.set(_ROWS, str(_BATCH))
    try:
        yield from in_parallel(one, rounds, _AT_ONCE)
    finally:
        spark.conf.set(_ROWS, former)


def _ship(spark: pyspark.sql.SparkSession, cluster: Cluster, encoders: Sequence[Encoder], faces: FaceSettings) -> None:
    """Step 1. What is there already is not sent again. Fine-tuned networks lie in the store, which the workers see."""
    entries = [faces.weights, *(e.backbone.weights for e in encoders)]
    files = {file for entry in entries if entry is not None and entry.path is None for file in _shipped(entry)}
    spark.addArtifacts(*sorted(map(str, files)), file=True)
    if not cluster.is_here:
        spark.addArtifacts(str(_package()), pyfile=True)


def _shipped(entry: Weights) -> list[Path]:
    """The file of weights under its own name, and the statement of those that are one's own.

    Spark names what it ships after the file that a link leads to, and the workers would not find it.
    """
    found = resolve(entry)
    files = [(found, entry.file)]
    if own_sha256(entry) is not None:
        files.append((found.with_name(f"{found.name}.sha256"), f"{entry.file}.sha256"))
    return [path if path.resolve().name == name else _copied(path, name, digest(path)) for path, name in files]


@functools.cache
def _copied(path: Path, name: str, sha256: str) -> Path:
    """A copy under that name, until the process ends."""
    folder = Path(tempfile.mkdtemp(prefix=f"photogenic-{sha256[:16]}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(shutil.copyfile(path, folder / name))


@functools.cache
def _package() -> Path:
    """This package as a zip, until the process ends: workers that join later ask for it then."""
    root = Path(launch.HOME)
    house = root / "photogenic"
    paths = sorted(p for room in _ROOMS for p in (house / room).rglob("*") if p.suffix in (".py", ".sql"))
    paths.append(house / "__init__.py")
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


def _round(spark: pyspark.sql.SparkSession, tasks: Sequence[PhotoTask], work: Any) -> pa.Table:
    """Steps 2 and 3 for some photos."""
    n = len(tasks)
    rows = pa.table(
        {
            "sha256": [task.sha256 for task in tasks],
            "look": [task.look for task in tasks],
            "wanted": [[f"{name}|{'flip' * flip}" for name, flip in sorted(task.wanted)] for task in tasks],
        },
        schema=pa.schema([("sha256", pa.string()), ("look", pa.bool_()), ("wanted", pa.list_(pa.string()))]),
    )
    n_tasks = max(-(-n // _BATCH), min(_SPREAD, n // _LEAST), 1)
    frame = spark.createDataFrame(rows, schema=_INPUT).repartition(n_tasks)
    return frame.mapInArrow(work, _OUTPUT).toArrow()


def _work(job: _Job, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """On a worker: batches of tasks in, what became of them out."""
    for batch in batches:
        rows = batch.to_pylist()
        wanted = [frozenset((n, bool(f)) for n, _, f in (w.rpartition("|") for w in row["wanted"])) for row in rows]
        tasks = [PhotoTask(row["sha256"], row["look"], some) for row, some in zip(rows, wanted, strict=True)]
        yield _told(_worker(job)(tasks))


@functools.cache
def _worker(job: _Job) -> Worker:
    """Once per worker process: detector and networks, on the task's GPU where it was given one."""
    os.environ["FEATURES_WEIGHTS"], os.environ["FEATURES_MODULES"] = pyspark.SparkFiles.getRootDirectory(), job.yours
    launch.append_module_folders([folder for folder in job.folders if folder not in sys.path])
    torch.set_num_threads(1)
    layout, device = Layout(Path(job.root)), _device()
    networks = embedders([encoder(name, layout.models) for name in job.names], device)
    detector = Detector(job.faces)
    atexit.register(detector.close)
    return Worker(Preprocessor(loader(layout), detector, job.faces.confidence, input_specs(networks), device), networks)


def _device() -> Device:
    """The GPU that Spark gave to this task (`spark.task.resource.gpu.amount`), else the CPU."""
    context = pyspark.TaskContext.get()
    given = context.resources().get("gpu") if context is not None else None
    if given is None:
        return CPU

    # A container may show its one GPU as number 0, whatever the machine calls it.
    address = int(given.addresses[0])
    return choose(f"cuda:{address if address < torch.cuda.device_count() else 0}")


def _told(outcome: Outcome) -> pa.RecordBatch:
    """An outcome as rows: detections, vectors, and one of times."""
    rows: list[dict[str, Any]] = [
        {"kind": "detection", "sha256": seen.sha256, "said": json.dumps(asdict(seen), default=np.ndarray.tolist)}
        for seen in outcome.detections
    ]
    rows += [
        {"kind": "vector", "sha256": sha256, "encoder": made.encoder, "flip": made.flip, "vector": made.X[at]}
        for made in outcome.vectors
        for at, sha256 in enumerate(made.sha256s)
    ]
    rows.append({"kind": "times", "said": json.dumps([outcome.seconds, outcome.counts])})
    text = pa.string()
    kinds = {"kind": text, "sha256": text, "encoder": text, "flip": pa.bool_(), "vector": pa.list_(pa.float32())}
    return pa.RecordBatch.from_pylist(rows, schema=pa.schema([*kinds.items(), ("said", text)]))


def _gathered(table: pa.Table, n: int) -> Outcome:
    """Step 4: one outcome of a round's rows."""
    frame: Any = pl.from_arrow(table)
    detections = [_detection(json.loads(said)) for said in frame.filter(kind="detection").sort("sha256")["said"]]
    outcome = Outcome(n, detections, {}, {})
    vectors = frame.filter(kind="vector").sort("encoder", "flip", "sha256")
    for (name, flip), rows in vectors.group_by("encoder", "flip", maintain_order=True):
        X = rows["vector"].explode().to_numpy().reshape(len(rows), -1)
        outcome.vectors.append(Vectors(name, flip, rows["sha256"].to_list(), X))
    for said in frame.filter(kind="times")["said"]:
        seconds, counts = json.loads(said)
        for step, spent in seconds.items():
            outcome.seconds[step] = outcome.seconds.get(step, 0.0) + spent
            outcome.counts[step] = outcome.counts.get(step, 0) + counts[step]
    return outcome


def _detection(said: Mapping[str, Any]) -> DetectionResult:
    faces = [Face(**{**face, "keypoints": np.array(face["keypoints"], np.float64)}) for face in said["faces"]]
    return DetectionResult(**{**said, "faces": faces})
