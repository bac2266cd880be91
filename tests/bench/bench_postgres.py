"""Compare the ingest of swipes from PostgreSQL with `COPY ... TO STDOUT` to a CSV that is ingested.

    python -m tests.bench.bench_postgres [--swipes 10000000] [--rounds 3]

Each measurement is a process of its own with a new folder, one after the other in turn: `features ingest swipes
postgresql://...`, and psql with an ingest of its CSV. The server is on this machine, and its processor time is not
counted; that of psql is. Times are medians; peak memory is that of the process that ingests.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from photogenic import FeatureStore
from tests.postgres_server import PostgresServer, program

SWIPES = """
    create table swipes (event_id text, sender_id text, recipient_id text, liked boolean, swiped_at timestamptz);
    insert into swipes
    select 'e' || i, 'u' || (hashint8(i) & 65535), 'u' || (hashint8(i + {n}) & 65535), hashint8(-i) & 3 = 0,
        timestamptz '2022-01-01 00:00Z' + i * interval '1 s'
    from generate_series(1::bigint, {n}) i;
"""


def main() -> None:
    """Print one line per comparison."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--swipes", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", nargs=3, metavar=("WHO", "ADDRESS", "FOLDER"))
    arguments = parser.parse_args()
    if arguments.child:
        who, address, folder = arguments.child
        print(json.dumps({"direct": _direct, "copy": _copy}[who](address, Path(folder))))
        return
    server = PostgresServer()
    try:
        name = server.new_database()
        server.psql(SWIPES.format(n=arguments.swipes), name)
        found = run(server.address(name), rounds=arguments.rounds)
    finally:
        server.stop()
    print(
        f"ingest from PostgreSQL, {arguments.swipes:,} swipes: {found['wall_ratio']:.2f} x COPY and CSV"
        f" ({found['direct']['wall_s']:.1f} s / {found['copy']['wall_s']:.1f} s), processor time"
        f" {found['cpu_ratio']:.2f} x ({found['direct']['cpu_s']:.1f} s / {found['copy']['cpu_s']:.1f} s),"
        f" peak {found['direct']['peak_gb']:.2f} GB / {found['copy']['peak_gb']:.2f} GB",
        flush=True,
    )


def run(address: str, *, rounds: int = 3) -> dict[str, Any]:
    """Measure both ways.

    Args:
        address: database with the table `swipes`.
        rounds: number of measurements of each.

    Returns:
        wall_ratio, cpu_ratio; and of `direct` and `copy` the medians wall_s, cpu_s (seconds), peak_gb, n_rows.
    """
    measured: dict[str, list[dict[str, float]]] = {"direct": [], "copy": []}
    for _ in range(rounds):
        for who, done in measured.items():
            with tempfile.TemporaryDirectory() as folder:
                command = [sys.executable, "-m", __spec__.name, "--child", who, address, folder]
                done.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
    medians = {
        who: {name: statistics.median(one[name] for one in done) for name in done[0]} for who, done in measured.items()
    }
    if medians["direct"]["n_rows"] != medians["copy"]["n_rows"]:
        raise AssertionError(f"the two ways took in other rows: {medians}")
    ratios = {
        f"{name}_ratio": medians["direct"][f"{name}_s"] / medians["copy"][f"{name}_s"] for name in ("wall", "cpu")
    }
    return {**medians, **ratios}


def _direct(address: str, folder: Path) -> dict[str, float]:
    return _timed(lambda: _ingest(folder, address, query="select * from swipes"))


def _copy(address: str, folder: Path) -> dict[str, float]:
    def work() -> int:
        file = folder / "swipes.csv"
        with file.open("wb") as csv:
            command = [program("psql"), "-X", "-c", "copy swipes to stdout (format csv, header)", address]
            subprocess.run(command, check=True, stdout=csv)
        return _ingest(folder, str(file))

    return _timed(work)


def _ingest(folder: Path, source: str, **options: Any) -> int:
    [report] = FeatureStore(folder / "store").ingest_swipes(source, **options)
    return int(report.n_new)


def _timed(work: Any) -> dict[str, float]:
    started = time.perf_counter()
    n_rows = work()
    wall, times = time.perf_counter() - started, os.times()
    return {
        "wall_s": wall,
        "cpu_s": times.user + times.system + times.children_user + times.children_system,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "n_rows": n_rows,
    }


if __name__ == "__main__":
    main()
