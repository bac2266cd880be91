"""Deleted photos are neither copied, downloaded, decoded nor hashed; what was computed of them before is kept."""

import io

import pytest
from PIL import Image

from photogenic.features.compute.pipeline import photo_bytes
from photogenic.features.similarity.perceptual_hash import photo_hashes
from photogenic.ingest.download.attempts import Pending
from tests.ingest.ingest_store import StoreWithFiles

IDS = ["by-itself", "of-a-deleted-user", "alive"]
HEADER = "photo_id,user_id,path,url,deleted\n"


@pytest.fixture
def store(tmp_path):
    """A store that knows one deleted user, and pictures of three photos beside it."""
    store = StoreWithFiles(tmp_path)
    for shade, name in enumerate(IDS):
        stream = io.BytesIO()
        Image.effect_noise((64, 64), 40 + shade).convert("RGB").save(stream, "JPEG")
        store.file(f"{name}.jpg", stream.getvalue())
    store.take_text("users", "user_id,deleted\nstays,\nleft,true\n", "users.csv")
    return store


def take(store, *, deleted):
    rows = [f"{IDS[0]},stays,{IDS[0]}.jpg,http://x.example/0,{'true' if deleted else ''}"]
    rows += [f"{IDS[1]},left,{IDS[1]}.jpg,http://x.example/1,", f"{IDS[2]},stays,{IDS[2]}.jpg,http://x.example/2,"]
    return store.take_text("photos", HEADER + "\n".join(rows) + "\n")


def test_they_are_neither_copied_nor_downloaded(store):
    (store.folder / "alive.jpg").rename(store.folder / "later.jpg")
    report = take(store, deleted=True)
    assert report.pictures == {"missing": 1}
    assert not store.db.layout.photos.exists() or not list(store.db.layout.photos.rglob("*.jpg"))
    pending = Pending(store.db)
    assert pending.total == 1
    assert [item.photo_id for n in range(pending.n_buckets) for _, item in pending.bucket(n)] == ["alive"]


def test_they_are_neither_decoded_nor_hashed(store):
    assert take(store, deleted=False).pictures == {"ok": 2}
    assert photo_bytes(store.db)["photo_id"].to_list() == ["alive", "by-itself"]
    take(store, deleted=True)
    assert photo_bytes(store.db)["photo_id"].to_list() == ["alive"]
    assert photo_bytes(store.db, deleted=True)["photo_id"].to_list() == ["alive", "by-itself"]
    [alive] = photo_bytes(store.db)["sha256"]
    assert photo_hashes(store.store)["sha256"].to_list() == [alive]


def test_hashes_are_kept_until_a_purge_and_a_photo_that_comes_back_is_decoded_again(store):
    take(store, deleted=False)
    held = photo_hashes(store.store)
    assert len(held) == 2
    take(store, deleted=True)
    assert photo_hashes(store.store).equals(held)
    store.take_text("photos", f"{HEADER}{IDS[0]},stays,{IDS[0]}.jpg,http://x.example/0,false\n", "back.csv")
    assert photo_bytes(store.db)["photo_id"].to_list() == ["alive", "by-itself"]
