"""`features fetch` with a local server that injects faults."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import random
import time
from dataclasses import replace

import pytest

from photogenic.ingest.download import fetch as story
from photogenic.ingest.download.fetch import fetch
from photogenic.ingest.journal.clock import Backoff
from photogenic.synthetic.network import FakeNetwork, FakeWorld, Faults
from photogenic.synthetic.network.faults import LASTING
from photogenic.synthetic.network.world import tiny_picture
from photogenic.warehouse import InputError, LockedError, Store, StoreError
from photogenic.warehouse.storage.lock import locked
from tests.ingest.network_store import PATIENT, QUICK, START, JumpingClock, make_store, rows

pytestmark = pytest.mark.slow

WORLD = FakeWorld.tiny(0, 0, random.Random(0))
CALLED = {
    "http_404": "http_404",
    "html": "not_an_image",
    "redirect": "ok",
    "redirect_loop": "redirects",
    "noai": "opted_out",
}


def keys(n: int) -> list[str]:
    return [f"p{number}.jpg" for number in range(n)]


async def run(db, **options):
    options.setdefault("limits", QUICK)
    options.setdefault("clock", JumpingClock())
    options.setdefault("rng", random.Random(1))
    return await asyncio.to_thread(fetch, Store(db), **options)


ISSUE = {"http_500": 0.02, "http_429": 0.01, "truncated": 0.01, "html": 0.01}


@pytest.mark.parametrize(
    ("n_photos", "rates", "limits"),
    [
        (
            600,
            dict.fromkeys(["http_404", "http_429", "http_500", "hang", "truncated", "wrong_length"], 0.02)
            | dict.fromkeys(["html", "redirect", "redirect_loop", "reset", "drip", "noai"], 0.02),
            replace(QUICK, total_s=2, read_s=1.5, connect_s=2),
        ),
        pytest.param(5000, ISSUE, PATIENT, marks=pytest.mark.thorough),
    ],
)
async def test_photos_with_temporary_failures_arrive_and_all_others_get_a_status(tmp_path, n_photos, rates, limits):
    faults = Faults(rates=rates, times=2, retry_after_s=30)
    hosts = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
    async with FakeNetwork(WORLD, faults=faults, hosts=hosts) as fake:
        photos = keys(n_photos)
        db = make_store(tmp_path, [(key, fake.picture_url(key, n)) for n, key in enumerate(photos)])
        report = await run(db, limits=limits)
    expected = {key: CALLED.get(faults.of(key), "ok") for key in photos}
    settled = rows(db, "select photo_id, status from facts.fetch_attempts where settled")
    assert dict(settled) == expected
    assert len(settled) == len(photos)
    assert report.statuses == {s: list(expected.values()).count(s) for s in set(expected.values())}
    assert report.n_left == 0
    files = rows(db, "select photo_id, sha256, width, height, bytes from facts.photo_files where status = 'ok'")
    assert {key for key, *_ in files} == {key for key, status in expected.items() if status == "ok"}
    for key, sha256, width, height, n_bytes in files:
        data = db.layout.photo(sha256).read_bytes()
        assert hashlib.sha256(data).hexdigest() == sha256
        assert data == tiny_picture(key)
        assert (width, height, n_bytes) == (16, 16, len(data))
    for key in photos:
        passing = faults.of(key) is not None and faults.of(key) not in LASTING
        extra = {"redirect": 1, "redirect_loop": QUICK.redirects}.get(faults.of(key), 0)
        assert fake.pictures.requests[key] == 1 + extra + (faults.times if passing else 0), faults.of(key)
    unnoticed = 0 if rates is ISSUE else 3  # a server learns a moment later that a client has hung up
    assert max(fake.pictures.peak.values()) <= QUICK.per_host + unnoticed
    assert not list(db.layout.fetch.glob("*.ndjson"))


async def test_stored_and_failed_photos_are_not_requested_again_without_retry(tmp_path):
    async with FakeNetwork(WORLD, faults=Faults(rates={"http_404": 0.3})) as fake:
        db = make_store(tmp_path, [(key, fake.picture_url(key)) for key in keys(40)])
        first = await run(db)
        asked = fake.pictures.requests.total()
        again = await run(db)
        assert (again.n_pending, fake.pictures.requests.total()) == (0, asked)
        retried = await run(db, retry=("http_404",))
    n_lost = first.statuses["http_404"]
    assert 0 < n_lost == retried.n_pending == retried.statuses["http_404"]
    attempts = rows(db, "select attempt, count(*) from fetch_attempts group by all order by all")
    assert attempts == [(1, 40), (2, n_lost)]
    assert rows(db, "select status, count(*) from photos group by all order by all") == [
        ("missing", n_lost),
        ("ok", 40 - n_lost),
    ]


async def test_repeated_failures_become_final_and_retry_healable_tries_them_again(tmp_path):
    async with FakeNetwork(WORLD, faults=Faults(rates={"http_500": 1.0}, times=5)) as fake:
        db = make_store(tmp_path, [(key, fake.picture_url(key)) for key in keys(3)])
        first = await run(db)
        again = await run(db, retry=("healable",))
    assert first.statuses == {"http_5xx": 3}
    assert again.statuses == {"ok": 3}
    attempts = rows(db, "select attempt, status, settled from facts.fetch_attempts where photo_id = 'p0.jpg'")
    assert attempts == [
        (1, "http_5xx", False),
        (2, "http_5xx", False),
        (3, "http_5xx", False),
        (4, "http_5xx", True),
        (5, "http_5xx", False),
        (6, "ok", True),
    ]


async def test_a_new_url_of_a_failed_photo_is_tried_automatically(tmp_path):
    async with FakeNetwork(WORLD, faults=Faults(rates={"http_404": 0.5})) as fake:
        faults = fake.pictures.faults
        good = next(key for key in keys(50) if faults.of(key) is None)
        bad = next(key for key in keys(50) if faults.of(key) is not None)
        db = make_store(tmp_path, [("p", fake.picture_url(bad))])
        assert (await run(db)).statuses == {"http_404": 1}
        with db.write("test") as con:
            con.execute(
                "insert into facts.photos (photo_id, user_id, path, url, posted_at, likes, hashtags, ingested_at)"
                " values ('p', 'u', null, $1, null, null, null, timestamp '2024-02-01')",
                [fake.picture_url(good)],
            )
        assert (await run(db)).statuses == {"ok": 1}


async def test_retry_after_pauses_the_whole_host(tmp_path):
    clock = JumpingClock()
    async with FakeNetwork(WORLD, faults=Faults(rates={"http_429": 0.05}, retry_after_s=600)) as fake:
        photos = keys(60)
        struck = [key for key in photos if fake.pictures.faults.of(key)]
        db = make_store(tmp_path, [(key, fake.picture_url(key)) for key in photos])
        report = await run(db, clock=clock)
    assert struck
    assert report.statuses == {"ok": 60}
    starts = [at for (at,) in rows(db, "select distinct epoch(started_at) from fetch_attempts order by 1")]
    assert starts[0] == START
    assert all(later - earlier >= 600 for earlier, later in itertools.pairwise(starts))


async def test_a_retry_after_of_hours_is_cut_to_the_limit(tmp_path):
    clock = JumpingClock()
    async with FakeNetwork(WORLD, faults=Faults(rates={"http_429": 1.0}, retry_after_s=10**7)) as fake:
        db = make_store(tmp_path, [("p0.jpg", fake.picture_url("p0.jpg"))])
        await run(db, clock=clock, limits=replace(QUICK, longest_park_s=100))
    assert clock.waits == [pytest.approx(100, abs=1)]


async def test_a_host_that_never_answers_is_left_for_the_next_run(tmp_path):
    async with FakeNetwork(WORLD) as fake:
        nobody = "http://127.0.0.9:9/"
        photos = [(key, fake.picture_url(key)) for key in keys(20)]
        db = make_store(tmp_path, [*photos, *((f"lost-{n}", f"{nobody}{n}.jpg") for n in range(200))])
        report = await run(db, limits=replace(QUICK, give_up_after=10))
    assert report.statuses == {"ok": 20}
    assert report.hosts_down == ["127.0.0.9"]
    assert report.n_left > 150
    assert report.n_left + 20 == report.n_pending
    assert rows(db, "select distinct status, settled from facts.fetch_attempts order by all") == [
        ("connect", False),
        ("ok", True),
    ]


async def test_requests_to_one_host_respect_the_rate(tmp_path):
    async with FakeNetwork(WORLD) as fake:
        db = make_store(tmp_path, [(key, fake.picture_url(key)) for key in keys(12)])
        began = time.perf_counter()
        report = await run(db, limits=replace(QUICK, rate=50))
    assert report.statuses == {"ok": 12}
    assert time.perf_counter() - began >= 11 / 50


async def test_private_addresses_are_refused_at_once_and_after_a_redirect(tmp_path):
    async with FakeNetwork(WORLD, faults=Faults(rates={"redirect": 1.0})) as fake:
        db = make_store(tmp_path, [("direct", fake.picture_url("p.jpg")), ("file", "file:///etc/passwd")])
        report = await run(db, limits=replace(QUICK, allow_private=False))
        assert fake.pictures.requests.total() == 0
        assert report.statuses == {"blocked_address": 1, "bad_url": 1}
        fake.pictures.elsewhere = "http://169.254.169.254/latest/meta-data/"
        report = await run(db, retry=("blocked_address",))
        assert report.statuses == {"blocked_address": 1}
        assert fake.pictures.requests.total() == 1


async def test_too_many_bytes_are_refused(tmp_path):
    async with FakeNetwork(WORLD) as fake:
        db = make_store(tmp_path, [("p0.jpg", fake.picture_url("p0.jpg"))])
        report = await run(db, limits=replace(QUICK, max_bytes=100))
    assert report.statuses == {"too_large": 1}
    assert rows(db, "select status, sha256 from photos") == [("too_large", None)]
    assert not list(db.layout.photos.rglob("*.*"))


async def test_an_opt_out_is_respected_by_default(tmp_path):
    async with FakeNetwork(WORLD, faults=Faults(rates={"noai": 1.0})) as fake:
        db = make_store(tmp_path, [("p0.jpg", fake.picture_url("p0.jpg"))])
        assert (await run(db)).statuses == {"opted_out": 1}
        consented = replace(QUICK, honour_opt_out=False)
        assert (await run(db, limits=consented, retry=("opted_out",))).statuses == {"ok": 1}


async def test_equal_bytes_of_two_photos_are_stored_once(tmp_path):
    async with FakeNetwork(WORLD) as fake:
        db = make_store(tmp_path, [("a", fake.picture_url("same.jpg")), ("b", fake.picture_url("same.jpg"))])
        await run(db)
    digests = rows(db, "select distinct sha256 from photos")
    assert len(digests) == 1
    assert len(list(db.layout.photos.rglob("*.jpg"))) == 1


async def test_the_journal_is_merged_during_the_run(tmp_path, monkeypatch):
    merged = []
    whole = story.attempts.merge

    def counted(con, path, layout):
        merged.append(path)
        whole(con, path, layout)

    monkeypatch.setattr(story.attempts, "merge", counted)
    async with FakeNetwork(WORLD, faults=Faults(latency_s=0.02)) as fake:
        db = make_store(tmp_path, [(key, fake.picture_url(key)) for key in keys(200)])
        report = await run(db, limits=replace(PATIENT, sync_every_s=0.02, merge_every_s=0.05))
    assert report.statuses == {"ok": 200}
    assert len(merged) > 1
    assert rows(db, "select count(*), count(distinct photo_id) from fetch_attempts") == [(200, 200)]


async def test_one_fetch_at_a_time(tmp_path):
    db = make_store(tmp_path, [("p", "http://127.0.0.1:9/p")])
    db.settings = replace(db.settings, lock_timeout_s=0)
    with locked(db.layout.fetch / "lock", "fetch", 0), pytest.raises(LockedError):
        await run(db)


async def test_a_full_disk_is_an_error_and_earlier_downloads_are_kept(tmp_path, monkeypatch):
    from photogenic.ingest.download.image_store import Body

    written = []
    real = Body._write

    def fills_up(self):
        written.append(1)
        if len(written) > 5:
            raise OSError(28, "No space left on device")
        real(self)

    async with FakeNetwork(WORLD) as fake:
        db = make_store(tmp_path, [(key, fake.picture_url(key)) for key in keys(40)])
        with monkeypatch.context() as patch:
            patch.setattr(Body, "_write", fills_up)
            with pytest.raises(StoreError, match="No space left"):
                await run(db)
        report = await run(db)
    assert report.statuses == {"ok": 35}
    assert set(fake.pictures.delivered) == set(keys(40))


async def test_running_out_of_open_files_lowers_the_concurrency(tmp_path, monkeypatch):
    import aiohttp

    real = aiohttp.ClientSession._request
    crowd = []

    async def start(self, *arguments, **options):
        crowd.append(1)
        if len(crowd) in {5, 6}:
            raise OSError(24, "Too many open files")
        return await real(self, *arguments, **options)

    async with FakeNetwork(WORLD) as fake:
        db = make_store(tmp_path, [(key, fake.picture_url(key)) for key in keys(60)])
        monkeypatch.setattr(aiohttp.ClientSession, "_request", start)
        assert (await run(db)).statuses == {"ok": 60}
    assert rows(db, "select count(*) from fetch_attempts") == [(60,)]


def test_an_unknown_status_is_an_error_that_suggests_a_similar_one(tmp_path):
    db = make_store(tmp_path, [("p", "http://127.0.0.1:9/p")])
    with pytest.raises(InputError, match="timeout") as caught:
        fetch(Store(db), retry=("timeuot",))
    assert caught.value.remedy == "features fetch --retry timeout"


def test_backoff_is_exponential_jittered_and_capped():
    backoff, rng = Backoff(attempts=9, base_s=1, cap_s=8), random.Random(0)
    for tries, top in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (60, 8)]:
        drawn = [backoff.delay_s(tries, rng) for _ in range(400)]
        assert 0 <= min(drawn) < 0.05 * top
        assert 0.95 * top < max(drawn) <= top
