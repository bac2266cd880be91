"""Compare the HTTP API with the bare search, with many clients, and during a build.

    python -m tests.bench.bench_serve [--photos 200000] [--dim 512] [--queries 500] [--clients 50] [--seconds 60]

The server is a process of its own, and requests use kept-alive connections over loopback. `similar` alternates, twenty
queries at a time, between the server and the same search on arrays in this process. Memory is that of the
server and its children.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import polars as pl

from photogenic.features.search import index
from photogenic.features.search.searcher import Searcher, answer
from photogenic.warehouse import Database, Store
from photogenic.warehouse.labels.build import build_labels
from tests.features.toy import clustered, database, put_photos, put_vectors

K = 10
BLOCK = 20
"""Queries to one side before the other side."""


def main() -> None:
    """Print one JSON object per line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        db, ids = _store(Path(folder), given.photos, given.dim)
        with _server(db.layout.root) as (process, port):
            for line in (
                similar(db, ids, port, given.queries),
                features(ids, port, given.queries, "numbers"),
                features(ids, port, given.queries, "base64"),
                asyncio.run(clients(process, ids, port, given.clients, given.seconds)),
                asyncio.run(while_writing(db, ids, port, given.clients)),
            ):
                print(json.dumps({"bench": "serve", **line}), flush=True)


def similar(db: Database, ids: list[str], port: int, n: int) -> dict[str, Any]:
    """Measure single queries by id for the ten nearest photos."""
    asked = random.Random(1).sample(range(len(ids)), n + 20)
    times: dict[str, list[float]] = {"bare": [], "http": []}
    connection = http.client.HTTPConnection("127.0.0.1", port)
    with Searcher(Store(db)) as searcher:
        held, selection = searcher.cache.index("bench"), searcher.cache.photo_filter("bench")
        for block in (asked[at : at + BLOCK] for at in range(0, len(asked), BLOCK)):
            found = []
            for row in block:
                start = time.perf_counter()
                q = np.array(held.vectors[row : row + 1])
                found.append(answer(q, selection, K, exclude=np.array([row]))[2][0])
                times["bare"].append(time.perf_counter() - start)
            time.sleep(
                0.2
            )  # threads of the search in this process spin for a while, and would take the core of the server
            for row, rows in zip(block, found, strict=True):
                start = time.perf_counter()
                told = _post(connection, "/api/v1/similar", {"photo_id": ids[row], "k": K, "encoder": "bench"})
                times["http"].append(time.perf_counter() - start)
                assert [photo["photo_id"] for photo in told["photos"]] == [ids[at] for at in rows]
    bare, over = (np.array(times[name][20:]) * 1e3 for name in ("bare", "http"))
    return {
        "what": "similar by id",
        "photos": len(ids),
        "kind": held.manifest.kind,
        "bare_p50_ms": _at(bare, 50),
        "http_p50_ms": _at(over, 50),
        "bare_p99_ms": _at(bare, 99),
        "http_p99_ms": _at(over, 99),
        "p99_above_ms": round(_at(over, 99) - _at(bare, 99), 2),
    }


def features(ids: list[str], port: int, n: int, form: str) -> dict[str, Any]:
    """Measure the time until the vectors and labels of 100 photos are received, without parsing."""
    rng, times, size = random.Random(2), [], 0
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for _ in range(n + 20):
        body = json.dumps({"photo_ids": rng.sample(ids, 100), "encoder": "bench", "vectors": form})
        start = time.perf_counter()
        connection.request("POST", "/api/v1/features", body, {"Content-Type": "application/json"})
        data = connection.getresponse().read()
        times.append((time.perf_counter() - start) * 1e3)
        size = len(data)
    assert data.count(b'"ok"') == 100
    found = np.array(times[20:])
    return {"what": f"100 ids, vectors as {form}", "bytes": size, "p50_ms": _at(found, 50), "p99_ms": _at(found, 99)}


async def clients(process: subprocess.Popen[str], ids: list[str], port: int, n: int, seconds: float) -> dict[str, Any]:
    """Send many concurrent requests of all kinds; measure memory after a sixth of the time and at the end."""
    until, statuses, memory = time.monotonic() + seconds, [], []
    async with _session(port, n) as session:
        working = [asyncio.ensure_future(_client(session, ids, at, until, statuses)) for at in range(n)]
        for part in (1 / 6, 1 / 2, 1.0):
            await asyncio.sleep(max(until - seconds * (1 - part) - time.monotonic() - 0.5, 0))
            memory.append(_memory(process.pid))
        await asyncio.gather(*working)
    bad = [status for status in statuses if status != 200]
    return {
        "what": f"{n} clients for {seconds:g} s",
        "requests": len(statuses),
        "errors": len(bad),
        "statuses": sorted(set(bad)),
        "memory_MB": [round(n_bytes / 1e6) for n_bytes in memory],
    }


