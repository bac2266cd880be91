"""Scores of files: with their bounds, or with the reason why there are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from features import encoders, vectors
from features.pipeline import Embedded
from models import predict, runs, scoring, train
from tests.models.planted import QUICK, planted
from warehouse import EncoderError, InputError


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    made = planted(tmp_path_factory.mktemp("planted"))
    train(made, ["like_ratio", "gender"], ["toy_a", "toy_a+toy_b"], ["0fc"], "all", grid=QUICK)
    return made


@pytest.fixture
def shown(store, monkeypatch):
    """Files named after photos get their vectors; `group.jpg` shows several people to toy_b."""

    def embed_files(paths, name, **_):
        for path in map(Path, paths):
            if path.stem == "group" and name == "toy_b":
                yield Embedded(path, "several_faces", "2", None)
            elif path.stem == "gone":
                yield Embedded(path, "missing", "", None)
            else:
                photo = "p001" if path.stem == "group" else path.stem
                yield Embedded(path, "ok", "", vectors.read(store.layout, name, [photo])[1][0])

    monkeypatch.setattr(scoring.pipeline, "embed_files", embed_files)


def run_of(store, target, encoder):
    (run_id,) = store.sql(f"from runs where target = '{target}' and encoder = '{encoder}'")["run_id"]
    return run_id


def test_a_file_gets_the_prediction_of_its_photo(store, shown):
    run_id = run_of(store, "like_ratio", "toy_a")
    said = dict(store.sql(f"select photo_id, prediction from predictions where run_id = '{run_id}'").rows())
    reach = runs.load(store.layout, run_id)[0].results["conformal"]["radius"]
    found = predict(store, ["p003.jpg", Path("p001.jpg"), "gone.jpg"], run=run_id)
    assert [one.path for one in found] == ["p003.jpg", "p001.jpg", "gone.jpg"]
    assert [one.status for one in found] == ["ok", "ok", "missing"]
    assert found[0].prediction == pytest.approx(said["p003"], abs=1e-6)
    assert found[1].prediction == pytest.approx(said["p001"], abs=1e-6)
    assert found[0].low == pytest.approx(max(found[0].prediction - reach, 0))
    assert found[0].high == pytest.approx(min(found[0].prediction + reach, 1))
    assert (found[2].prediction, found[2].low, found[2].high) == (None, None, None)


def test_two_encoders_side_by_side_need_both_vectors(store, shown):
    found = predict(store, ["group.jpg", "p001.jpg"], run=run_of(store, "like_ratio", "toy_a+toy_b"))
    assert [one.status for one in found] == ["several_faces", "ok"]


def test_without_a_run_the_best_on_dev_answers(store, shown):
    best = store.sql("from runs where target = 'like_ratio' order by dev limit 1")["run_id"][0]
    assert predict(store, ["p003.jpg"]) == predict(store, ["p003.jpg"], run=best)
    best = store.sql("from runs where target = 'gender' order by dev desc, run_id limit 1")["run_id"][0]
    assert predict(store, ["p003.jpg"], target="gender") == predict(store, ["p003.jpg"], run=best)
    assert predict(store, ["p003.jpg"], target="gender")[0].low is None


def test_no_file_no_answer(store, shown):
    assert predict(store, []) == []


def test_a_head_of_other_weights_is_refused_and_both_are_named(store, monkeypatch):
    run_id, entry = run_of(store, "like_ratio", "toy_a"), encoders.encoder("toy_a")
    newer = replace(entry, backbone=replace(entry.backbone, version=2))
    monkeypatch.setitem(encoders.ENCODERS, "toy_a", newer)
    with pytest.raises(EncoderError, match=f"{entry.digest()}[\\s\\S]*{newer.digest()}"):
        predict(store, ["p001.jpg"], run=run_id)


def test_unknown_runs_and_targets_without_runs_are_refused(store):
    with pytest.raises(InputError, match="no run 'nonsense'"):
        predict(store, ["p001.jpg"], run="nonsense")
    with pytest.raises(InputError, match=r"No head for popular[\s\S]*--target popular"):
        predict(store, ["p001.jpg"], target="popular")


def test_a_sender_gets_an_own_prediction_that_new_swipes_change(store, shown, tmp_path):
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
    assert 0 <= fond.low < fond.prediction < fond.high <= 1
    tired = swiped("false", 2)[0]
    assert tired.prediction < fond.prediction
    assert predict(store, asked, run=run_of(store, "like_ratio", "toy_a"), sender="fan")[0] == tired


def test_nobody_is_given_the_taste_of_a_sender_who_never_swiped(store, shown):
    with pytest.raises(InputError, match="has swiped on no photo"):
        predict(store, ["p003.jpg"], run=run_of(store, "like_ratio", "toy_a"), sender="nobody")
    with pytest.raises(InputError, match="predicts gender"):
        predict(store, ["p003.jpg"], run=run_of(store, "gender", "toy_a"), sender="s-0")
