"""Removing the vectors of an encoder: what goes, what stays, and a removal that was killed."""

import contextlib
import json
import shutil

import numpy as np
import polars as pl
import pytest

from photogenic import FeatureStore
from photogenic.features.build import held_encoders
from photogenic.features.search import index as indices
from photogenic.features.similarity import near_duplicates
from photogenic.features.similarity.relations import update_similarity
from photogenic.features.vectors import removal
from photogenic.features.vectors.removal import plan_removal, remove_vectors
from photogenic.warehouse import InputError, LockedError, Store
from tests.features.toy import SETTINGS, put_photos, put_vectors

N = 30


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """`old` and `timm:new/1` with indices and neighbors; run r1 on both is promoted, r2 reads `old` alone."""
    opened, rng = FeatureStore(tmp_path_factory.mktemp("made") / "store", settings=SETTINGS), np.random.default_rng(0)
    ids = [f"p{at:02d}" for at in range(N)]
    genders = ["female", "male"] * (N // 2)
    put_photos(
        opened.database, pl.DataFrame({"photo_id": ids, "gender": genders, "n_likes": [1] * N, "n_swipes": [2] * N})
    )
    for name in ("old", "timm:new/1"):
        put_vectors(opened.layout, name, ids, rng.normal(size=(N, 4)).astype("f4"), metric="cosine")
        indices.build(opened.store, name)
    update_similarity(opened.store, ["old", "timm:new/1"], k=3)
    with opened.database.write("test") as con:
        con.execute("insert into facts.embeddings select 'old', 4, 30, 'photo', '', 'Flat', 1, 1, 1")
        for run, encoder in (("r1", "timm:new/1+other"), ("r2", "old"), ("r3", "older")):
            con.execute(
                "insert into facts.runs by name select $1 as run_id, 'like_ratio' as target, 'all' as setup,"
                " $2 as encoder, '0fc' as head, 'mse' as metric, 0.1 as dev, 0.1 as test, 0.1 as baseline,"
                " 1 as n_train, 1 as n_test, '{}' as hyperparameters, '{}' as results,"
                " timestamp '2024-01-01' as created_at, 'trained' as origin",
                [run, encoder],
            )
        con.execute("insert into facts.promoted_runs values ('like_ratio', 'r1', timestamp '2024-01-01')")
    opened.close()
    return opened.layout.root


@pytest.fixture
def store(made, tmp_path):
    """A copy of it."""
    shutil.copytree(made, tmp_path / "store")
    with FeatureStore(tmp_path / "store", settings=SETTINGS) as opened:
        yield opened


def left(store, name):
    """What is left of an encoder: folders, rows of three tables."""
    folders = [path.exists() for path in (store.layout.embeddings(name), store.layout.index(name))]
    rows = [
        store.database.rows(f"select count(*) from facts.{table} where encoder = $1", [name])[0][0]
        for table in ("embeddings", "neighbours", "neighbour_sets")
    ]
    return folders, rows


def test_a_plan_counts_what_would_go_and_changes_nothing(store):
    plan = plan_removal(store.store, "old")
    assert (plan.n_photos, plan.n_neighbours, plan.runs, plan.promoted) == (N, 3 * N, ("r2",), ())
    files = list(store.layout.embeddings("old").iterdir())
    assert plan.n_files > len(files)
    assert plan.n_bytes > N * 4 * 4 * 2
    assert left(store, "old") == ([True, True], [1, 3 * N, 1])
    assert store.remove_vectors("old", plan=True) == [plan]


def test_vectors_index_neighbors_and_rows_go_and_those_of_others_stay(store):
    kept = left(store, "timm:new/1")
    assert store.remove_vectors("old")[0].n_photos == N
    assert left(store, "old") == ([False, False], [0, 0, 0])
    assert left(store, "timm:new/1") == kept
    assert held_encoders(store.layout) == ["timm:new/1"]
    assert store.sql("select run_id from runs order by all")["run_id"].to_list() == ["r1", "r2", "r3"]
    assert store.similar("p03", k=2)["photo_id"].len() == 2  # by the other encoder
    with pytest.raises(InputError, match="no vectors of 'old'"):
        store.remove_vectors("old")


def test_vectors_of_a_promoted_run_stay_unless_forced(store):
    with pytest.raises(InputError) as refused:
        store.remove_vectors(["old", "timm:new/1"])
    assert "promoted for like_ratio" in refused.value.what
    assert left(store, "old") == ([True, True], [1, 3 * N, 1])  # all or nothing
    store.remove_vectors("timm:new/1", force=True)
    assert left(store, "timm:new/1") == ([False, False], [0, 0, 0])


@pytest.mark.parametrize("at", range(6))
def test_a_killed_removal_is_completed_by_the_same_call(store, monkeypatch, at):
    """The removal ends before its n-th step: two manifests, the rows, two folders, nothing."""
    steps = iter(range(99))

    def step(call):
        def stepped(*args, **kwargs):
            if next(steps) == at:
                raise KeyboardInterrupt
            return call(*args, **kwargs)

        return stepped

    with monkeypatch.context() as patch:
        patch.setattr(removal.Path, "unlink", step(removal.Path.unlink))
        patch.setattr(removal.shutil, "rmtree", step(removal.shutil.rmtree))
        with contextlib.suppress(KeyboardInterrupt):
            remove_vectors(store.store, ["old"])
    with contextlib.suppress(InputError):  # the first call had removed everything
        remove_vectors(store.store, ["old"])
    assert left(store, "old") == ([False, False], [0, 0, 0])
    assert store.similar("p03", k=2, encoder="timm:new/1")["photo_id"].len() == 2


def test_near_duplicates_are_found_again_by_the_next_build(store):
    state = near_duplicates.stale(store.store, near_duplicates.DuplicateSettings())
    with store.database.write("test") as con:
        con.execute(f"comment on table facts.near_duplicates is '{json.dumps(state)}'")
    assert near_duplicates.stale(store.store) is None
    by = plan_removal(store.store, "old").near_duplicates
    assert by != plan_removal(store.store, "timm:new/1").near_duplicates
    store.remove_vectors("old" if by else "timm:new/1", force=True)
    assert near_duplicates.stale(store.store) is not None


def test_a_name_that_is_no_encoder_is_refused_and_nothing_outside_is_touched(store, tmp_path):
    (tmp_path / "keep").mkdir()
    for name in ("odl", "../keep", "..", "", "old/../../../keep"):
        with pytest.raises(InputError, match="no vectors of"):
            remove_vectors(store.store, [name])
    assert (tmp_path / "keep").is_dir()
    assert left(store, "old") == ([True, True], [1, 3 * N, 1])


def test_another_writer_is_waited_for(store):
    with store.database.lock("other"), pytest.raises(LockedError):
        remove_vectors(Store(FeatureStore(store.layout.root, settings=SETTINGS).database), ["old"])