async def while_writing(db: Database, ids: list[str], port: int, n: int) -> dict[str, Any]:
    """Measure the same while swipes arrive and labels are built, three times."""
    statuses: list[int] = []
    done = threading.Event()

    def write() -> None:
        for turn in range(3):
            with db.write("bench") as con:
                con.execute(
                    "insert into facts.swipes (sender_id, recipient_id, liked, swiped_at, ingested_at)"
                    " select sender_id, recipient_id, liked, swiped_at, ingested_at"
                    f" from facts.swipes using sample 5 percent (bernoulli, {turn})"
                )
            build_labels(Store(db))
        done.set()

    writer = threading.Thread(target=write)
    start = time.monotonic()
    async with _session(port, n) as session:
        seen = {await _published(session)}
        writer.start()
        working = [asyncio.ensure_future(_client(session, ids, at, done, statuses)) for at in range(n)]
        while not done.is_set():
            seen.add(await _published(session))
            await asyncio.sleep(0.5)
        await asyncio.gather(*working)
    writer.join()
    return {
        "what": "while builds write",
        "seconds": round(time.monotonic() - start, 1),
        "snapshots_seen": len(seen),
        "requests": len(statuses),
        "errors": sum(status != 200 for status in statuses),
    }


async def _client(
    session: aiohttp.ClientSession, ids: list[str], at: int, until: float | threading.Event, statuses: list[int]
) -> None:
    rng = random.Random(at)
    for turn in itertools.count(at):
        if until.is_set() if isinstance(until, threading.Event) else time.monotonic() > until:
            return
        method, path, body = _request(rng, ids, turn)
        async with session.request(method, path, json=body) as response:
            await response.read()
            statuses.append(response.status)


def _request(rng: random.Random, ids: list[str], turn: int) -> tuple[str, str, dict[str, Any] | None]:
    photo_id = rng.choice(ids)
    if turn % 5 == 0:
        return "POST", "/api/v1/features", {"photo_ids": rng.sample(ids, 20), "encoder": "bench"}
    if turn % 5 == 1:
        return "GET", f"/api/v1/gallery?offset={rng.randrange(len(ids))}", None
    if turn % 5 == 2:
        return "GET", "/api/v1/health", None
    return "POST", "/api/v1/similar", {"photo_id": photo_id, "k": K, "encoder": "bench"}


async def _published(session: aiohttp.ClientSession) -> str:
    async with session.get("/api/v1/health") as response:
        return (await response.json())["snapshot_at"]  # type: ignore[no-any-return]


def _session(port: int, n: int) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(f"http://127.0.0.1:{port}", connector=aiohttp.TCPConnector(limit=n + 1))


def _store(folder: Path, n: int, dim: int) -> tuple[Database, list[str]]:
    X = clustered(np.random.default_rng(0), n, dim, 2000)
    db, ids = database(folder), [f"p{row:07d}" for row in range(n)]
    swipes = np.random.default_rng(3).integers(1, 6, n)
    put_photos(db, pl.DataFrame({"photo_id": ids, "gender": "female", "n_swipes": swipes, "n_likes": swipes // 2}))
    put_vectors(db.layout, "bench", ids, X, metric="cosine")
    index.build(Store(db), "bench")
    return db, ids


@contextlib.contextmanager
def _server(root: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [
        sys.executable,
        "-c",
        "from photogenic.app.cli.main import main; main()",
        "serve",
        "--port",
        "0",
        "--store",
        str(root),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        told = process.stderr.readline()
        yield process, int(told.split("   ")[0].rpartition(":")[2])
    finally:
        process.terminate()
        process.wait(30)


def _post(connection: http.client.HTTPConnection, path: str, value: dict[str, Any]) -> dict[str, Any]:
    connection.request("POST", path, json.dumps(value), {"Content-Type": "application/json"})
    response = connection.getresponse()
    told: dict[str, Any] = json.loads(response.read())
    assert response.status == 200, told
    return told


def _memory(pid: int) -> int:
    """Return the memory of a process and its children in bytes, without mapped files such as indices."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    total = 0
    for one in (pid, *map(int, children)):
        resident, shared = map(int, Path(f"/proc/{one}/statm").read_text().split()[1:3])
        total += (resident - shared) * os.sysconf("SC_PAGE_SIZE")
    return total


def _at(milliseconds: np.ndarray, percent: float) -> float:
    return round(float(np.percentile(milliseconds, percent)), 2)


if __name__ == "__main__":
    main()
