"""`FeatureStore` from files to similar photos, the steps of a build, and the training set."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import photogenic
from photogenic import FeatureStore
from photogenic.features.build import held_encoders
from photogenic.features.search import index
from photogenic.warehouse import EncoderError, InputError, PhotogenicError, StoreError
from photogenic.warehouse.labels.options import LabelOptions
from tests.features.gallery import portrait
from tests.features.toy import SETTINGS, put_photos, put_vectors

pytestmark = pytest.mark.slow

N = 40


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """A store with labels and two toy encoders, without pictures."""
    made = FeatureStore(tmp_path / "store", settings=SETTINGS)
    rng = np.random.default_rng(0)
    n_swipes = rng.integers(1, 20, N)
    put_photos(
        made.database,
        pl.DataFrame(
            {
                "photo_id": [f"p{i:02d}" for i in range(N)],
                "gender": [("female", "male", "other", None)[i % 4] for i in range(N)],
                "n_swipes": n_swipes,
                "n_likes": rng.integers(0, n_swipes + 1),
            }
        ),
    )
    put_vectors(made.layout, "toy_a", [f"p{i:02d}" for i in range(N)], np.arange(3 * N).reshape(N, 3))
    put_vectors(made.layout, "toy_b", [f"p{i:02d}" for i in range(5, N)], -np.arange(2 * (N - 5)).reshape(-1, 2))
    return made


def test_importing_the_facade_loads_nothing_heavy() -> None:
    code = "import sys, photogenic; photogenic.FeatureStore; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not loaded & {"torch", "faiss", "polars", "duckdb", "numpy", "mediapipe", "PIL"}


def test_every_export_exists() -> None:
    for name in photogenic.__all__:
        assert getattr(photogenic, name) is not None
    assert set(photogenic.__all__) <= set(dir(photogenic))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = photogenic.nonsense


def test_a_mistyped_path_builds_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="There is no store"):
        FeatureStore(tmp_path / "nowhere").build()
    assert not (tmp_path / "nowhere").exists()


def test_a_missing_store_is_named_before_its_missing_parts(tmp_path: Path) -> None:
    nowhere = FeatureStore(tmp_path / "nowhere")
    for ask in (nowhere.train, lambda: nowhere.similar("p1")):
        with pytest.raises(StoreError, match="There is no store"):
            ask()


def test_unknown_steps_and_encoders_are_refused(store: FeatureStore) -> None:
    with pytest.raises(InputError, match="labels, faces, embeddings, features, index"):
        store.build(only="everything")  # type: ignore[arg-type]
    with pytest.raises(EncoderError, match="dlib_face"):
        store.build(encoders=["dlib_fac"])


def test_without_pictures_labels_are_built_with_a_note(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "store", settings=SETTINGS)
    with store.database.write("test"):
        pass
    report = store.build()
    assert report.labels is not None
    assert report.computed is None
    assert "No photo of the store has a picture" in report.notes[0]
    assert store.sql("select count(*) from embeddings").item() == 0


def test_the_relation_embeddings_is_written_once(store: FeatureStore) -> None:
    report = store.build(only="index")
    assert sorted(report.indices) == ["toy_a", "toy_b"]
    told = store.sql("select encoder, dim, n_photos, index_kind, recall_at_10, index_bytes from embeddings order by 1")
    assert told.rows() == [("toy_a", 3, N, "Flat", 1.0, N * 12), ("toy_b", 2, N - 5, "Flat", 1.0, (N - 5) * 8)]
    before = store.layout.snapshot.stat().st_ino
    store.build(only="index")
    assert store.layout.snapshot.stat().st_ino == before


def test_new_vectors_leave_the_index_out_until_it_is_made_again(store: FeatureStore) -> None:
    store.build(only="index")
    put_vectors(store.layout, "toy_a", ["p00"], np.ones((1, 3)))
    assert store.status()["embeddings"]["toy_a"]["index_stale"]
    store.build(only="labels")
    kinds = dict(store.sql("select encoder, index_kind from embeddings").rows())
    assert kinds == {"toy_a": None, "toy_b": "Flat"}
    store.build(only="index", encoders=["toy_a"])
    assert dict(store.sql("select encoder, n_photos from embeddings").rows()) == {"toy_a": 1, "toy_b": N - 5}
    assert not store.status()["embeddings"]["toy_a"]["index_stale"]


def test_similar_uses_new_vectors_of_the_store(store: FeatureStore) -> None:
    store.build(only="index")
    found = store.similar("p10", k=2, encoder="toy_a")
    assert found["photo_id"].to_list() == ["p09", "p11"]
    np.testing.assert_allclose(found["distance"], np.sqrt(27))
    put_vectors(store.layout, "toy_a", ["p10", "p30"], np.array([[0, 0, 0], [1, 0, 0]]))
    store.build(only="index")
    assert store.similar("p10", k=2, encoder="toy_a")["photo_id"].to_list() == ["p30"]
    assert store.similar("p10", k=1)["photo_id"].to_list() == ["p30"]  # toy_a is the first encoder


def test_training_set_joins_by_id(store: FeatureStore) -> None:
    found = store.training_set("like_ratio", encoder=["toy_a", "toy_b"], setup="all")
    assert repr(found).startswith("TrainingSet('like_ratio', encoder='toy_a+toy_b', setup='all': ")
    assert len(repr(found)) < 120  # in a notebook, the arrays would fill pages
    assert found.photo_ids == [f"p{i:02d}" for i in range(5, N)]
    assert found.n_without_vector == 5
    assert found.X.dtype == np.float32
    rows = np.array([int(name[1:]) for name in found.photo_ids])
    np.testing.assert_array_equal(found.X[:, 0], 3 * rows)
    np.testing.assert_array_equal(found.X[:, 3], -2 * (rows - 5))
    known = store.sql("select * from photo_labels join photo_setups using (photo_id) where setup = 'all'").sort(
        "photo_id"
    )
    known = known.filter(pl.col("photo_id").is_in(found.photo_ids))
    np.testing.assert_allclose(found.y, known["value"], rtol=1e-6)
    np.testing.assert_array_equal(found.weight, known["weight"])
    assert found.split == known["split"].to_list()
    assert found.user_ids == known["user_id"].to_list()
    assert found.gender == known["gender"].to_list()
    joined = store.training_set("like_ratio", encoder="toy_a+toy_b", setup="all")
    np.testing.assert_array_equal(joined.X, found.X)


def test_training_set_by_split_and_target(store: FeatureStore) -> None:
    every = store.training_set("popular", encoder="toy_a", setup="all")
    assert set(every.y.tolist()) == {0.0, 1.0}
    parts = [
        store.training_set("popular", encoder="toy_a", setup="all", split=split) for split in ("train", "dev", "test")
    ]
    assert sum(map(len, parts)) == len(every) == N
    assert all(set(part.split) <= {split} for part, split in zip(parts, ("train", "dev", "test"), strict=True))
    gender = store.training_set("gender", encoder="toy_a", setup="all")
    assert len(gender) == N // 2
    assert [(g, y) for g, y in zip(gender.gender, gender.y, strict=True)] == [("female", 1.0), ("male", 0.0)] * (N // 4)
    with pytest.raises(InputError, match="like_ratio, popular, gender"):
        store.training_set("likes", encoder="toy_a")  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="toy_c"):
        store.training_set("popular", encoder="toy_c")


def test_one_face_is_empty_without_faces(store: FeatureStore) -> None:
    found = store.training_set("like_ratio", encoder="toy_a", setup="one_face")
    assert found.X.shape == (0, 3)


def test_status_is_one_object_for_json(store: FeatureStore) -> None:
    store.build(only="index")
    found = json.loads(json.dumps(store.status()))
    assert found["relations"]["photos"] == N
    assert found["relations"]["swipes"] == store.sql("select count(*) from swipes").item()
    assert found["relations"]["embeddings"] == 2
    assert found["photos"] == {"ok": N}
    assert found["embeddings"]["toy_b"]["index"]["recall_at_10"] == 1.0
    assert found["writer"] is None
    assert found["snapshot_at"].endswith("Z")
    with store.database.lock("a test"):
        assert "a test" in store.status()["writer"]


def test_held_encoders_are_found_by_their_manifests(store: FeatureStore) -> None:
    assert held_encoders(store.layout) == ["toy_a", "toy_b"]
    store.build(only="index", encoders=["toy_b"])
    assert [known.encoder for known in index.manifests(store.layout)] == ["toy_b"]


def test_status_reports_what_a_build_would_change(store: FeatureStore, tmp_path: Path) -> None:
    assert store.status()["labels"]["stale"] is False
    (tmp_path / "more.csv").write_text("sender_id,recipient_id,liked,swiped_at\nx,u-p00,1,2024-03-01\n")
    store.ingest_swipes(tmp_path / "more.csv")
    assert store.status()["labels"]["changed"] == ["swipes"]
    store.build(only="labels")
    assert store.status()["labels"]["stale"] is False
    (tmp_path / "same.csv").write_text("user_id,gender\nu-p00,female\n")  # unchanged values: labels stay up to date
    store.ingest_users(tmp_path / "same.csv")
    assert store.status()["labels"]["changed"] == []


def test_computing_faces_keeps_the_options_of_the_labels(store: FeatureStore) -> None:
    with store.database.write("test") as con:
        con.execute("delete from facts.photo_files")
    options = LabelOptions(min_swipes=10, earliest_post=dt.datetime(2012, 1, 1))
    store.build(only="labels", as_of=dt.datetime(2025, 1, 1), publish=True, labels=options)
    before = store.sql("select * from photo_labels").sort("photo_id")
    assert before["weight"].min() >= 10
    report = store.build(only="faces")
    assert report.labels is not None
    assert (report.labels.options, report.labels.as_of) == (options, dt.datetime(2025, 1, 1))
    assert store.sql("select * from photo_labels").sort("photo_id").equals(before)


def test_a_directory_with_one_corrupt_file_in_a_hundred(tmp_path: Path) -> None:
    """Damaged files are counted by status, other files get vectors, and repaired files follow in the next build."""
    images, n = tmp_path / "images", 300
    images.mkdir()
    for i in range(n):
        (images / f"p{i:03d}.jpg").write_bytes(portrait(i % 50, size=128) + b"%03d" % i)
    whole = {i: (images / f"p{i:03d}.jpg").read_bytes() for i in (7, 100, 250)}
    (images / "p007.jpg").write_bytes(whole[7][: len(whole[7]) // 2])  # cut short
    (images / "p100.jpg").write_bytes(b"\x00" * 1000)  # not a picture
    (images / "p250.jpg").write_bytes(whole[250][:20] + b"\xff\xd8" * 400)  # headers overwritten
    ids = [f"p{i:03d}" for i in range(n)]
    table = pl.DataFrame({"photo_id": ids, "user_id": ids, "path": [f"{photo_id}.jpg" for photo_id in ids]})
    table.write_csv(tmp_path / "photos.csv")
    store = FeatureStore(tmp_path / "store", settings=SETTINGS)
    store.ingest_photos(tmp_path / "photos.csv", images=images)
    store.build(encoders=["efficientnet_lite0"])
    counts = dict(store.sql("select status, count(*) from photos group by all").iter_rows())
    assert counts.pop("ok") == n - 3
    assert sum(counts.values()) == 3
    assert counts.keys() <= {"truncated", "not_an_image", "unreadable"}
    assert store.sql("select n_photos from embeddings").item() == n - 3
    for i, data in whole.items():
        (images / f"p{i:03d}.jpg").write_bytes(data)
    store.ingest_photos(tmp_path / "photos.csv", images=images)
    store.build(encoders=["efficientnet_lite0"])
    assert store.sql("select status, count(*) from photos group by all").rows() == [("ok", n)]
    assert store.sql("select n_photos from embeddings").item() == n


def test_one_file_or_name_may_stand_for_a_list(store: FeatureStore, tmp_path: Path) -> None:
    missing = tmp_path / "missing.jpg"
    for given in (missing, str(missing), [missing]):
        with pytest.raises(PhotogenicError, match=r"trained|missing"):
            store.predict(given)
    with pytest.raises(EncoderError, match="'nonsense'"):
        store.build(encoders="nonsense")
    with pytest.raises(InputError, match="1 of 1"):
        store.erase("nobody")
