"""Neighbors of a sample by two encoders against a brute force, and the photos that only one of them has."""

import numpy as np
import polars as pl
import pytest

from photogenic.features.compare import neighborhoods
from photogenic.features.compare.neighborhoods import draw, search
from photogenic.features.compare.shared_photos import SharedPhotos
from photogenic.warehouse import InputError, Store, StoreError, no_progress
from tests.features.toy import database, put_photos, put_vectors

N = 60


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Photos p00 to p59 of both genders and none; `near_a` has p00 to p54, `near_b` p05 to p59 in another metric."""
    db, rng = database(tmp_path_factory.mktemp("compared")), np.random.default_rng(0)
    ids = [f"p{at:02d}" for at in range(N)]
    genders = [("female", "male", None)[at % 3] for at in range(N)]
    put_photos(db, pl.DataFrame({"photo_id": ids, "gender": genders, "n_likes": [1] * N, "n_swipes": [2] * N}))
    put_vectors(db.layout, "near_a", ids[:55], rng.normal(size=(55, 4)).astype("f4"))
    put_vectors(db.layout, "near_b", ids[5:], rng.normal(size=(55, 6)).astype("f4"), metric="cosine")
    return Store(db)


def brute_force(X, metric, queries, k, allowed):
    found = np.full((len(queries), k), -1)
    for at, query in enumerate(queries):
        X64, q = X.astype(np.float64), X[query].astype(np.float64)
        if metric == "l2":
            distance = np.linalg.norm(X64 - q, axis=1)
        else:
            distance = 1 - X64 @ q / (np.linalg.norm(X64, axis=1) * np.linalg.norm(q))
        order = [row for row in np.lexsort((np.arange(len(X)), distance)) if row != query and allowed(query, row)][:k]
        found[at, : len(order)] = order
    return found


@pytest.mark.parametrize("block_bytes", [10**6, 1])
def test_neighbors_are_those_of_a_brute_force_in_blocks_of_any_size(store, monkeypatch, block_bytes):
    monkeypatch.setattr(neighborhoods, "_BLOCK_BYTES", block_bytes)
    monkeypatch.setattr(neighborhoods, "_QUERIES", 7)
    shared = SharedPhotos.of(store, "near_a", "near_b")
    queries, k = draw(len(shared), 20, seed=1), 55
    near = search(shared, queries, k, no_progress)
    genders = shared.photos["gender"].to_list()
    ids = shared.photos["photo_id"].to_list()
    for name, metric, everywhere, within in (
        ("near_a", "l2", near.all_a, near.within_a),
        ("near_b", "cosine", near.all_b, near.within_b),
    ):
        vectors = shared.a if name == "near_a" else shared.b
        X = vectors.read(ids)[1]
        assert (everywhere == brute_force(X, metric, queries, k, lambda _, __: True)).all()
        assert (within == brute_force(X, metric, queries, k, lambda q, row: genders[q] == genders[row])).all()


def test_photos_are_counted_by_the_encoders_that_have_them(store):
    shared = SharedPhotos.of(store, "near_a", "near_b")
    counts = shared.counts
    assert (counts.both, counts.only_a, counts.only_b, counts.neither, counts.changed) == (50, 5, 5, 0, 0)
    rows = [row["n_photos"] for row in shared.rows()]
    assert sum(rows[:-1]) == rows[-1] == N


def test_a_sample_is_drawn_again_by_its_seed():
    assert draw(10, 10, 0).tolist() == list(range(10))
    assert draw(100, 5, 3).tolist() == draw(100, 5, 3).tolist() == sorted(set(draw(100, 5, 3).tolist()))
    assert draw(100, 5, 3).tolist() != draw(100, 5, 4).tolist()


def test_a_deleted_photo_is_in_no_count(store):
    with store.database.write("test") as con:
        con.execute(
            "insert into facts.photos (photo_id, user_id, ingested_at, updated_at, deleted_at) values"
            " ('p10', 'u-p10', now()::timestamp, now()::timestamp, now()::timestamp)"
        )
    try:
        shared = SharedPhotos.of(store, "near_a", "near_b")
        assert shared.counts.n_photos == N - 1
        assert "p10" not in shared.photos["photo_id"]
    finally:
        with store.database.write("test") as con:
            con.execute("delete from facts.photos where deleted_at is not null")


@pytest.mark.parametrize(
    ("names", "said", "remedy"),
    [
        (("near_a", "near_a"), "Both encoders are near_a", "features compare near_a near_b"),
        (("near_a", "nearb"), "no vectors of 'nearb'", "near_b"),
        (("near_a", "timm:x"), "no vectors of 'timm:x'", "features build --encoder timm:x"),
        (("../../etc", "near_b"), "no vectors of '../../etc'", "features build --encoder"),
        (("", "near_b"), "no vectors of ''", "features build --encoder"),
    ],
)
def test_names_that_cannot_be_compared_are_refused_with_a_remedy(store, names, said, remedy):
    with pytest.raises(InputError) as refused:
        SharedPhotos.of(store, *names)
    assert said in refused.value.what
    assert remedy in refused.value.remedy


def test_a_store_that_is_not_there_is_said_so(tmp_path):
    with pytest.raises(StoreError, match="There is no store"):
        SharedPhotos.of(Store(database(tmp_path)), "near_a", "near_b")
