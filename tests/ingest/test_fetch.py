"""`features fetch` against a real server on this machine that misbehaves in known ways."""

from __future__ import annotations

import asyncio
import hashlib
import random
from dataclasses import replace

import pytest
from tests.ingest.network_store import QUICK, JumpingClock, make_store, rows

from ingest.fake import FakeNetwork, FakeWorld, Faults
from ingest.fake.faults import LASTING
from ingest.fake.world import tiny_picture
from ingest.fetch import fetch
from warehouse import InputError

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
    return await asyncio.to_thread(fetch, db, **options)


async def test_every_healable_photo_arrives_and_every_other_one_has_its_status(tmp_path):
    rates = dict.fromkeys(
        ["http_404", "http_429", "http_500", "hang", "truncated", "wrong_length", "html"], 0.02
    ) | dict.fromkeys(["redirect", "redirect_loop", "reset", "noai"], 0.02)
    faults = Faults(rates=rates, times=2, retry_after_s=30)
    hosts = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
    async with FakeNetwork(WORLD, faults=faults, hosts=hosts) as fake:
        photos = keys(600)
        db = make_store(tmp_path, [(key, fake.picture_url(key, n)) for n, key in enumerate(photos)])
        report = await run(db)
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
    assert max(fake.pictures.peak.values()) <= QUICK.per_host
    assert not list(db.layout.fetch.glob("*.ndjson"))
