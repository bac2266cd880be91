"""Training on a store: runs, predictions, repeated calls and killed calls."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from photogenic import models
from photogenic.models.data.samples import read_vectors
from photogenic.models.data.split_config import SplitConfig
from photogenic.models.evaluation.metrics import mse
from photogenic.models.heads.model import members
from photogenic.models.runs import run_store
from photogenic.warehouse import InputError, StoreError
from photogenic.warehouse.progress import no_progress
from tests.models.planted import QUICK, planted, put_mirrors, train

pytestmark = pytest.mark.slow


class Notes:
    """Progress callback that stores the notes."""

    def __init__(self):
        self.notes = []
        self.stage = no_progress.stage

    def note(self, text):
        self.notes.append(text)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return planted(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def board(store):
    return train(store, ["like_ratio", "gender"], ["toy_a", "toy_a+toy_b"], ["0fc", "1fc"], "all", grid=QUICK)


def test_every_combination_is_a_run_with_predictions(store, board):
    assert board.n_trained == 8
    assert board.frame.select("target", "encoder", "head").n_unique() == 8
    assert sorted(board.frame["run_id"]) == sorted(store.sql("from runs")["run_id"])
    counts = store.sql(
        "select run_id, encoder, count(*) as n, count(*) filter (where split is null) as n_unlabelled, "
        "min(prediction) as low, max(prediction) as high "
        "from predictions join runs using (run_id) where target = 'like_ratio' group by all"
    )
    assert set(counts.select("encoder", "n", "n_unlabelled").iter_rows()) == {
        ("toy_a", 165, 5),
        ("toy_a+toy_b", 155, 5),
    }
    assert counts["low"].min() >= 0
    assert counts["high"].max() <= 1


def test_test_and_baseline_follow_from_the_published_predictions(store, board):
    for row in board.frame.filter(target="like_ratio").to_dicts():
        own = store.training_set("like_ratio", encoder=row["encoder"], setup="all")
        split, y, w = np.array(own.split), own.y.astype(float), own.weight.astype(float)
        said = dict(store.sql(f"select photo_id, prediction from predictions where run_id = '{row['run_id']}'").rows())
        p = np.array([said[photo_id] for photo_id in own.photo_ids])
        test, rest = split == "test", split == "train"
        assert row["test"] == pytest.approx(((p - y)[test] ** 2 * w[test]).sum() / w[test].sum())
        constant = (y * w)[rest].sum() / w[rest].sum()
        assert row["baseline"] == pytest.approx(mse(y[test], np.full(test.sum(), constant), w[test]))
        assert row["gain"] == pytest.approx(row["baseline"] / row["test"])
        assert row["low"] < row["test"] < row["high"]
        assert row["n_train"] == rest.sum()


def test_a_planted_rule_is_learned(board):
    for row in board.frame.filter(target="like_ratio").to_dicts():
        assert row["gain"] > 3
        assert row["spearman"] > 0.8
        assert row["test"] < 4 * row["noise_floor"]
    for row in board.frame.filter(target="gender").to_dicts():
        assert row["test"] > 0.9 > row["baseline"]


def test_people_of_unknown_gender_are_not_in_gender_heads(store, board):
    assert set(board.frame.filter(target="gender", encoder="toy_a")["n_train"]) < set(range(130))
    known = store.training_set("gender", encoder="toy_a", setup="all")
    assert board.frame.filter(target="gender", encoder="toy_a")["n_test"][0] == known.split.count("test")


def test_the_same_call_again_trains_nothing_and_notes_it(store, board):
    listener, before = Notes(), store.sql("select count(*) as n from predictions")["n"][0]
    again = train(
        store, ["like_ratio", "gender"], ["toy_a", "toy_a+toy_b"], ["0fc", "1fc"], "all", grid=QUICK, progress=listener
    )
    assert again.n_trained == 0
    assert again.frame.equals(board.frame)
    assert any("8 of 8 heads were trained on the same data before" in note for note in listener.notes)
    assert store.sql("select count(*) as n from predictions")["n"][0] == before


def test_another_seed_gives_another_run_and_only_missing_heads_are_trained(store, board):
    one = train(store, "like_ratio", ["toy_b"], ["0fc"], "all", grid=QUICK)
    two = train(store, "like_ratio", ["toy_b"], ["0fc", "1fc"], "all", grid=QUICK)
    other = train(store, "like_ratio", ["toy_b"], ["0fc"], "all", grid=QUICK, seed=1)
    assert (one.n_trained, two.n_trained, other.n_trained) == (1, 1, 1)
    assert set(one.frame["run_id"]) < set(two.frame["run_id"])
    assert not set(one.frame["run_id"]) & set(other.frame["run_id"])


def test_a_head_does_not_depend_on_the_other_heads(store, tmp_path):
    alone = train(store, "like_ratio", ["toy_a"], ["1fc"], "all", grid=QUICK)
    run, model = run_store.load(store.layout, alone.frame["run_id"][0])
    fresh = planted(tmp_path)
    train(fresh, ["popular", "like_ratio"], ["toy_a"], ["2fc", "0fc", "1fc"], "all", grid=QUICK)
    twin, same = run_store.load(fresh.layout, run.run_id)
    assert twin.results["curve"] == pytest.approx(np.array(run.results["curve"]), abs=1e-6)
    for name, array in model.arrays.items():
        np.testing.assert_allclose(same.arrays[name], array, atol=1e-5)


def test_the_same_seed_gives_the_same_bits(store, board, tmp_path):
    fresh = planted(tmp_path)
    again = train(fresh, ["like_ratio", "gender"], ["toy_a", "toy_a+toy_b"], ["0fc", "1fc"], "all", grid=QUICK)
    assert again.frame.drop("created_at").equals(board.frame.drop("created_at"))
    for run_id in again.frame["run_id"]:
        a, b = (run_store.load(where.layout, run_id)[0].weights_sha256 for where in (fresh, store))
        assert a == b


def test_a_manifest_describes_the_run_and_its_weights(store, board):
    run_id = board.frame["run_id"][0]
    folder = store.layout.models / run_id
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["weights_sha256"] == hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    assert set(manifest["encoder_digests"]) == set(manifest["encoder"].split("+"))
    assert manifest["hyperparameters"]["seed"] == 0
    assert manifest["hyperparameters"]["small_set"] is True
    assert manifest["hyperparameters"]["most_updates"] == 120
    assert len(manifest["results"]["grid"]) == 2
    run, model = run_store.load(store.layout, run_id)
    ids, X = read_vectors(store.layout, run.encoder)
    held = store.sql(f"select photo_id, prediction from predictions where run_id = '{run_id}' order by photo_id")
    assert held["photo_id"].to_list() == ids
    np.testing.assert_allclose(model.predict(X), held["prediction"].to_numpy(), atol=1e-7)


def test_weights_that_differ_from_the_manifest_are_refused(store, board):
    run_id = train(store, "popular", ["toy_b"], ["0fc"], "all", grid=QUICK).frame["run_id"][0]
    path = store.layout.models / run_id / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(StoreError, match="SHA-256"):
        run_store.load(store.layout, run_id)


@pytest.mark.parametrize("killed_in", ["manifest", "record", "snapshot"])
def test_the_same_call_continues_after_a_kill_between_weights_manifest_rows_and_snapshot(tmp_path, killed_in):
    store = planted(tmp_path)
    code = f"""
