"""A network learns from the drawn portraits of a small world; it is then an encoder and a run."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from photogenic import FeatureStore
from photogenic.features.encoders.finetuned import trainable
from photogenic.features.encoders.registry import encoder, encoders
from photogenic.models.data.split_config import SplitConfig
from photogenic.models.predict import predict
from photogenic.models.runs import run_store
from photogenic.synthetic.swipes.world import make_world
from photogenic.warehouse import EncoderError, InputError, StoreError, WeightsError
from tests.models.planted import QUICK as QUICK_GRID
from tests.models.planted import finetune, train

QUICK = {"recipe": "published", "iterations": 7, "batch_size": 8, "setup": "all", "device": "cpu"}
DIVISION = SplitConfig("3:1")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A store with labels and faces, without vectors."""
    folder = tmp_path_factory.mktemp("world")
    made = make_world(folder, users=40, swipes=2_000, seed=3)
    with FeatureStore(folder / "store") as store:
        store.ingest_users(made.users)
        store.ingest_photos(made.photos, images=made.images)
        store.ingest_main_photos(made.main_photos)
        store.ingest_swipes(*made.swipes)
        store.build(encoders=["efficientnet_lite0"])
    return folder / "store"


@pytest.fixture(scope="module")
def tuned(world, tmp_path_factory):
    """A store in which a network was fine-tuned, and the leaderboard of the call."""
    folder = tmp_path_factory.mktemp("tuned") / "store"
    shutil.copytree(world, folder)
    with FeatureStore(folder) as store:
        train(store, "like_ratio", ["efficientnet_lite0"], ["0fc"], "all", division=DIVISION, grid=QUICK_GRID)
        yield store, finetune(store, **QUICK)


def name_of(board):
    (name,) = board.frame.filter(head="finetuned")["encoder"]
    return name


def folder_of(store, name):
    return store.layout.models / name.partition("@")[2]


def test_the_network_is_a_run_with_a_row_and_predictions(tuned):
    store, board = tuned
    assert board.n_trained == 1
    assert set(board.frame["head"]) == {"0fc", "finetuned"}
    assert len(board.comparisons[0].comparisons) == 2
    row = store.sql("from runs where head = 'finetuned'").to_dicts()[0]
    assert row["encoder"] == f"efficientnet_lite0@{row['run_id']}"
    told = json.loads(row["hyperparameters"])
    assert (told["recipe"], told["weights"], told["division"], told["iterations"]) == (
        "published",
        "published",
        "3:1",
        7,
    )
    found = json.loads(row["results"])
    assert found["leakage"][0]["users"] == found["leakage"][0]["bytes"] == 0
    assert [step for step, _ in found["curve"]] == list(range(1, 8))
    assert np.isfinite(row["test"])


def test_the_network_is_an_encoder_with_its_digest_in_the_manifest(tuned):
    store, board = tuned
    name = name_of(board)
    entry = encoder(name, store.layout.models)
    assert (entry.dim, entry.size, entry.input, entry.available) == (1280, 224, "photo", True)
    assert name in [one.name for one in encoders(store.layout.models)]
    facts = json.loads((folder_of(store, name) / "encoder.json").read_text())
    manifest = json.loads((store.layout.embeddings(name) / "manifest.json").read_text())
    assert facts["weights_sha256"] == manifest["weights_sha256"] == entry.backbone.weights_sha256()
    ids, X = store.embeddings(name)
    _, before = store.embeddings("efficientnet_lite0", ids)
    assert X.shape == before.shape
    assert 1e-5 < np.abs(X - before).mean() < np.abs(before).mean()
    assert store.sql(f"select n_photos from embeddings where encoder = '{name}'").item() == len(ids)
    assert len(store.similar(ids[0], k=3, encoder=name)) == 3


def test_the_dev_loss_of_training_equals_the_dev_loss_of_the_run(tuned):
    """Compare dev loss in the training loop, with batch normalization, and by head on vectors of the folded encoder."""
    store, _ = tuned
    row = store.sql("from runs where head = 'finetuned'").to_dicts()[0]
    assert row["dev"] == pytest.approx(json.loads(row["results"])["dev_loss"], rel=1e-3)


def test_files_get_the_same_predictions_as_photos(tuned):
    store, board = tuned
    run_id = name_of(board).partition("@")[2]
    rows = store.sql(
        f"select photo_id, prediction, sha256 from predictions join photos using (photo_id) where run_id = '{run_id}'"
        " order by photo_id limit 3"
    ).to_dicts()
    said = predict(store, [store.layout.photo(row["sha256"]) for row in rows], run=run_id)
    assert [one.prediction for one in said] == pytest.approx([row["prediction"] for row in rows], abs=1e-4)
    assert {row[0] for row in store.sql(f"select split from predictions where run_id = '{run_id}'").rows()} >= {
        "train",
        "dev",
        "test",
    }


