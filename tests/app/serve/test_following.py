"""A server on a store that lives: empty, without labels, growing, written to while it is read."""

import threading

import polars as pl
import pytest

from photogenic.app.serve.snapshot import Follower
from photogenic.warehouse import StoreError
from tests.app.serve.here import served
from tests.features.toy import database, put_photos


def photos(*names):
    n = len(names)
    return pl.DataFrame({"photo_id": names, "gender": ["female"] * n, "n_swipes": [10] * n, "n_likes": [4] * n})


def test_without_a_store_there_is_no_server(tmp_path):
    with pytest.raises(StoreError, match="no store"):
        Follower(database(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_a_store_without_labels_says_what_to_run(tmp_path):
    db = database(tmp_path)
    with db.write("test") as con:
        con.execute("insert into facts.users values ('u', 'female', null, null, timestamp '2024-01-01')")
    with served(db.layout.root) as here:
        for path in ("/api/v1/breakdown", "/api/v1/gallery"):
            answer = here.get(path)
            assert (answer.status, answer.code) == (409, "not_ready")
            assert answer.json["remedy"] == "features build"
        answer = here.get("/api/v1/gallery?by=prediction")
        assert answer.json["remedy"] == "features train --target like_ratio"
        assert here.post("/api/v1/similar", {"photo_id": "p"}).json["remedy"] == "features build"
        assert here.get("/api/v1/runs").json == {"runs": []}
        assert here.post("/api/v1/features", {"photo_ids": ["p"]}).json["photos"][0]["status"] == "unknown_photo"


def test_a_newer_snapshot_is_followed_while_it_is_read(tmp_path):
    db = database(tmp_path)
    put_photos(db, photos("p1", "p2"))
    with served(db.layout.root) as here:
        assert here.get("/api/v1/health").json["n_photos"] == 2
        statuses, done = [], threading.Event()

        def read():
            while not done.is_set():
                statuses.append(here.get("/api/v1/photos/p1").status)
                statuses.append(here.sql("select count(*) from photo_labels").status)

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        for n in range(3, 6):
            put_photos(db, photos(f"p{n}"))
        here.until("/api/v1/health", lambda answer: answer.json["n_photos"] == 5)
        done.set()
        for reader in readers:
            reader.join()
        assert here.get("/api/v1/photos/p5").status == 200
    assert set(statuses) == {200}
    assert len(statuses) > 10