import os
from pathlib import Path
from photogenic import FeatureStore
from photogenic.models.runs import run_store
import photogenic.warehouse.storage.layout
from photogenic.warehouse import Database
from tests.features.toy import toy_encoder
from tests.models.planted import QUICK, train
toy_encoder("toy_a", 4, "l2")
write = photogenic.warehouse.storage.layout.write_atomically
def dying(path, data):
    if {killed_in!r} == "manifest" and path.name == "manifest.json":
        os._exit(9)
    write(path, data)
def gone(*_):
    os._exit(9)
run_store.write_atomically = dying
if {killed_in!r} == "record":
    run_store.record = gone
if {killed_in!r} == "snapshot":
    Database.publish = gone
train(FeatureStore({str(store.layout.root)!r}), "like_ratio", ["toy_a"], ["0fc", "1fc"], "all", grid=QUICK)
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
    )
    assert done.returncode == 9
    held = [path.parent.name for path in store.layout.models.glob("*/weights.safetensors")]
    finished = [name for name in held if run_store.finished(store.layout, name)]
    assert (len(held), len(finished)) == ((1, 0) if killed_in == "manifest" else (2, 2))
    assert store.sql("from runs").is_empty()

    board = train(store, "like_ratio", ["toy_a"], ["0fc", "1fc"], "all", grid=QUICK)
    assert board.n_trained == (2 if killed_in == "manifest" else 0)
    assert len(board.frame) == 2
    assert store.sql("select count(*) as n from predictions")["n"][0] == 2 * 165


