"""Compare the downloader with a bare aiohttp loop, and measure its memory with a million pending photos.

    python -m tests.bench.bench_fetch [--photos 20000] [--rounds 5] [--pending 1000000]

The bare loop is the simplest program: the same number of connections, and each answer is read and written to a
file, without scheduling, journal, checks or sync.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

from photogenic.ingest.config import Limits
from photogenic.ingest.download.fetch import fetch
from photogenic.warehouse import Database, Layout, Settings, Store
from tests.bench.pictures.server import serving

CONCURRENCY = 64


def main() -> None:
    """Print one JSON object per line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pending", type=int, default=1_000_000)
    parser.add_argument("--memory-child", type=Path)
    arguments = parser.parse_args()
    if arguments.memory_child:
        fetch(Store(_database(arguments.memory_child)), limits=_limits())
        return
    for latency_s in (0.0, 0.05):
        print(json.dumps(throughput(arguments.photos, arguments.rounds, latency_s)), flush=True)
    print(json.dumps(memory(arguments.pending)), flush=True)


def throughput(n: int, rounds: int, latency_s: float) -> dict[str, float]:
    """Measure images per second of both in alternation; the ratio is the median over the rounds."""
    bare, ours = [], []
    with serving(latency_s) as base, tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            bare.append(n / _bare(Path(folder) / f"bare{number}", base, n))
            db = fill(Path(folder) / f"store{number}", base, n)
            report = fetch(Store(db), limits=_limits())
            assert report.statuses == {"ok": n}, report
            ours.append(n / report.duration_s)
    ratios = [mine / theirs for mine, theirs in zip(ours, bare, strict=True)]
    return {
        "latency_ms": latency_s * 1000,
        "photos": n,
        "bare_per_s": round(statistics.median(bare)),
        "fetch_per_s": round(statistics.median(ours)),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_min": round(min(ratios), 3),
        "ratio_max": round(max(ratios), 3),
    }


def memory(n_pending: int, seconds: float = 20.0) -> dict[str, float]:
    """Measure the peak memory of a process with `n_pending` photos that downloads for a while."""
    with serving(0.0) as base, tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), base, n_pending)
        command = [sys.executable, "-m", "tests.bench.bench_fetch", "--memory-child", folder]
        began = time.monotonic()
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while time.monotonic() - began < seconds and process.poll() is None:
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
        with _database(Path(folder)).read() as con:
            done = con.execute("select count(*) from facts.fetch_attempts").fetchone()
    return {"pending": n_pending, "peak_mb": round(usage.ru_maxrss / 1024), "downloaded": done[0] if done else 0}


def fill(folder: Path, base: str, n: int) -> Database:
    """Make a store with `n` photos that have URLs."""
    db = _database(folder)
    with db.write("bench") as con:
        con.execute(
            """insert into facts.photos (photo_id, user_id, path, url, posted_at, likes, hashtags, ingested_at)
            select 'photo-' || i, 'user-' || i % 1000, null, $base || i, null, null, null, timestamp '2024-01-01'
            from range($n) as numbers(i)""",
            {"base": base, "n": n},
        )
    return db


def _bare(folder: Path, base: str, n: int) -> float:
    folder.mkdir()

    async def work(session: aiohttp.ClientSession, numbers: list[int]) -> None:
        while numbers:
            number = numbers.pop()
            async with session.get(f"{base}{number}") as response:
                (folder / f"{number}.jpg").write_bytes(await response.read())

    async def go() -> float:
        numbers = list(range(n))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONCURRENCY)) as session:
            began = time.perf_counter()
            await asyncio.gather(*(work(session, numbers) for _ in range(CONCURRENCY)))
            return time.perf_counter() - began

    return asyncio.run(go())


def _limits() -> Limits:
    return Limits(concurrency=CONCURRENCY, per_host=CONCURRENCY, allow_private=True)


def _database(folder: Path) -> Database:
    return Database(Layout(folder), Settings.from_environment())


if __name__ == "__main__":
    main()
