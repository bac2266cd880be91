"""`neighbours` and `near_duplicates` are correct, kept up to date, and removed with their photos."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageEnhance

from photogenic import FeatureStore
from photogenic.features.search import index
from photogenic.features.similarity.near_duplicates import DuplicateSettings, _close_hashes, update
from photogenic.features.similarity.perceptual_hash import perceptual_hash, photo_hashes
from photogenic.synthetic.portraits.portrait import Traits, draw_portrait, encode_jpeg
from photogenic.warehouse import InputError, Store
from tests.features.toy import SETTINGS, clustered, put_photos, put_vectors

pytestmark = pytest.mark.slow

N = 60


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    made = FeatureStore(tmp_path / "store", settings=SETTINGS)
    names = [f"p{i:02d}" for i in range(N)]
    ones = np.ones(N, int)
    put_photos(made.database, pl.DataFrame({"photo_id": names, "gender": "female", "n_swipes": ones, "n_likes": ones}))
    with made.database.write("test") as con:
        con.execute("delete from facts.photo_files")
    put_vectors(made.layout, "toy", names, clustered(np.random.default_rng(0), N, 8, 5), metric="cosine")
    return made


def test_neighbours_equal_a_search(store: FeatureStore) -> None:
    report = store.build(only="index", neighbours=4)
    assert report.likeness is not None
    assert report.likeness.neighbours == {"toy": 4}
    table = store.sql("select * from neighbours").sort("photo_id", "rank")
    assert len(table) == 4 * N
    for photo_id in ("p00", "p31", "p59"):
        mine, found = table.filter(photo_id=photo_id), store.similar(photo_id, k=4, encoder="toy")
        assert mine["neighbour_id"].to_list() == found["photo_id"].to_list()
        np.testing.assert_allclose(mine["distance"], found["distance"], atol=1e-7)


def test_neighbours_are_kept_up_to_date_and_leave_with_their_photos(store: FeatureStore) -> None:
    assert store.build(only="index").likeness.neighbours == {}  # type: ignore[union-attr]  # never requested
    store.build(only="index", neighbours=3)
    before = store.layout.snapshot.stat().st_ino
    assert store.build(only="index").likeness.neighbours == {}  # type: ignore[union-attr]  # nothing has changed
    assert store.layout.snapshot.stat().st_ino == before
    with store.database.write("test") as con:
        con.execute("delete from facts.photos where photo_id = 'p07'")
    assert store.sql("select count(*) from neighbours where 'p07' in (photo_id, neighbour_id)").item() == 0
    put_vectors(store.layout, "toy", ["p00", "p01", "p02"], np.eye(8)[:3], metric="cosine")
    assert store.plan(only="index").likeness == ("neighbours toy",)
    assert store.build(only="index").likeness.neighbours == {"toy": 3}  # type: ignore[union-attr]
    found = store.sql("select photo_id, neighbour_id from neighbours").sort("photo_id", "neighbour_id")
    assert found.rows() == [
        ("p00", "p01"),
        ("p00", "p02"),
        ("p01", "p00"),
        ("p01", "p02"),
        ("p02", "p00"),
        ("p02", "p01"),
    ]
    with pytest.raises(InputError, match="from 1 to"):
        store.build(only="index", neighbours=-1)


def test_a_lone_photo_has_no_neighbours(store: FeatureStore) -> None:
    put_vectors(store.layout, "toy", ["p00"], np.ones((1, 8)), metric="cosine")
    store.build(only="index", neighbours=3)
    assert store.sql("select count(*) from neighbours").item() == 0


def picture(seed: int) -> Image.Image:
    traits = Traits(closeness=(seed * 0.61) % 1, tilt=(seed * 0.37) % 1, hue=(seed * 0.83) % 1, clutter=0.8)
    return draw_portrait(traits, seed, 256)


def hold(store: FeatureStore, pictures: dict[str, bytes]) -> None:
    """Store the bytes of photos."""
    with store.database.write("test") as con:
        for photo_id, data in pictures.items():
            digest = hashlib.sha256(data).hexdigest()
            path = store.layout.photo(digest)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            con.execute(
                "insert into facts.photo_files values ($1, $2, 9, 9, 9, 'ok', null, now()::timestamp)",
                [photo_id, digest],
            )


def bits(a: bytes, b: bytes) -> int:
    return (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).bit_count()


def test_a_hash_survives_resizing_recompression_and_gray() -> None:
    one, other = picture(1), picture(2)
    original = perceptual_hash(np.asarray(one))
    assert original is not None
    copies = {
        "smaller": one.resize((one.width // 3, one.height // 3)),
        "poorer": Image.open(io.BytesIO(encode_jpeg(one, 30))),
        "grey": one.convert("L").convert("RGB"),
        "darker": ImageEnhance.Brightness(one).enhance(0.8),
    }
    for name, copy in copies.items():
        found = perceptual_hash(np.asarray(copy))
        assert found is not None
        assert bits(found[0], original[0]) <= 15, name
    mirrored = perceptual_hash(np.asarray(one.transpose(Image.Transpose.FLIP_LEFT_RIGHT)))
    different = perceptual_hash(np.asarray(other))
    assert mirrored is not None
    assert different is not None
    assert bits(mirrored[0], original[1]) <= 4
    assert bits(different[0], original[0]) > 40
    assert perceptual_hash(np.full((90, 90, 3), 128, np.uint8)) is None


def test_near_duplicates_by_bytes_hash_mirror_and_embedding(store: FeatureStore) -> None:
    one, two, three = picture(1), picture(2), picture(3)
    pictures = {
        "p00": encode_jpeg(one),
        "p01": encode_jpeg(one),  # the same bytes
        "p02": encode_jpeg(one, 40),  # lower quality
        "p03": encode_jpeg(one.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
        "p10": encode_jpeg(two),
        "p11": encode_jpeg(three),  # similar only by embedding
        "p20": encode_jpeg(picture(4)),
        "p30": encode_jpeg(Image.new("RGB", (64, 64), "red")),
        "p31": encode_jpeg(Image.new("RGB", (64, 64), "blue")),  # a uniform picture has no hash
    }
    hold(store, pictures)
    X = np.eye(len(pictures), 10)
    X[5] = X[4] + 0.05 * X[0]
    put_vectors(store.layout, "toy", list(pictures), X, metric="cosine")
    report = store.build(only="index", near_duplicates=True)
    found = store.sql("select * from near_duplicates").sort("photo_id", "other_id")
    links = {(a, b): reason for a, b, reason in found.select("photo_id", "other_id", "reason").rows()}
    assert links == {
        ("p00", "p01"): "bytes",
        ("p00", "p02"): "hash",
        ("p00", "p03"): "mirror",
        ("p02", "p03"): "mirror",
        ("p10", "p11"): "embedding",
    }
    assert report.likeness is not None
    assert report.likeness.n_near_duplicates == len(links)
    clusters = store.sql("select * from duplicate_clusters").sort("photo_id")
    assert clusters.rows() == [
        *((f"p0{i}", "p00", 4) for i in range(4)),
        ("p10", "p10", 2),
        ("p11", "p10", 2),
    ]


def test_near_duplicates_are_computed_again_only_when_pictures_have_changed(store: FeatureStore) -> None:
    assert store.build(only="index").likeness.n_near_duplicates is None  # type: ignore[union-attr]
    hold(store, {"p00": encode_jpeg(picture(1)), "p01": encode_jpeg(picture(2))})
    assert store.build(only="index", near_duplicates=True).likeness.n_near_duplicates is not None  # type: ignore[union-attr]
    before = store.layout.snapshot.stat().st_ino
    assert store.build(only="index", near_duplicates=True).likeness.n_near_duplicates is None  # type: ignore[union-attr]
    assert store.layout.snapshot.stat().st_ino == before
    hold(store, {"p02": encode_jpeg(picture(1), 50)})
    assert store.plan(only="index").likeness == ("near_duplicates",)
    store.build(only="index")
    assert ("p00", "p02") in store.sql("select photo_id, other_id from near_duplicates").rows()
    update(Store(store.database), DuplicateSettings(bits=0, distance=None))
    assert store.sql("select count(*) from near_duplicates").item() == 0
    with pytest.raises(InputError, match="0 to 15"):
        DuplicateSettings(bits=16)


def test_hashes_are_computed_once_and_forgotten_with_their_photo(store: FeatureStore) -> None:
    hold(store, {"p00": encode_jpeg(picture(1)), "p01": encode_jpeg(picture(2))})
    first = photo_hashes(Store(store.database))
    assert len(first) == 2
    for path in store.layout.photos.rglob("*.jpg"):
        path.unlink()
    assert photo_hashes(Store(store.database)).equals(first)  # no photo is read again
    with store.database.write("test") as con:
        con.execute("delete from facts.photo_files where photo_id = 'p01'")
    assert len(photo_hashes(Store(store.database))) == 1
    kept = pl.concat([pl.read_parquet(path) for path in store.layout.hashes.glob("*.parquet")])
    assert len(kept) == 1


def test_close_hashes_are_all_found() -> None:
    """The search equals a comparison of all pairs: random hashes, and copies with 0 to 30 flipped bits."""
    rng = np.random.default_rng(0)
    stored = rng.integers(0, 256, (400, 32), np.uint8)
    for row in range(200, 400):
        bits_ = np.unpackbits(stored[row - 200])
        bits_[rng.permutation(256)[: row % 31]] ^= 1
        stored[row] = np.packbits(bits_)
    found = {(a, b, n) for part in _close_hashes(stored, stored, 15) for a, b, n in zip(*part, strict=True)}
    every = (stored[:, None] ^ stored[None]).view(np.uint64)
    n_bits = np.bitwise_count(every).sum(2).astype(int)
    expected = {(a, b, n_bits[a, b]) for a, b in zip(*np.nonzero(n_bits <= 15), strict=True) if a < b}
    assert found == expected
    assert len(expected) > 90


def test_a_search_without_an_index_is_refused(store: FeatureStore) -> None:
    assert index.manifests(store.layout) == []
    update(Store(store.database), DuplicateSettings())  # without an index and pictures there is no result and no error
    assert store.sql("select count(*) from near_duplicates").item() == 0