ALL_HEADS = ["0fc", "1fc", "2fc", "ridge", "kernel", "random_forest"]


def test_shuffled_labels_cannot_be_learned(tmp_path):
    shuffled = planted(tmp_path, n=400, shuffled=True)
    board = train(shuffled, "like_ratio", ["toy_a"], ALL_HEADS, "all", grid=QUICK)
    assert len(board.frame) == len(ALL_HEADS)
    for run_id in board.frame["run_id"]:
        low, _ = run_store.load(shuffled.layout, run_id)[0].results["intervals"]["r2"]
        assert low <= 0


def test_with_folds_each_photo_is_predicted_by_the_head_that_was_trained_without_it(store):
    board = train(store, "like_ratio", ["toy_a"], ["0fc", "kernel"], "all", division=SplitConfig(folds=3), grid=QUICK)
    own = store.training_set("like_ratio", encoder="toy_a", setup="all")
    assert set(board.frame["n_test"]) == {len(own)}
    for row in board.frame.to_dicts():
        run, model = run_store.load(store.layout, row["run_id"])
        said = store.sql(f"from predictions where run_id = '{row['run_id']}' order by photo_id")
        assert said["split"].to_list().count("test") == len(own) == len(said) - 5
        heads = [head.predict(own.X) for head, _ in members(model)]
        p = said.filter(split="test")["prediction"].to_numpy()
        assert len(heads) == 3
        assert np.all(np.min([np.abs(head - p) for head in heads], axis=0) < 1e-12)
        assert row["test"] == pytest.approx(mse(own.y, p, own.weight))
        assert [audit["users"] for audit in run.results["leakage"]] == [0, 0, 0]
        new = said.filter(pl.col("split").is_null())["prediction"].to_numpy()
        _, X = read_vectors(store.layout, "toy_a")
        np.testing.assert_allclose(new, model.predict(X)[-5:])


def test_mirror_images_are_used_in_train_only(tmp_path):
    store = planted(tmp_path)
    with pytest.raises(StoreError, match="mirror image"):
        train(store, "like_ratio", ["toy_a"], ["ridge"], "all", flip=True)
    _, X = read_vectors(store.layout, "toy_a")
    put_mirrors(store.layout, "toy_a", X + 1)
    plain = train(store, "like_ratio", ["toy_a"], ["ridge", "0fc"], "all", grid=QUICK).frame
    both = train(store, "like_ratio", ["toy_a"], ["ridge", "0fc"], "all", flip=True, grid=QUICK).frame
    assert both["n_train"].to_list() == plain["n_train"].to_list()
    assert both["n_test"].to_list() == plain["n_test"].to_list()
    assert not set(both["run_id"]) & set(plain["run_id"])
    _, model = run_store.load(store.layout, both.filter(head="ridge")["run_id"][0])
    _, without = run_store.load(store.layout, plain.filter(head="ridge")["run_id"][0])
    np.testing.assert_allclose(model.arrays["mean"], without.arrays["mean"] + 0.5, atol=1e-4)


