"""Compare `features sync` from PostgreSQL with COPY to a CSV that is ingested, and kill it at random moments.

    python -m tests.bench.bench_sync [--swipes 10000000] [--kills 10] [--rounds 1]

A server of its own, on loopback, has the table `swipes` with an index on its watermark. Both ways begin with an empty
store and end with a published snapshot; each is a process of its own. After the kills, and one sync that is not
killed, the store must have each row once.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.postgres_server import PostgresServer, program

TABLE = """
create table swipes as
select
    'u' || (hashint8(i) & 2147483647) % 85000 as sender_id,
    'u' || (hashint8(i + 7777777777) & 2147483647) % 85000 as recipient_id,
    i % 100 < 37 as liked,
    timestamp '2022-01-01' + i * interval '2 seconds' as swiped_at,
    timestamptz '2022-01-01' + i * interval '2 seconds' as updated_at
from generate_series(1, {n}) as t(i);
create index on swipes (updated_at);
analyze swipes;
"""
CONFIG = """
store = "store"
[[sources]]
name = "swipes"
kind = "swipes"
from = "{address}"
query = "select * from swipes"
watermark = "updated_at"
"""
COPY = "copy (select sender_id, recipient_id, liked, swiped_at from swipes) to stdout (format csv, header)"
ENVIRONMENT = {**os.environ, "FEATURES_MEMORY_LIMIT": "3GB", "FEATURES_THREADS": "2"}


def main() -> None:
    """Print one line per comparison."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--swipes", type=int, default=10_000_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    server = PostgresServer()
    folder = Path(tempfile.mkdtemp(prefix="bench-sync-"))
    try:
        server.psql(TABLE.format(n=arguments.swipes))
        (folder / "photogenic.toml").write_text(CONFIG.format(address=server.address()))
        took: dict[str, list[float]] = {"copy and ingest": [], "sync": []}
        cpu: dict[str, list[float]] = {way: [] for way in took}
        for _ in range(arguments.rounds):
            for way, run in (("copy and ingest", _copied), ("sync", _synced)):
                shutil.rmtree(folder / "store", ignore_errors=True)
                began, used = time.perf_counter(), _cpu(server)
                run(server, folder)
                took[way].append(time.perf_counter() - began)
                cpu[way].append(_cpu(server) - used)
                _check(folder, arguments.swipes)
        copied, synced = (statistics.median(seconds) for seconds in took.values())
        print(
            f"{arguments.swipes:,} swipes: copy and ingest {copied:.1f} s, sync {synced:.1f} s, {synced / copied:.2f} x"
        )
        copied, less = (statistics.median(seconds) for seconds in cpu.values())
        print(f"processor time with the server: {copied:.1f} s, {less:.1f} s, {less / copied:.2f} x")
        began = time.perf_counter()
        _features(folder, "sync")
        print(f"sync without anything new: {time.perf_counter() - began:.1f} s")
        _killed(folder, arguments.kills, synced, arguments.swipes)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _cpu(server: PostgresServer) -> float:
    """Processor time of the processes that have ended, those of the server among them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    numbers = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    ticks = sum(map(int, numbers[11:15]))  # utime, stime, cutime, cstime
    return used.ru_utime + used.ru_stime + ticks / os.sysconf("SC_CLK_TCK")


def _copied(server: PostgresServer, folder: Path) -> None:
    with (folder / "swipes.csv").open("wb") as file:
        command = [program("psql"), "-X", "-q", "-c", COPY, server.address()]
        subprocess.run(command, stdout=file, check=True)
    _features(folder, "ingest", "swipes", "swipes.csv")
    (folder / "swipes.csv").unlink()


def _synced(server: PostgresServer, folder: Path) -> None:
    del server
    _features(folder, "sync")


def _killed(folder: Path, kills: int, seconds: float, n_swipes: int) -> None:
    """Kill a sync after random times, then let one end."""
    shutil.rmtree(folder / "store", ignore_errors=True)
    chance, n_killed = random.Random(7), 0
    for _ in range(kills):
        with subprocess.Popen(
            [*_PROGRAM, "sync"], cwd=folder, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as child:
            try:
                child.wait(chance.uniform(0.02, 0.25) * seconds)
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGKILL)
                n_killed += 1
    began = time.perf_counter()
    _features(folder, "sync")
    _check(folder, n_swipes)
    print(f"killed {n_killed} times: each row once; the last sync took {time.perf_counter() - began:.1f} s")


_PROGRAM = (str(Path(sys.executable).with_name("features")),)


def _features(folder: Path, *words: str) -> str:
    command = [*_PROGRAM, *words]
    ended = subprocess.run(command, check=False, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    if ended.returncode:
        raise RuntimeError(ended.stderr)
    return ended.stdout


def _check(folder: Path, n_swipes: int) -> None:
    query = "select count(*) as n, count(distinct (sender_id, recipient_id, swiped_at)) as n_events from swipes"
    [counted] = json.loads(_features(folder, "sql", query, "--format", "json"))
    assert counted == {"n": n_swipes, "n_events": n_swipes}, counted


if __name__ == "__main__":
    main()
