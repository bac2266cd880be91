"""Build an index in parts within a memory limit, and compare what its files may be.

    python -m tests.bench.bench_large [--photos 100000] [--dim 64] [--limit 100MB] [--cap 0]

    one piece    trained, filled and searched in memory
    apart        parts stay separate files, mapped, searched part by part
    merged       FAISS merges these parts to one mapped file
    PQ           one piece, with codes of an eighth of the size

Each build runs in a process of its own. `--cap 4` puts it into a memory cgroup of 4 GB, which counts the pages of files
too (it needs root). `anon_MB` is the largest anonymous memory, `file_MB` the largest size of mapped files in memory,
which the system may take back at any time. `cold` is the first time that each of 100 queries runs after the files were
dropped from the page cache. `recall` is recall@10 against a scan in numpy.

The large run: --photos 2000000 --dim 512 --limit 4GB --part-photos 1048576 --cap 4 --ways apart merged
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from photogenic.features.search import index
from photogenic.features.search import ivf as ivf_module
from photogenic.features.search.ivf import IvfIndex, ivf_bytes, kind_for
from photogenic.features.search.parts import sizes
from photogenic.features.search.parts.merge import merge
from photogenic.features.vectors import reader
from photogenic.features.vectors.writer import VectorWriter
from photogenic.warehouse import Database, Layout, Settings, Store
from tests.features.toy import toy_encoder

K, QUERIES, PART = 10, 100, 65_536
_PER_CLUSTER = 500
WAYS = ("one piece", "apart", "merged", "PQ")
GROUPS = Path("/sys/fs/cgroup")


def main() -> None:
    """Print one JSON object per line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--limit", default="100MB")
    parser.add_argument("--part-photos", type=int, default=16_384, help="most photos of a part")
    parser.add_argument("--cap", type=float, default=0, help="GB of the memory cgroup; 0: none")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--folder", help="where the store is made; default: a temporary folder")
    parser.add_argument("--child", nargs=2, metavar=("WAY", "FOLDER"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        sizes._MOST_ROWS = given.part_photos
        print(json.dumps(work(given.child[0], Path(given.child[1]), given.limit)))
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        root = Path(folder)
        start = time.perf_counter()
        fill(Layout(root / "store"), given.photos, given.dim)
        say(what="vectors", photos=given.photos, dim=given.dim, seconds=round(time.perf_counter() - start, 1))
        for way in given.ways:
            with group(given.cap) as (name, folder_of_group):
                command = [
                    sys.executable,
                    "-m",
                    "tests.bench.bench_large",
                    "--limit",
                    given.limit,
                    "--child",
                    way,
                    folder,
                ]
                environment = os.environ | {"BENCH_GROUP": str(folder_of_group or "")}
                done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
                told = json.loads(done.stdout.splitlines()[-1])
                say(what=way, **told, **({"cap_GB": given.cap, name: peak(folder_of_group)} if folder_of_group else {}))


def say(**facts: Any) -> None:
    print(json.dumps({"bench": "large", **facts}), flush=True)


def fill(layout: Layout, n: int, dim: int) -> None:
    """Store n clustered unit vectors, a part at a time."""
    rng = np.random.default_rng(0)
    n_clusters = max(n // _PER_CLUSTER, 1)
    centres = rng.normal(size=(n_clusters, dim)).astype(np.float32)
    writer = VectorWriter(layout, toy_encoder("bench", dim, "cosine"), "")
    ids = [f"p{row:010}" for row in range(n)]
    sha256s = [hashlib.sha256(name.encode()).hexdigest() for name in ids]
    for start in range(0, n, PART):
        end = min(start + PART, n)
        noise = rng.standard_normal((end - start, dim), np.float32)
        X = centres[rng.integers(0, n_clusters, end - start)] + np.float32(0.7) * noise
        writer.append(ids[start:end], sha256s[start:end], [False] * (end - start), X)
    writer.commit(pl.DataFrame({"photo_id": ids, "sha256": sha256s}))


def work(way: str, folder: Path, limit: str) -> dict[str, Any]:
    """Build in one way, in this process, and search."""
    if joined := os.environ.get("BENCH_GROUP"):
        (Path(joined) / "cgroup.procs").write_text(str(os.getpid()))
    ivf_module.EXACT_BYTES = 0  # the default size is small enough for exact search
    layout = Layout(folder / "store")
    if way == "merged":
        return merged(layout, folder)
    memory = None
    if way in ("one piece", "PQ"):
        limit = "1TB"
    if way == "PQ":
        known = reader.manifest(layout, "bench")
        cells = kind_for(known.n_photos, known.dim).partition(",")[0]
        memory = ivf_bytes(f"{cells},PQ{known.dim // 8}", known.n_photos, known.dim)
    sizes.MERGED_BYTES = 0
    shutil.rmtree(layout.index("bench"), ignore_errors=True)  # that of another way
    store = Store(Database(layout, Settings(limit, os.cpu_count() or 1)))
    with measured() as told:
        made = index.build(store, "bench", memory=memory)
    held = index.load(layout, "bench")
    parts = [name for name in made.files if name.startswith("part-")]
    told |= {
        "kind": made.kind,
        "nprobe": made.nprobe,
        "parts": len(parts),
        "recall_stated": round(made.recall_at_10, 4),
    }
    lists = sum((held.folder / name).stat().st_size for name in made.files if name.endswith(("faiss", "ivfdata")))
    paths = [held.folder / name for name in made.files]
    assert held.ivf is not None
    return told | {"lists_MB": round(lists / 1e6)} | searched(held.vectors, held.ivf, paths)


def merged(layout: Layout, folder: Path) -> dict[str, Any]:
    """Merge the parts that `apart` made, and search the result."""
    held = index.load(layout, "bench")
    parts = [held.folder / name for name in sorted(held.manifest.files) if name.startswith("part-")]
    target = folder / "merged"
    target.mkdir()
    assert held.ivf is not None
    n, code = len(held), int(held.ivf.index.cells.code_size)
    with measured() as told:
        merge(held.folder / "ivf.faiss", parts, target / "ivf.faiss", n * (code + 8))
    ivf = IvfIndex.read(target / "ivf.faiss", held.manifest.kind, held.manifest.nprobe)
    paths = [held.folder / "vectors.npy", *target.iterdir()]
    lists = sum(path.stat().st_size for path in target.iterdir())
    return told | {"parts": len(parts), "lists_MB": round(lists / 1e6)} | searched(held.vectors, ivf, paths)


def searched(X: np.ndarray, ivf: IvfIndex, paths: list[Path]) -> dict[str, Any]:
    """Measure single queries and a batch, with files in and out of the page cache."""
    asked = np.random.default_rng(3).permutation(len(X))[: 10 * QUERIES]
    Q = np.ascontiguousarray(X[asked])
    truth = _exact(X, Q[:QUERIES])
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    times: dict[str, list[float]] = {"cold": [], "warm": []}
    for spent in times.values():
        single = time.process_time()
        for at in range(QUERIES):
            start = time.perf_counter()
            ivf.search(X, Q[at : at + 1], K, "cosine")
            spent.append(time.perf_counter() - start)
        single = time.process_time() - single
    start = time.process_time()
    _, rows = ivf.search(X, Q, K, "cosine")
    batch = time.process_time() - start
    recall = np.mean([len(np.intersect1d(a, b)) / K for a, b in zip(rows, truth, strict=False)])
    return {
        "recall": round(float(recall), 4),
        "recall_by_nprobe": curve(X, ivf, Q[:QUERIES], truth),
        "cold_p50_ms": round(1e3 * statistics.median(times["cold"]), 2),
        "p50_ms": round(1e3 * statistics.median(times["warm"]), 2),
        "cpu_ms": round(1e3 * single / QUERIES, 3),
        "batch_cpu_ms_per_query": round(1e3 * batch / len(Q), 3),
    }


def curve(X: np.ndarray, ivf: IvfIndex, Q: np.ndarray, truth: np.ndarray) -> dict[int, float]:
    """Return the recall by number of visited cells, up to that of the index."""
    tried = [2**power for power in range(14) if 2**power <= 2 * ivf.nprobe]
    found = {}
    for nprobe in tried:
        _, rows = IvfIndex(ivf.kind, ivf.index, nprobe).search(X, Q, K, "cosine")
        recall = np.mean([len(np.intersect1d(a, b)) / K for a, b in zip(rows, truth, strict=True)])
        found[nprobe] = round(float(recall), 3)
    return found


def _exact(X: np.ndarray, Q: np.ndarray) -> np.ndarray:
    """Return the rows of the ten nearest by inner product. int64 (q, 10)."""
    scores, rows = np.empty((len(Q), 0), np.float32), np.empty((len(Q), 0), np.int64)
    for start in range(0, len(X), PART):
        block = Q @ X[start : start + PART].T
        near = np.argpartition(-block, K, axis=1)[:, :K]
        scores = np.hstack([scores, np.take_along_axis(block, near, 1)])
        rows = np.hstack([rows, near + start])
    return np.take_along_axis(rows, np.argsort(-scores, axis=1)[:, :K], 1)


@contextlib.contextmanager
def measured() -> Iterator[dict[str, Any]]:
    """Measure time and the largest memory of this process, in a thread that looks ten times a second."""
    told: dict[str, Any] = {}
    peaks, end = {"RssAnon": 0, "RssFile": 0}, threading.Event()

    def watch() -> None:
        while not end.wait(0.1):
            for line in Path("/proc/self/status").read_text().splitlines():
                name, _, value = line.partition(":")
                if name in peaks:
                    peaks[name] = max(peaks[name], int(value.split()[0]) * 1024)

    thread = threading.Thread(target=watch)
    thread.start()
    before, start = os.times(), time.perf_counter()
    try:
        yield told
    finally:
        end.set()
        thread.join()
        after = os.times()
        told |= {
            "seconds": round(time.perf_counter() - start, 1),
            "cpu_s": round(sum(after[:4]) - sum(before[:4]), 1),
            "anon_MB": round(peaks["RssAnon"] / 1e6),
            "file_MB": round(peaks["RssFile"] / 1e6),
        }


@contextlib.contextmanager
def group(gigabytes: float) -> Iterator[tuple[str, Path | None]]:
    """A memory cgroup of that size, of version 1 or 2."""
    if not gigabytes:
        yield "", None
        return
    first = (GROUPS / "memory").is_dir()
    folder = (GROUPS / "memory" if first else GROUPS) / f"photogenic-bench-{os.getpid()}"
    folder.mkdir()
    try:
        (folder / ("memory.limit_in_bytes" if first else "memory.max")).write_text(str(int(gigabytes * 1e9)))
        yield "group_MB", folder
    finally:
        folder.rmdir()


def peak(folder: Path) -> int:
    """The largest memory of a cgroup, in MB, with the pages of files."""
    name = "memory.max_usage_in_bytes" if (folder / "memory.max_usage_in_bytes").exists() else "memory.peak"
    return round(int((folder / name).read_text()) / 1e6)


if __name__ == "__main__":
    main()