@pytest.mark.parametrize("folds", [0, 3])
def test_an_ensemble_is_the_mean_of_all_heads_asked_for(store, folds):
    heads, division = ["0fc", "ridge", "kernel", "ensemble"], SplitConfig(folds=folds)
    board = train(store, "like_ratio", ["toy_a", "toy_b"], heads, "all", division=division, grid=QUICK)
    said = {
        row["run_id"]: dict(
            store.sql(f"select photo_id, prediction from predictions where run_id = '{row['run_id']}'").rows()
        )
        for row in board.frame.to_dicts()
    }
    (mixed,) = board.frame.filter(head="ensemble")["run_id"]
    parts = [own for run_id, own in said.items() if run_id != mixed]
    assert (len(parts), len(said[mixed])) == (6, 155)
    # With folds, a photo is predicted by the heads of its own fold in both cases.
    for photo_id, prediction in said[mixed].items():
        assert prediction == pytest.approx(np.mean([own[photo_id] for own in parts]), abs=1e-6)
    again = train(store, "like_ratio", ["toy_a", "toy_b"], heads, "all", division=division, grid=QUICK)
    assert again.n_trained == 0
    assert [len(one.comparisons) for one in again.comparisons] == [7]


def test_slices_are_on_the_leaderboard_and_those_by_gender_in_the_run(store, tmp_path):
    (tmp_path / "kinds.csv").write_text(
        "photo_id,kind\n" + "\n".join(f"p{i:03d},{'odd' if i % 2 else 'even'}" for i in range(160))
    )
    board = train(store, "like_ratio", ["toy_a"], ["ridge"], "all", slices=tmp_path / "kinds.csv")
    found = {(part.column, part.value): part for _, part in board.slices}
    assert set(found) == {("kind", "odd"), ("kind", "even"), *(("gender", g) for g in ("female", "male", "unknown"))}
    n_test = board.frame["n_test"][0]
    assert found["kind", "odd"].n_photos + found["kind", "even"].n_photos == n_test
    run, _ = run_store.load(store.layout, board.frame["run_id"][0])
    assert {(part["column"], part["value"]) for part in run.results["slices"]} == {k for k in found if k[0] == "gender"}


def test_invalid_options_are_refused(store):
    with pytest.raises(InputError, match=r"'3fc' is not a head[\s\S]*0fc, 1fc, 2fc"):
        train(store, "like_ratio", ["toy_a"], ["3fc"], "all")
    with pytest.raises(InputError, match=r"'likeratio' is not a target[\s\S]*--target like_ratio"):
        train(store, "likeratio", ["toy_a"], setup="all")
    with pytest.raises(InputError, match="'both' is not a setup"):
        train(store, "like_ratio", ["toy_a"], setup="both")
    with pytest.raises(InputError, match="train split of like_ratio"):
        train(store, "like_ratio", ["toy_a"], setup="one_face")
    with pytest.raises(InputError, match="Nothing to train"):
        train(store, "like_ratio", ["dlib_face"], setup="all")


def test_importing_models_loads_nothing_heavy_and_every_export_exists():
    code = "import sys, models; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not loaded & {"torch", "sklearn", "polars", "duckdb", "numpy"}
    assert list(models.__all__) == sorted(models.__all__)
    for name in models.__all__:
        assert getattr(models, name) is not None


@pytest.mark.parametrize("seed", [2**32, 2**64 - 1])
def test_every_seed_of_the_range_trains_every_kind_of_head(tmp_path, seed):
    heads = ["0fc", "logistic", "linear_svm", "random_forest", "kernel"]
    board = train(planted(tmp_path, n=60), "gender", ["toy_a"], heads, "all", grid=QUICK, seed=seed)
    assert board.n_trained == len(heads)
