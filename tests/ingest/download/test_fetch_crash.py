"""Fetches that are killed, lose power, or may open only a few files."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from pathlib import Path

import pytest

from photogenic.ingest.download.fetch import fetch
from photogenic.ingest.journal.journal import Journal
from photogenic.synthetic.network import FakeNetwork, FakeWorld, Faults
from photogenic.warehouse import Store
from tests.ingest.network_store import PATIENT, QUICK, JumpingClock, make_store, rows

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
WORLD = FakeWorld.tiny(0, 0, random.Random(0))
FAULTS = Faults(rates={"http_500": 0.02, "http_429": 0.01, "truncated": 0.01, "html": 0.01}, latency_s=0.01)


async def child(store: Path, *, files: int | None = None, **limits) -> asyncio.subprocess.Process:
    command = [sys.executable, "-m", "tests.ingest.download.fetch_child", str(store), json.dumps(limits)]
    if files is not None:
        command = ["sh", "-c", f'ulimit -n {files} && exec "$0" "$@"', *command]
    return await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )


async def killed_at_random(folder: Path, n_photos: int, n_kills: int) -> None:
    rng = random.Random(5)
    async with FakeNetwork(WORLD, faults=FAULTS) as fake:
        photos = [(f"p{n}", fake.picture_url(f"p{n}.jpg")) for n in range(n_photos)]
        undisturbed = make_store(folder / "undisturbed", photos)
        await asyncio.to_thread(fetch, Store(undisturbed), limits=QUICK, clock=JumpingClock())
        alone = fake.pictures.requests.copy()
        fake.pictures.requests.clear()
        fake.pictures.delivered.clear()

        db = make_store(folder / "killed", photos)
        for number in range(n_kills):
            process = await child(folder / "killed", sync_every_s=0.2)
            goal = n_photos * (number + rng.random()) / (n_kills + 1)
            while fake.pictures.delivered.total() < goal and process.returncode is None:
                await asyncio.sleep(0.005)
            process.send_signal(signal.SIGKILL)
            await process.wait()
        process = await child(folder / "killed")
        output, _ = await process.communicate()
        assert process.returncode == 0, output

    result = "select photo_id, status, sha256, width, height from photos order by all"
    assert rows(db, result) == rows(undisturbed, result)
    assert _files(db) == _files(undisturbed)
    n_repeated = sum(count - 1 for count in fake.pictures.delivered.values())
    assert n_repeated <= n_kills * QUICK.concurrency, "only open requests are repeated"
    finished = rows(
        db, "select photo_id from fetch_attempts group by photo_id having count(*) filter (status = 'ok') > 1"
    )
    assert finished == []
    assert fake.pictures.requests.total() - alone.total() <= n_kills * QUICK.concurrency


async def test_killed_three_times_the_result_is_the_same(tmp_path):
    await killed_at_random(tmp_path, n_photos=400, n_kills=3)


@pytest.mark.thorough
async def test_killed_ten_times_the_result_is_the_same(tmp_path):
    await killed_at_random(tmp_path, n_photos=5000, n_kills=10)


async def test_a_power_failure_loses_only_what_was_not_synced(tmp_path):
    """The unsynced end of the journal names a picture whose bytes were lost, and its last line is incomplete."""
    async with FakeNetwork(WORLD) as fake:
        photos = [(f"p{n}", fake.picture_url(f"p{n}.jpg")) for n in range(6)]
        source = make_store(tmp_path / "source", photos)
        await asyncio.to_thread(fetch, Store(source), limits=QUICK)
        held = rows(source, "select photo_id, url, sha256, width, height from photos order by photo_id")

        db = make_store(tmp_path / "cut", photos)
        journal = Journal(db.layout.fetch)
        for number, (photo_id, url, sha256, width, height) in enumerate(held[:5]):
            data = source.layout.photo(sha256).read_bytes()
            target = db.layout.photo(sha256)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data if number != 3 else bytes(len(data)))
            journal.append(
                {
                    "photo_id": photo_id,
                    "url": url,
                    "status": "ok",
                    "file_status": "ok",
                    "attempt": 1,
                    "bytes": len(data),
                }
                | {"sha256": sha256, "width": width, "height": height, "settled": True}
                | {"started_at": "2024-01-01T00:00:00", "duration_s": 0.1}
            )
            if number == 1:
                journal.sync()
        with journal.path.open("ab") as file:
            file.write(b'{"photo_id": "p5", "status": "o')

        fake.pictures.requests.clear()
        report = await asyncio.to_thread(fetch, Store(db), limits=QUICK)
    assert report.n_pending == 2
    assert fake.pictures.requests == {"p3.jpg": 1, "p5.jpg": 1}
    result = "select photo_id, status, sha256 from photos order by all"
    assert rows(db, result) == rows(source, result)
    assert _files(db) == _files(source)


async def test_a_photo_erased_during_its_download_leaves_no_trace(tmp_path):
    async with FakeNetwork(WORLD, faults=Faults(latency_s=0.3)) as fake:
        db = make_store(tmp_path, [("kept", fake.picture_url("a.jpg")), ("erased", fake.picture_url("b.jpg"))])
        running = asyncio.create_task(asyncio.to_thread(fetch, Store(db), limits=PATIENT))
        while not fake.pictures.requests.total():
            await asyncio.sleep(0.01)
        with db.write("erase") as con:
            con.execute("delete from facts.photos where photo_id = 'erased'")
        await running
    assert rows(db, "select photo_id from facts.photo_files") == [("kept",)]
    assert rows(db, "select photo_id from fetch_attempts") == [("kept",)]
    assert len(_files(db)) == 1


async def test_sixty_four_open_files_are_enough(tmp_path):
    async with FakeNetwork(WORLD, faults=Faults(latency_s=0.005)) as fake:
        db = make_store(tmp_path, [(f"p{n}", fake.picture_url(f"p{n}.jpg")) for n in range(300)])
        process = await child(tmp_path, files=64, concurrency=64, per_host=64, merge_every_s=0.2)
        output, _ = await process.communicate()
        peak = fake.pictures.peak["127.0.0.1"]
    assert process.returncode == 0
    said = output.decode().splitlines()
    assert said[0].startswith("The open-file limit is 64:")
    assert "instead of 64" in said[0]
    assert "ulimit -n" in said[0]
    assert json.loads(said[-1]) == {"ok": 300}
    assert len(said) == 2
    assert 2 <= peak < 32
    assert rows(db, "select count(*) from photos where status = 'ok'") == [(300,)]


def _files(db) -> set[str]:
    return {path.name for path in db.layout.photos.rglob("*") if path.is_file()}
