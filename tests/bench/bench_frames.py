"""Compare the ingest of swipes from a frame in memory with the ingest of the same rows from a Parquet file.

    python -m tests.bench.bench_frames [--swipes 40000000] [--rounds 3] [--sources polars,table,pandas,lazy]

Each measurement is a process of its own with a new store, the file and the frames in turn, with the same memory limit
and threads. A frame is read from the file before the clock starts. Times are medians of seconds by the clock and by the
processor. `above` is the largest resident memory during the ingest less the resident memory before it, when the frame
was there; it includes what DuckDB may use, which is the memory limit of 500 MB here.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from photogenic.warehouse import Database, Layout, Settings, Store
from tests.bench.bench_ingest import SWIPES, THREADS, USERS

MEMORY = "500MB"
SOURCES = ("polars", "table", "pandas", "lazy")


def main() -> None:
    """Print one line per kind of source."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--swipes", type=int, default=40_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sources", default=",".join(SOURCES))
    parser.add_argument("--child", nargs=3, metavar=("SOURCE", "FILE", "FOLDER"))
    arguments = parser.parse_args()
    if arguments.child:
        source, file, folder = arguments.child
        print(json.dumps(_measured(source, Path(file), Path(folder))))
        return
    with tempfile.TemporaryDirectory() as folder:
        names = tuple(arguments.sources.split(","))
        for found in run(arguments.swipes, Path(folder), names, rounds=arguments.rounds):
            print(
                "{source} of {swipes:,} swipes: {cpu_ratio:.2f} x Parquet by the processor"
                " ({cpu_s:.1f} s / {their_cpu_s:.1f} s), {ratio:.2f} x by the clock ({s:.1f} s / {their_s:.1f} s);"
                " the frame takes {before_gb:.2f} GB, above it {above_gb:.2f} GB"
                " (Parquet: {their_above_gb:.2f} GB)".format(**found),
                flush=True,
            )


def run(n_swipes: int, folder: Path, sources: tuple[str, ...] = SOURCES, *, rounds: int = 3) -> list[dict[str, Any]]:
    """Run the comparisons at one size.

    Args:
        n_swipes: number of swipes.
        folder: folder for the file and the stores; about 60 bytes per swipe.
        sources: what is compared with the file.
        rounds: number of measurements of each side.

    Returns:
        Per source: source, swipes, ratio, cpu_ratio, s, cpu_s, before_gb, above_gb, and the same of the file.
    """
    file = folder / "swipes.parquet"
    step = 2 * 365 * 86_400_000_000 // n_swipes
    _write(SWIPES.format(users=USERS, step=step, first=0, n=n_swipes), file)
    measured: dict[str, list[dict[str, float]]] = {source: [] for source in ("parquet", *sources)}
    for _ in range(rounds):
        for source, rows in measured.items():
            rows.append(_child(source, file, folder / "store"))
            shutil.rmtree(folder / "store")
    theirs = _medians(measured.pop("parquet"))
    found = []
    for source, rows in measured.items():
        ours = _medians(rows)
        ratios = {"ratio": ours["s"] / theirs["s"], "cpu_ratio": ours["cpu_s"] / theirs["cpu_s"]}
        told = {"their_s": theirs["s"], "their_cpu_s": theirs["cpu_s"], "their_above_gb": theirs["above_gb"]}
        found.append({"source": source, "swipes": n_swipes, **ours, **ratios, **told})
    return found


def _medians(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def _child(source: str, file: Path, folder: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.bench_frames", "--child", source, str(file), str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    return dict(json.loads(done.stdout))


def _measured(source: str, file: Path, folder: Path) -> dict[str, float]:
    from photogenic.ingest.tabular.load import ingest

    given = _opened(source, file)
    db = Database(Layout(folder), Settings(MEMORY, THREADS))
    before = _resident_gb()
    peak, done = [before], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], _resident_gb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    began, spent = time.perf_counter(), time.process_time()
    [account] = ingest(Store(db), "swipes", [given])
    elapsed, cpu = time.perf_counter() - began, time.process_time() - spent
    done.set()
    watcher.join()
    if account.n_new < 0.98 * account.n_read or account.repeated:
        raise AssertionError(str(account))
    return {"s": elapsed, "cpu_s": cpu, "before_gb": before, "above_gb": peak[0] - before}


def _opened(source: str, file: Path) -> Any:
    import polars as pl
    import pyarrow.parquet as pq

    match source:
        case "parquet":
            return file
        case "polars":
            return pl.read_parquet(file)
        case "lazy":
            return pl.scan_parquet(file)
        case "table":
            return pq.read_table(file)
        case "pandas":
            return pq.read_table(file).to_pandas(split_blocks=True, self_destruct=True)
    raise ValueError(source)


def _resident_gb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e9


def _write(query: str, file: Path) -> None:
    import duckdb

    with duckdb.connect(config={"memory_limit": "3GB", "threads": THREADS}) as con:
        con.execute("set preserve_insertion_order = true")
        con.execute(f"copy ({query}) to '{file}' (format parquet, compression zstd)")


if __name__ == "__main__":
    main()
