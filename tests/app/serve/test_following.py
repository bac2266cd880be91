"""A server on a store that changes: empty, without labels, growing, written to while it is read."""

import asyncio
import shutil
import threading
from urllib.parse import quote

import polars as pl
import pytest

from photogenic import FeatureStore
from photogenic.app.serve.http.errors import ApiError
from photogenic.app.serve.http.limits import Limits
from photogenic.app.serve.snapshot import Follower
from photogenic.warehouse import StoreError
from photogenic.warehouse.moment import Moments
from tests.app.serve.live_server import live_server
from tests.features.toy import database, put_photos


def photos(*names):
    n = len(names)
    return pl.DataFrame({"photo_id": names, "gender": ["female"] * n, "n_swipes": [10] * n, "n_likes": [4] * n})


def test_a_server_needs_a_store(tmp_path):
    with pytest.raises(StoreError, match="no store"):
        Follower(database(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_a_store_without_labels_names_the_command(tmp_path):
    db = database(tmp_path)
    with db.write("test") as con:
        con.execute(
            "insert into facts.users (user_id, gender, followers, created_at, ingested_at)"
            " values ('u', 'female', null, null, timestamp '2024-01-01')"
        )
    with live_server(db.layout.root) as server:
        for path in ("/api/v1/breakdown", "/api/v1/gallery"):
            answer = server.get(path)
            assert (answer.status, answer.code) == (409, "not_ready")
            assert answer.json["remedy"] == "features build"
        answer = server.get("/api/v1/gallery?by=prediction")
        assert answer.json["remedy"] == "features train --target like_ratio"
        assert server.post("/api/v1/similar", {"photo_id": "p"}).json["remedy"] == "features build"
        assert server.get("/api/v1/runs").json == {"runs": []}
        assert server.post("/api/v1/features", {"photo_ids": ["p"]}).json["photos"][0]["status"] == "unknown_photo"


def test_a_newer_snapshot_is_followed_while_it_is_read(tmp_path):
    db = database(tmp_path)
    put_photos(db, photos("p1", "p2"))
    with live_server(db.layout.root) as server:
        assert server.get("/api/v1/health").json["n_photos"] == 2
        statuses, done = [], threading.Event()

        def read():
            while not done.is_set():
                statuses.append(server.get("/api/v1/photos/p1").status)
                statuses.append(server.sql("select count(*) from photo_labels").status)

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        for n in range(3, 6):
            put_photos(db, photos(f"p{n}"))
        server.until("/api/v1/health", lambda answer: answer.json["n_photos"] == 5)
        done.set()
        for reader in readers:
            reader.join()
        assert server.get("/api/v1/photos/p5").status == 200
    assert set(statuses) == {200}
    assert len(statuses) > 10


def test_moments_are_computed_one_after_the_other_even_if_clients_leave(tmp_path, monkeypatch):
    db = database(tmp_path)
    put_photos(db, photos("p1"))
    limits, ended = Limits(sql_waiting=3), threading.Event()
    running, most = [], []

    def opened(*asked):
        running.append(asked)
        most.append(len(running))
        ended.wait(20)
        running.remove(asked)
        return asked

    monkeypatch.setattr("photogenic.app.serve.snapshot._opened", opened)

    async def clients():
        follower = Follower(db)

        def ask(day):
            return asyncio.ensure_future(follower.at(Moments.of(f"2024-01-{day:02}"), limits))

        first = [ask(day) for day in range(1, 5)]
        while not running:
            await asyncio.sleep(0.01)
        with pytest.raises(ApiError, match="Too many requests"):
            await follower.at(Moments.of("2024-02-01"), limits)
        for client in first:
            client.cancel()
        await asyncio.gather(*first, return_exceptions=True)
        later = [ask(day) for day in range(5, 8)]
        await asyncio.sleep(0.1)
        assert len(running) == 1  # that of a client that has gone
        ended.set()
        found = await asyncio.gather(*later)
        assert await follower.at(Moments.of("2024-01-07"), limits) is found[-1]

    asyncio.run(clients())
    assert most == [1, 1, 1, 1]


def test_deleted_photos_are_gone_from_every_answer(root, tmp_path, portrait):
    copy, (photo_id, _) = tmp_path / "store", portrait
    shutil.copytree(root, copy)
    path = tmp_path / "deleted.csv"
    path.write_text(f"photo_id,deleted_at\n{photo_id},2025-12-01\n")
    with live_server(copy) as server:
        n_photos = server.get("/api/v1/health").json["n_photos"]
        query = {"photo_id": photo_id, "k": 1}
        (near,) = server.post("/api/v1/similar", query).json["photos"]
        with FeatureStore(copy) as store:
            store.retract("photos", path)
            store.build(only="labels")
        server.until("/api/v1/health", lambda answer: answer.json["n_photos"] == n_photos - 1)
        server.until("/api/v1/gallery?limit=500", lambda answer: photo_id not in answer.body.decode())
        page = server.get(f"/photos/{photo_id}", Accept="text/html")
        assert page.status == 404
        assert "was deleted at 2025-12-01T00:00:00Z" in page.body.decode()
        for path in (f"/api/v1/photos/{photo_id}", f"/thumbs/{photo_id}", f"/pictures/{photo_id}"):
            assert server.get(path).code == "not_found"
        assert server.post("/api/v1/similar", query).code == "not_found"
        found = server.post("/api/v1/similar", {"photo_id": near["photo_id"], "k": 1000}).json["photos"]
        assert photo_id not in {photo["photo_id"] for photo in found}
        (features,) = server.post("/api/v1/features", {"photo_ids": [photo_id]}).json["photos"]
        assert features == {"photo_id": photo_id, "status": "unknown_photo", "embedding": None, "label": None}
        before = server.get(f"/photos/{photo_id}?as_of={quote('2025-11-01')}").body.decode()
        assert "The photo was deleted at 2025-12-01 00:00:00" in before
        assert "<img src" not in before.split('class="figures"')[0]
