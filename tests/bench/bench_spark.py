"""Compare Spark with the local engine: the label build from the same facts, and faces and vectors of the same photos.

    python -m tests.bench.bench_spark [--swipes 10000000 40000000] [--photos 2000] [--rounds 1] [--memory 6g]

Both use the same cores, so this measures the overhead of Spark, not the gain of a cluster. The start of the Spark
session is measured separately. The first round includes the time of the Java compiler; later rounds do not.
CPU seconds of Spark are those of this process, of Java and, for photos, of the workers.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from photogenic.features.compute.pipeline import compute
from photogenic.warehouse import Database, Layout, Settings, Store
from photogenic.warehouse.labels.build import build_labels
from photogenic.warehouse.spark.export import export
from photogenic.warehouse.spark.session import Cluster, session
from tests.bench.bench_labels import generate
from tests.bench.bench_vectors import photos
from tests.features.gallery import Gallery

PAIR = ("efficientnet_lite0", "dlib_face")
CORES = len(os.sched_getaffinity(0))
CLUSTER = Cluster(f"local[{CORES}]")


def main() -> None:
    """Print one JSON object per line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--swipes", type=int, nargs="*", default=[10_000_000, 40_000_000])
    parser.add_argument("--photos", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--memory", default="6g", help="of Spark")
    given = parser.parse_args()
    works: list[tuple[Any, ...]] = [(labels, n, given.rounds, given.memory) for n in given.swipes]
    works += [(pictures, given.photos, given.rounds, given.memory)] if given.photos else []
    for work, *arguments in works:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            print(json.dumps({"bench": "spark", **pool.apply(work, arguments)}), flush=True)


def labels(n_swipes: int, rounds: int, memory: str) -> dict[str, Any]:
    """Compute all relations with each engine in turn."""
    with tempfile.TemporaryDirectory() as folder:
        settings, facts = Settings("3GB", CORES), f"{folder}/facts"
        ours, theirs = (Database(Layout(Path(folder) / name), settings) for name in ("ours", "theirs"))
        generate(ours, n_swipes)
        started = time.perf_counter()
        export(Store(ours), facts)
        exported_s = time.perf_counter() - started
        begun_s, cluster = begin(memory), Cluster(CLUSTER.master, facts)
        pairs = [
            (
                timed(lambda: build_labels(Store(ours), anew=True)),
                timed(lambda: build_labels(Store(theirs), anew=True, cluster=cluster)),
            )
            for _ in range(rounds)
        ]
        sums = "select relation, n_rows, checksum from checksums order by relation"
        with ours.read() as one, theirs.read() as other:
            equal = one.execute(sums).fetchall() == other.execute(sums).fetchall()
        return {"what": "labels", "swipes": n_swipes, "export_s": round(exported_s, 1), "equal": equal} | medians(
            "duckdb", pairs, n_swipes / 1e6, "million_swipes", begun_s
        )


def pictures(n: int, rounds: int, memory: str) -> dict[str, Any]:
    """Compute faces and vectors of the default pair of encoders."""
    given = photos(n)
    with tempfile.TemporaryDirectory() as folder:
        begun_s, pairs = begin(memory), []
        for at in range(rounds):
            ours, theirs = (Gallery(Path(folder) / f"{name}{at}", given, threads=CORES) for name in ("ours", "theirs"))
            pairs.append(
                (
                    timed(lambda ours=ours: compute(ours.store, PAIR, device="cpu")),
                    timed(lambda theirs=theirs: compute(theirs.store, PAIR, cluster=CLUSTER)),
                )
            )
        return {"what": "photos", "photos": n} | medians("local", pairs, n / 1e3, "thousand_photos", begun_s)


def medians(
    name: str, pairs: list[tuple[tuple[float, float], tuple[float, float]]], size: float, unit: str, begun_s: float
) -> dict[str, Any]:
    """Return medians over rounds, per unit, and ratios."""

    def median(pick: Callable[[Any], float]) -> float:
        return statistics.median(map(pick, pairs))

    return {
        f"{name}_s_per_{unit}": round(median(lambda p: p[0][0]) / size, 3),
        f"spark_s_per_{unit}": round(median(lambda p: p[1][0]) / size, 3),
        f"spark_over_{name}": round(median(lambda p: p[1][0] / p[0][0]), 2),
        f"spark_over_{name}_cpu": round(median(lambda p: p[1][1] / p[0][1]), 2),
        "session_s": round(begun_s, 1),
        "rounds": len(pairs),
        "load": round(os.getloadavg()[1], 1),
    }


def begin(memory: str) -> float:
    """Return the seconds that a session takes to start. The memory of Java must be set before."""
    os.environ["PYSPARK_SUBMIT_ARGS"] = f"--driver-memory {memory} pyspark-shell"
    started = time.perf_counter()
    session(CLUSTER).sql("select 1").collect()
    return time.perf_counter() - started


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Return elapsed seconds, and CPU seconds of this process and its descendants."""
    started, began = time.perf_counter(), cpu_s()
    work()
    return time.perf_counter() - started, cpu_s() - began


def cpu_s() -> float:
    """Return CPU seconds of this process and its descendants, running or waited for."""
    parents, spent = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(") ")[2].split()
        except OSError:
            continue  # ended meanwhile
        parents[int(path.parent.name)], spent[int(path.parent.name)] = int(fields[1]), sum(map(int, fields[11:15]))
    total, found = 0, {os.getpid()}
    while found:
        total += sum(spent[pid] for pid in found)
        found = {pid for pid, parent in parents.items() if parent in found}
    return total / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