def test_heads_on_the_network_are_not_tested_on_its_training_photos(tuned):
    store, board = tuned
    name = name_of(board)
    found = train(store, "like_ratio", [name], ["0fc"], "all", division=DIVISION, grid=QUICK_GRID)
    assert found.frame["encoder"].to_list() == [name]
    for division in (SplitConfig(), SplitConfig(folds=3)):
        with pytest.raises(StoreError, match=r"photos of test are, or share a person with[\s\S]*setup and division"):
            train(store, "like_ratio", [name], ["0fc"], "all", division=division, grid=QUICK_GRID)


def test_the_same_call_again_keeps_the_network(tuned):
    store, board = tuned
    again = finetune(store, **QUICK)
    assert again.n_trained == 0
    assert name_of(again) == name_of(board)
    left = {path.name for path in folder_of(store, name_of(board)).iterdir()}
    assert left == {
        "encoder.json",
        "manifest.json",
        "network.safetensors",
        "weights.safetensors",
        "tensorboard",
        "lock",
    }


def test_a_killed_call_repeated_gives_the_same_network(tuned, world, tmp_path):
    _, board = tuned
    shutil.copytree(world, tmp_path / "store")
    command = [sys.executable, "-m", "tests.models.finetune.finetune_child", str(tmp_path / "store"), "3"]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with FeatureStore(tmp_path / "store") as store:
        assert (folder_of(store, name_of(board)) / "checkpoint" / "checkpoint.json").exists()
        with pytest.raises(EncoderError, match="was fine-tuned in this store"):
            encoder(name_of(board).replace("@", "@0000")[:-4], store.layout.models)
        again = finetune(store, **QUICK)
    assert name_of(again) == name_of(board)
    files = [folder_of(one, name_of(board)) / "network.safetensors" for one in (tuned[0], store)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_damaged_weights_are_refused(tuned):
    store, board = tuned
    path = folder_of(store, name_of(board)) / "network.safetensors"
    sound = path.read_bytes()
    path.write_bytes(sound[:-1] + b"\x55")
    try:
        with pytest.raises(WeightsError, match=r"SHA-256[\s\S]*features finetune again"):
            encoder(name_of(board), store.layout.models).backbone.module()
    finally:
        path.write_bytes(sound)


def test_missing_published_weights_are_refused_with_two_remedies(world, monkeypatch, tmp_path):
    monkeypatch.setenv("FEATURES_WEIGHTS", str(tmp_path))
    monkeypatch.setattr("photogenic.features.encoders.weights.cache", lambda: tmp_path)
    monkeypatch.setattr("photogenic.features.encoders.weights._from_url", lambda *_: None)
    with FeatureStore(world) as store, pytest.raises(WeightsError, match=r"FEATURES_WEIGHTS[\s\S]*--random-weights"):
        finetune(store, "inception_v3", **QUICK)
    assert not store.layout.models.exists()


def test_alexnet_with_the_modern_recipe_and_random_weights(world, tmp_path):
    shutil.copytree(world, tmp_path / "store")
    with FeatureStore(tmp_path / "store") as store:
        board = finetune(store, "alexnet", "popular", "all", iterations=2, batch_size=4, random_weights=True)
        run, _ = run_store.load(store.layout, name_of(board).partition("@")[2])
    assert (run.hyperparameters["division"], run.hyperparameters["weights"]) == ("8:1:1", "drawn")
    assert (run.dim, run.metric) == (4096, "accuracy")
    assert store.layout.embeddings(run.encoder).exists()


@pytest.mark.parametrize("backbone", ["inception_v3", "efficientnet_lite0"])
def test_every_layer_learns(backbone):
    network = trainable(backbone, None).train()
    size = 299 if backbone == "inception_v3" else 224
    (layer,) = network(torch.rand(2, 3, size, size)).values()
    assert layer.shape == (2, {"inception_v3": 2048, "efficientnet_lite0": 1280}[backbone])
    layer.square().mean().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_invalid_options_are_refused(world):
    with FeatureStore(world) as store:
        with pytest.raises(InputError, match=r"'dlib_face' cannot be fine-tuned[\s\S]*efficientnet_lite0"):
            finetune(store, "dlib_face")
        with pytest.raises(InputError, match="cannot be fine-tuned in folds"):
            finetune(store, division=SplitConfig(folds=5))
        with pytest.raises(InputError, match="'fame' is not a target"):
            finetune(store, target="fame")
        with pytest.raises(InputError, match="no setup 'some'"):
            finetune(store, setup="some")
