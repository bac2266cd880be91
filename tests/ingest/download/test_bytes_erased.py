"""Pictures of erased photos are refused under every id, unless another user's photo has the same bytes."""

from __future__ import annotations

import asyncio
import hashlib
import random

import pytest

from photogenic.ingest.download.image_store import ImageStore
from photogenic.maintenance.erase.erase import erase
from photogenic.warehouse.erasure.tombstones import Tombstones
from tests.faults.mutations import drawn
from tests.ingest.ingest_store import StoreWithFiles

OWN, SHARED = drawn("PNG", random.Random(1)), drawn("PNG", random.Random(2))


@pytest.fixture
def store(tmp_path):
    """A store of two people, one of whom was erased; one of the erased pictures belonged to no other photo."""
    store = StoreWithFiles(tmp_path)
    for name, data in {"own": OWN, "shared": SHARED, "other": SHARED}.items():
        store.file(f"{name}.png", data)
    store.take_text("users", "user_id\ngone\nstays\n", "users.csv")
    store.take_text("photos", "photo_id,user_id,path\np1,gone,own.png\np2,gone,shared.png\np3,stays,other.png\n")
    erase(store.store, ["gone"])
    return store


def photos(store):
    return dict(store.rows("select photo_id, status from photos order by all"))


def files(store):
    return sorted(path.stem for path in store.db.layout.photos.glob("??/*.jpg"))


def test_ingested_again_under_another_id_and_owner(store):
    held = files(store)
    assert len(held) == 1
    lines = "photo_id,user_id,path\nnew1,stranger,own.png\nnew2,stays,own.png\nnew3,stranger,shared.png\n"
    for _ in range(2):
        store.take_text("photos", lines)
        assert photos(store) == {"p3": "ok", "new1": "erased", "new2": "erased", "new3": "ok"}
        assert files(store) == held
    assert store.rows("select distinct sha256, detail from facts.photo_files where status = 'erased'") == [
        (None, "the bytes of an erased photo")
    ]


@pytest.mark.parametrize("use_process", [False, True])
def test_downloaded_again(store, use_process):
    held = files(store)

    async def saved(data):
        with ImageStore(store.db.layout, max_bytes=1 << 20, use_process=use_process) as images:
            body = images.body()
            body.feed(data)
            return await images.save(body)

    again, other = asyncio.run(saved(OWN)), asyncio.run(saved(SHARED))
    assert (again.header.status, again.sha256) == ("erased", None)
    assert other.header.status == "ok"
    assert files(store) == held


def test_only_pictures_of_no_other_user_are_stored_as_erased_and_only_as_hashes(store):
    own, shared = (hashlib.sha256(data).hexdigest() for data in (OWN, SHARED))
    tombstones = Tombstones(store.db.layout)
    assert (tombstones.contains("bytes", own), tombstones.contains("bytes", shared)) == (True, False)
    assert own not in (store.db.layout.erased / "tombstones").read_text()
