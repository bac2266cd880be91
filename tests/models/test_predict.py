"""Predictions for files, with bounds or with the reason why there are none."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from photogenic.features.compute.embed_files import picture_files, read_file
from photogenic.features.compute.pipeline import Embedded
from photogenic.features.encoders import registry
from photogenic.features.vectors import reader
from photogenic.models import predict as scoring
from photogenic.models.evaluation import conformal
from photogenic.models.predict import predict
from photogenic.models.runs import run_store
from photogenic.warehouse import EncoderError, InputError
from tests.features.toy import put_vectors
from tests.models.planted import QUICK, planted, train

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    made = planted(tmp_path_factory.mktemp("planted"))
    train(made, ["like_ratio", "gender"], ["toy_a", "toy_a+toy_b"], ["0fc"], "all", grid=QUICK)
    return made


@pytest.fixture
def shown(store, monkeypatch):
    """Files named after photos get their vectors; `group.jpg` has several faces for toy_b."""

    def embed_files(paths, name, **_):
        for path in map(Path, paths):
            if path.stem == "group" and name == "toy_b":
                yield Embedded(path, "several_faces", "2", None)
            elif path.stem == "gone":
                yield Embedded(path, "missing", "", None)
            else:
                photo = "p001" if path.stem == "group" else path.stem
                yield Embedded(path, "ok", "", reader.read(store.layout, name, [photo])[1][0])

    monkeypatch.setattr(scoring.pipeline, "embed_files", embed_files)


def run_of(store, target, encoder):
    (run_id,) = store.sql(f"from runs where target = '{target}' and encoder = '{encoder}'")["run_id"]
    return run_id


def test_a_file_gets_the_prediction_of_its_photo(store, shown):
    run_id = run_of(store, "like_ratio", "toy_a")
    said = dict(store.sql(f"select photo_id, prediction from predictions where run_id = '{run_id}'").rows())
    reach = run_store.load(store.layout, run_id)[0].results["conformal"]["radius"]
    found = predict(store, ["p003.jpg", Path("p001.jpg"), "gone.jpg"], run=run_id)
    assert [one.path for one in found] == ["p003.jpg", "p001.jpg", "gone.jpg"]
    assert [one.status for one in found] == ["ok", "ok", "missing"]
    assert found[0].prediction == pytest.approx(said["p003"], abs=1e-6)
    assert found[1].prediction == pytest.approx(said["p001"], abs=1e-6)
    assert found[0].low == pytest.approx(max(found[0].prediction - reach, 0))
    assert found[0].high == pytest.approx(min(found[0].prediction + reach, 1))
    assert (found[2].prediction, found[2].low, found[2].high) == (None, None, None)


def test_two_joined_encoders_need_both_vectors(store, shown):
    found = predict(store, ["group.jpg", "p001.jpg"], run=run_of(store, "like_ratio", "toy_a+toy_b"))
    assert [one.status for one in found] == ["several_faces", "ok"]


def test_without_a_run_the_best_on_dev_predicts(store, shown):
    best = store.sql("from runs where target = 'like_ratio' order by dev limit 1")["run_id"][0]
    assert predict(store, ["p003.jpg"]) == predict(store, ["p003.jpg"], run=best)
    best = store.sql("from runs where target = 'gender' order by dev desc, run_id limit 1")["run_id"][0]
    assert predict(store, ["p003.jpg"], target="gender") == predict(store, ["p003.jpg"], run=best)
    assert predict(store, ["p003.jpg"], target="gender")[0].low is None


def test_no_files_give_no_predictions(store, shown):
    assert predict(store, []) == []


def test_a_head_of_other_weights_is_refused_and_both_are_named(store, monkeypatch):
    run_id, entry = run_of(store, "like_ratio", "toy_a"), registry.encoder("toy_a")
    newer = replace(entry, backbone=replace(entry.backbone, version=2))
    monkeypatch.setitem(registry.ENCODERS, "toy_a", newer)
    with pytest.raises(EncoderError, match=f"{entry.digest()}[\\s\\S]*{newer.digest()}"):
        predict(store, ["p001.jpg"], run=run_id)


def test_unknown_runs_and_targets_without_runs_are_refused(store):
    with pytest.raises(InputError, match="no run 'nonsense'"):
        predict(store, ["p001.jpg"], run="nonsense")
    with pytest.raises(InputError, match=r"No head for popular[\s\S]*--target popular"):
        predict(store, ["p001.jpg"], target="popular")


def test_a_prediction_for_a_sender_changes_with_new_swipes(store, shown, tmp_path):
    swipes = tmp_path / "swipes.csv"
    asked = ["p003.jpg", "gone.jpg"]

    def swiped(liked, day):
        lines = [f"fan,u-p{i:03d},{liked},2024-03-{day:02d} 00:00:{i:02d}" for i in range(60)]
        swipes.write_text("\n".join(["sender_id,recipient_id,liked,swiped_at", *lines]))
        store.ingest_swipes(swipes)
        store.build(only="labels")
        return predict(store, asked, run=run_of(store, "like_ratio", "toy_a"), sender="fan")

    fond, gone = swiped("true", 1)
    assert (gone.status, gone.prediction, gone.low) == ("missing", None, None)
    assert {one.run_id for one in (fond, gone)} == {run_of(store, "like_ratio", "toy_a")}
    assert (fond.encoder, fond.setup) == ("toy_a", "all")
    assert 0 <= fond.low < fond.prediction < fond.high <= 1
    tired = swiped("false", 2)[0]
    assert tired.prediction < fond.prediction
    assert predict(store, asked, run=run_of(store, "like_ratio", "toy_a"), sender="fan")[0] == tired


def test_a_sender_without_swipes_is_refused(store, shown):
    with pytest.raises(InputError, match="has swiped on no photo"):
        predict(store, ["p003.jpg"], run=run_of(store, "like_ratio", "toy_a"), sender="nobody")
    with pytest.raises(InputError, match="predicts gender"):
        predict(store, ["p003.jpg"], run=run_of(store, "gender", "toy_a"), sender="s-0")


def test_without_files_photos_newer_than_the_head_are_predicted(tmp_path):
    """p160 to p163 are newer: one has a vector, one has none yet, one is damaged, one was never fetched."""
    store = planted(tmp_path)
    train(store, "like_ratio", ["toy_a"], ["0fc"], "all", grid=QUICK)
    run_id = run_of(store, "like_ratio", "toy_a")
    assert [one.photo_id for one in predict(store)] == []
    ids, X = reader.read(store.layout, "toy_a")
    put_vectors(store.layout, "toy_a", [*ids, "p160"], np.vstack([X, X[ids.index("p003")]]))
    with store.database.write("test") as con:
        at = "timestamp '2024-01-01'"
        for photo_id, status in (("p160", "'ok'"), ("p161", "'ok'"), ("p162", "'truncated'"), ("p163", None)):
            con.execute(
                "insert into facts.photos (photo_id, user_id, path, url, posted_at, likes, hashtags, ingested_at)"
                " select $1, 'u-later', $1 || '.jpg', null, null, null, null, " + at,
                [photo_id],
            )
            if status:
                con.execute(
                    f"insert into facts.photo_files select $1, md5($1), 300, 400, 9, {status}, null, {at}", [photo_id]
                )
    found = predict(store, run=run_id)
    assert {one.photo_id: one.status for one in found} == {
        "p160": "ok",
        "p161": "not_built",
        "p162": "truncated",
        "p163": "missing",
    }
    (p003,) = store.sql(f"select prediction from predictions where run_id = '{run_id}' and photo_id = 'p003'").row(0)
    assert found[0].prediction == pytest.approx(p003, abs=1e-6)
    assert found[0].path == "p160.jpg"
    assert found[0].low <= found[0].prediction < found[0].high
    before = store.sql("select count(*) from predictions").item()
    assert predict(store, run=run_id, keep=True) == found
    assert store.sql("select count(*) from predictions").item() == before + 1
    assert store.sql("select split, prediction from predictions where photo_id = 'p160'").row(0) == (
        None,
        found[0].prediction,
    )
    assert [one.photo_id for one in predict(store, run=run_id, keep=True)] == ["p161", "p162", "p163"]


def test_for_a_head_on_faces_the_number_of_faces_is_the_reason(tmp_path, monkeypatch):
    store = planted(tmp_path)
    train(store, "like_ratio", ["toy_a"], ["0fc"], "all", grid=QUICK)
    entry = registry.encoder("toy_a")
    monkeypatch.setitem(registry.ENCODERS, "toy_a", replace(entry, backbone=replace(entry.backbone, input="face")))
    with store.database.write("test") as con:
        for photo_id, n_faces in (("later0", 0), ("later1", 1), ("later2", 2)):
            con.execute(
                "insert into facts.photos (photo_id, user_id, path, url, posted_at, likes, hashtags, ingested_at)"
                " select $1, 'u-later', null, null, null, null, null, timestamp '2024-01-01'",
                [photo_id],
            )
            con.execute(
                "insert into facts.photo_files select $1, md5($1), 9, 9, 9, 'ok', null, timestamp '2024-01-01'",
                [photo_id],
            )
            for face in range(n_faces):
                con.execute(
                    "insert into facts.faces by name select $1 as photo_id, $2 as face_no, 0 as x0, 0 as y0, 1 as x1,"
                    " 1 as y1, 0.9 as confidence, null as keypoints",
                    [photo_id, face],
                )
    assert {one.photo_id: one.status for one in predict(store)} == {
        "later0": "no_face",
        "later1": "not_built",
        "later2": "several_faces",
    }


def test_predictions_for_files_that_are_photos_of_the_store_can_be_kept(store, shown, tmp_path, monkeypatch):
    """A photo is found by its bytes, under any name; a file that is not a photo gets a prediction that is not kept."""
    for name in ("p003", "p005"):
        (tmp_path / f"{name}.jpg").write_bytes(name.encode())
    digest = hashlib.sha256(b"p003").hexdigest()
    bytes_of = pl.DataFrame({"photo_id": ["p003", "twin"], "sha256": [digest, digest], "status": ["ok", "ok"]})
    monkeypatch.setattr(scoring.pipeline, "photo_bytes", lambda _: bytes_of)
    run_id = run_of(store, "like_ratio", "toy_a")
    before = store.sql("select count(*) from predictions").item()
    found = predict(store, [tmp_path / "p003.jpg", tmp_path / "p005.jpg", "gone.jpg"], run=run_id, keep=True)
    assert [(one.photo_id, one.status) for one in found] == [
        ("p003", "ok"),
        ("twin", "ok"),
        (None, "ok"),
        (None, "missing"),
    ]
    assert store.sql("select count(*) from predictions").item() == before + 1
    with store.database.write("test") as con:
        con.execute("delete from facts.predictions where photo_id = 'twin'")


def test_predictions_by_taste_need_files_and_are_not_kept(store, shown):
    with pytest.raises(InputError, match="are not kept in the store"):
        predict(store, ["p003.jpg"], sender="fan", keep=True)
    with pytest.raises(InputError, match="need files"):
        predict(store, sender="fan")


def test_folders_and_globs_are_expanded_to_their_pictures(tmp_path):
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    for name in ("b/2.jpg", "b/c/1.PNG", "b/notes.txt", "x1.jpg", "x[1].jpg"):
        (tmp_path / name).write_bytes(b"x")
    named = [f"{tmp_path}/b", f"{tmp_path}/x?.jpg", f"{tmp_path}/x[1].jpg", tmp_path / "empty", "none*.jpg", "no.jpg"]
    found = picture_files(named)
    assert [str(path).removeprefix(f"{tmp_path}/") for path in found] == [
        "b/2.jpg",
        "b/c/1.PNG",
        "x1.jpg",
        "x[1].jpg",
        "empty",
        "none*.jpg",
        "no.jpg",
    ]
    os.mkfifo(tmp_path / "pipe")
    statuses = [read_file(Path(path))[0] for path in (*found, tmp_path / "pipe", tmp_path / "x1.jpg" / "y", "a" * 300)]
    assert statuses == ["ok"] * 4 + ["empty", "missing", "missing", "unreadable", "missing", "unreadable"]


def test_intervals_of_new_photos_have_their_stated_coverage():
    """Over many worlds, the label of a photo in no split is within the bounds in 90 of 100 cases."""
    rng, hits = np.random.default_rng(0), []
    for _ in range(300):
        dev, test = (rng.beta(2, 3, (n, 2)).mean(1) + rng.normal(0, 0.05, n) for n in (40, 50))
        p_dev, p_test = (y + rng.standard_t(3, len(y)) * 0.08 for y in (dev, test))
        reach = conformal.radius(dev, p_dev)
        hits.append(conformal.coverage(test, p_test, reach))
    assert 0.895 < np.mean(hits) < 0.93


@pytest.mark.slow
def test_the_recorded_coverage_is_that_of_the_published_predictions(tmp_path):
    found = []
    for seed in range(6):
        store = planted(tmp_path / str(seed), n=400, seed=seed)
        train(store, "like_ratio", ["toy_a"], ["0fc"], "all", grid=QUICK)
        run_id = run_of(store, "like_ratio", "toy_a")
        reach = run_store.load(store.layout, run_id)[0].results["conformal"]
        rows = store.sql(
            "select abs(value - prediction) <= $reach as held from predictions join photo_labels using (photo_id)"
            f" where run_id = '{run_id}' and split = 'test'".replace("$reach", str(reach["radius"]))
        )["held"]
        assert reach["coverage"] == pytest.approx(rows.mean())
        found += rows.to_list()
    assert 0.84 < np.mean(found) < 0.97
