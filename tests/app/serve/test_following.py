"""A server on a store that changes: empty, without labels, growing, written to while it is read."""

import threading

import polars as pl
import pytest

from photogenic.app.serve.snapshot import Follower
from photogenic.warehouse import StoreError
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
