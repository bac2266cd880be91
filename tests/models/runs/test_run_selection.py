"""The run that predicts is the same in Python, on the command line, in the API and on the pages."""

from __future__ import annotations

import contextlib
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from photogenic import FeatureStore
from photogenic.app.cli.main import program
from photogenic.app.report.figures import run_selection
from photogenic.features.encoders.registry import ENCODERS
from photogenic.models.crop import crop
from photogenic.models.predict import predict
from photogenic.models.runs import run_store
from photogenic.models.runs.run_selection import choose
from photogenic.warehouse import EncoderError, InputError, StoreError
from tests.app.serve.live_server import live_server
from tests.features.gallery import portrait
from tests.models.put_heads import Head, put_encoder, put_heads

pytestmark = pytest.mark.slow

NOTES = "FEATURES_MODULES"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Three pictures: with one face, without a face, and with two faces."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "face.jpg").write_bytes(portrait(4))
    (folder / "group.jpg").write_bytes(portrait(5, people=2))
    noise = np.random.default_rng(0).integers(0, 60, (200, 300, 3)).astype(np.uint8)
    Image.fromarray(noise).save(folder / "nobody.png")
    return folder


@pytest.fixture
def store(tmp_path):
    for name, kind in (("bright", "photo"), ("bright_face", "face"), ("own", "photo")):
        put_encoder(name, kind)
    return FeatureStore(tmp_path / "store", progress=Notes())


class Notes:
    """Progress callback that stores the notes."""

    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)

    def stage(self, *_, **__):
        return contextlib.nullcontext(lambda _: None)


def chosen(store, target="like_ratio", **options):
    return choose(store.layout, store.database.frame, target, fits=lambda _: None, **options)


def predict_everywhere(store, picture, server=None):
    """Return run_id and prediction, equal in Python, on the command line, in the API and on the page, and the notes.

    `server`: a server of the store that runs already. Default: one is started.
    """
    store.progress._listener.notes.clear()
    (mine,) = predict(store, [picture])
    told = ["\n".join(store.progress._listener.notes)]
    typed = CliRunner().invoke(
        program, ["predict", str(picture), "--store", str(store.layout.root), "--format", "json"]
    )
    assert typed.exit_code == 0, typed.output
    (theirs,) = json.loads(typed.stdout)
    told.append(typed.stderr)
    with live_server(store.layout.root) if server is None else contextlib.nullcontext(server) as server:
        answer = server.form("/api/v1/predict", [("a.jpg", picture.read_bytes())])
        assert answer.status == 200, answer.body
    (sent,) = answer.json["photos"]
    told.append("\n".join(answer.json["notes"]))
    for name in ("run_id", "head", "encoder", "setup"):
        assert theirs[name] == sent[name] == getattr(mine, name)
    assert answer.json["run_id"] == mine.run_id
    assert theirs["prediction"] == pytest.approx(mine.prediction)
    assert sent["prediction"] == pytest.approx(mine.prediction)
    assert run_selection.answering(store.layout, store.database.frame) == {mine.run_id}
    return mine.run_id, round(mine.prediction, 3), told


def test_a_run_of_another_setup_with_a_better_dev_figure_is_not_chosen(store, pictures):
    """A head on all photos has half the error, on other photos; the folder of one more run is removed."""
    put_heads(
        store,
        Head("luckiest", 0.9, dev=0.001, setup="all"),
        Head("lucky", 0.98, dev=0.014, setup="all"),
        Head("best", 0.37, dev=0.026, encoder="bright_face"),
        Head("second", 0.39, dev=0.03),
        Head("gone", 0.5, dev=0.002),
    )
    shutil.rmtree(store.layout.models / "gone")
    run_id, prediction, told = predict_everywhere(store, pictures / "face.jpg")
    assert (run_id, prediction) == ("best", 0.37)
    assert all("gone" in text and "not there" in text for text in told)


def test_a_run_with_an_unregistered_encoder_is_left_out(store, pictures, monkeypatch):
    put_heads(store, Head("ours", 0.37, dev=0.03), Head("theirs", 0.99, dev=0.001, encoder="own"))
    monkeypatch.delitem(ENCODERS, "own")
    run_id, prediction, told = predict_everywhere(store, pictures / "face.jpg")
    assert (run_id, prediction) == ("ours", 0.37)
    assert all("theirs" in text and "'own'" in text and NOTES in text for text in told)
    with pytest.raises(EncoderError, match="'own'"):
        predict(store, [pictures / "face.jpg"], run="theirs")


def test_the_promoted_run_answers_at_every_door_until_changed(store, pictures):
    """It is worse on dev, of another setup, and no reason to name runs that it does not need."""
    put_heads(
        store,
        Head("best", 0.37, dev=0.01, encoder="bright_face"),
        Head("chosen", 0.9, dev=0.5, setup="all"),
        Head("gone", 0.5, dev=0.002),
    )
    shutil.rmtree(store.layout.models / "gone")
    store.promote_run("chosen")
    with live_server(store.layout.root) as server:
        run_id, prediction, told = predict_everywhere(store, pictures / "face.jpg", server)
        assert (run_id, prediction) == ("chosen", 0.9)
        assert not any("gone" in text for text in told)
        (cropped,) = crop(store, [pictures / "face.jpg"])
        assert cropped.run_id == "chosen"
        store.demote_run("like_ratio")
        server.until("/api/v1/runs", lambda told: not any(row["promoted"] for row in told.json["runs"]))
        assert predict_everywhere(store, pictures / "face.jpg", server)[:2] == ("best", 0.37)


def test_a_promoted_head_on_faces_leaves_other_photos_and_crops_to_the_rule(store, pictures):
    put_heads(
        store,
        Head("faces", 0.4, dev=0.3, encoder="bright_face"),
        Head("better", 0.5, dev=0.1, encoder="bright_face"),
        Head("any", 0.6, dev=0.01, setup="all"),
        Head("whole", 0.7, dev=0.2),
    )
    store.promote_run("faces")
    found = predict(store, [pictures / name for name in ("face.jpg", "group.jpg", "nobody.png")])
    assert [one.run_id for one in found] == ["faces", "any", "any"]
    (of_face,) = crop(store, [pictures / "face.jpg"])
    assert of_face.run_id == "whole"
    assert "faces" in store.progress._listener.notes[-1]
    assert "promoted" in store.progress._listener.notes[-1]


def test_a_promoted_run_that_cannot_predict_is_an_error_at_every_door(store, pictures, monkeypatch):
    """No other run answers in its place; its stored predictions are shown all the same, and a named run predicts."""
    put_heads(store, Head("theirs", 0.99, dev=0.2, encoder="own"), Head("ours", 0.37, dev=0.001))
    store.promote_run("theirs")
    monkeypatch.delitem(ENCODERS, "own")
    picture = pictures / "face.jpg"
    for call in (lambda: predict(store, [picture]), lambda: predict(store), lambda: crop(store, [picture])):
        with pytest.raises(StoreError, match=r"theirs .* is promoted") as refused:
            call()
        assert NOTES in refused.value.remedy
        assert "features runs demote like_ratio" in refused.value.remedy
    typed = CliRunner().invoke(program, ["predict", str(picture), "--store", str(store.layout.root)])
    assert typed.exit_code == 1
    assert run_selection.answering(store.layout, store.database.frame) == {"theirs"}
    with live_server(store.layout.root) as server:
        answer = server.form("/api/v1/predict", [("a.jpg", picture.read_bytes())])
        assert answer.status in {409, 422, 503}
        assert "promoted" in answer.body.decode()
        named = server.form("/api/v1/predict", [("a.jpg", picture.read_bytes())], run="our")
        assert named.json["run_id"] == "ours"
        store.demote_run("like_ratio")  # the server follows without a restart
        server.until("/api/v1/runs", lambda told: not any(row["promoted"] for row in told.json["runs"]))
        assert server.form("/api/v1/predict", [("a.jpg", picture.read_bytes())]).json["run_id"] == "ours"
        store.promote_run("ours")
    assert predict(store, [picture], run="our")[0].run_id == "ours"


def test_photos_without_a_face_or_with_several_are_predicted_by_the_head_on_all_photos(store, pictures):
    put_heads(store, Head("faces", 0.4, encoder="bright_face"), Head("any", 0.6, dev=0.01, setup="all"))
    names = [pictures / name for name in ("face.jpg", "group.jpg", "nobody.png", "missing.jpg")]
    found = predict(store, names)
    assert [(one.run_id, one.status) for one in found] == [
        ("faces", "ok"),
        ("any", "ok"),
        ("any", "ok"),
        ("faces", "missing"),
    ]
    assert [one.setup for one in found] == ["one_face", "all", "all", "one_face"]
    named = predict(store, names, run="faces")
    assert [one.status for one in named] == ["ok", "several_faces", "no_face", "missing"]
    with live_server(store.layout.root) as server:
        told = server.form("/api/v1/predict", [(path.name, path.read_bytes()) for path in names[:3]]).json["photos"]
    assert [one["run_id"] for one in told] == ["faces", "any", "any"]
    (of_group,) = crop(store, [pictures / "group.jpg"])
    assert (of_group.run_id, of_group.prediction) == ("any", pytest.approx(0.6))


@pytest.mark.parametrize("order", [1, -1])
def test_equal_figures_are_decided_by_the_run_id(store, order):
    put_heads(store, *[Head("aaa", 0.1), Head("bbb", 0.2)][::order])
    assert chosen(store).run.run_id == "aaa"


@pytest.mark.parametrize("dev", [float("nan"), float("inf"), float("-inf")])
def test_a_figure_that_is_not_a_number_is_not_the_best(store, dev):
    put_heads(store, Head("odd", 0.1, dev=dev), Head("plain", 0.2))
    found = chosen(store)
    assert found.run.run_id == "plain"
    assert [(one.run.run_id, "no figure on dev" in one.why) for one in found.left_out] == [("odd", True)]


def test_divisions_are_not_compared_and_the_published_one_comes_first(store):
    put_heads(
        store,
        Head("stored", 0.1, dev=0.3),
        Head("folds", 0.2, dev=0.01, division="5 folds"),
        Head("seeded", 0.3, dev=0.02, division="8:1:1, seed 7"),
    )
    assert chosen(store).run.run_id == "stored"
    shutil.rmtree(store.layout.models / "stored")
    assert chosen(store).run.run_id == "seeded"


def test_runs_with_other_dev_photos_are_not_compared(store):
    """Runs of another split seed, or of an encoder with vectors of few photos; a few missing photos do not matter."""
    put_heads(
        store,
        Head("other", 0.1, dev=0.001, dev_photos=[f"x{n}" for n in range(9)]),
        Head("few", 0.2, dev=0.002, dev_photos=["dev0", "dev1"]),
        Head("most", 0.3, dev=0.2),
        Head("nearly", 0.4, dev=0.1, dev_photos=[f"dev{n}" for n in range(9)]),
    )
    assert chosen(store).run.run_id == "nearly"


def test_the_better_accuracy_is_the_higher(store):
    put_heads(store, Head("low", 0.1, dev=0.6, target="gender"), Head("high", 0.2, dev=0.9, target="gender"))
    assert chosen(store, "gender").run.run_id == "high"


def spoil(folder, how):
    manifest, weights = folder / "manifest.json", folder / "weights.safetensors"
    if how == "flipped":
        manifest.write_bytes(manifest.read_bytes().replace(b'"dev": 0.01', b'"dev": 0.02'))
    elif how == "empty":
        manifest.write_bytes(b"")
    elif how == "newer":
        facts = json.loads(manifest.read_bytes()) | {"invented_later": 1}
        manifest.write_text(json.dumps({name: value for name, value in facts.items() if name != "manifest_sha256"}))
    elif how == "other run":
        shutil.copy(folder.parent / "sound" / "manifest.json", manifest)
    elif how == "weights":
        weights.write_bytes(weights.read_bytes()[:-1])
    elif how == "no weights":
        weights.unlink()
    else:
        manifest.unlink()


@pytest.mark.parametrize("how", ["flipped", "empty", "newer", "other run", "weights", "no weights", "no manifest"])
def test_a_damaged_run_is_left_out_and_named(store, how):
    put_heads(store, Head("sound", 0.4), Head("broken", 0.9, dev=0.01))
    assert chosen(store).run.run_id == "broken"
    spoil(store.layout.models / "broken", how)
    found = chosen(store)
    assert found.run.run_id == "sound"
    assert [one.run.run_id for one in found.left_out] == ["broken"]
    assert "broken" in found.notes[0]


def test_runs_with_another_version_of_an_encoder_or_missing_weights_are_left_out(store, pictures, monkeypatch):
    put_heads(store, Head("here", 0.4), Head("changed", 0.9, dev=0.01, encoder="own"))
    monkeypatch.setattr(
        "photogenic.features.encoders.registry.Encoder.available", property(lambda entry: entry.name != "own")
    )
    assert [one.why for one in chosen(store).left_out] == ["the weights of own are not on this machine."]
    monkeypatch.undo()
    put_encoder("own", "face")  # the same name, another network
    assert predict(store, [pictures / "face.jpg"])[0].run_id == "here"
    assert re.search(r"run changed .*was trained on vectors of own", "\n".join(store.progress._listener.notes))


def test_if_no_run_can_predict_the_error_names_the_reason_for_each(store, pictures, monkeypatch):
    put_heads(store, Head("gone", 0.4), Head("theirs", 0.9, encoder="own"))
    shutil.rmtree(store.layout.models / "gone")
    monkeypatch.delitem(ENCODERS, "own")
    with pytest.raises(StoreError, match=rf"can predict here[\s\S]*gone[\s\S]*theirs[\s\S]*{NOTES}"):
        predict(store, [pictures / "face.jpg"])
    typed = CliRunner().invoke(program, ["predict", "x.jpg", "--store", str(store.layout.root)])
    assert isinstance(typed.exception, StoreError)
    with live_server(store.layout.root) as server:
        answer = server.form("/api/v1/predict", [("a.jpg", b"x")])
        assert (answer.status, answer.code) == (409, "not_ready")
        assert str(store.layout.root) not in answer.json["message"]
        # Stored predictions can still be shown.
        assert server.get("/api/v1/gallery?by=prediction").status == 200


def test_a_missing_run_is_refused_and_existing_runs_are_named(store):
    put_heads(store, Head("here", 0.4), Head("gone", 0.9))
    shutil.rmtree(store.layout.models / "gone")
    for name in ("gone", "nonsense", "../here", ".", "", "a" * 300):
        with pytest.raises(InputError) as error:
            predict(store, ["x.jpg"], run=name)
        assert "no run" in error.value.what
        assert "here" in error.value.expected
        assert "from runs" not in error.value.remedy
    with live_server(store.layout.root) as server:
        answer = server.form("/api/v1/predict", [("a.jpg", b"x")], run="gone")
        assert (answer.status, answer.code) == (404, "not_found")
        assert "gone" in answer.json["message"]


def test_a_server_follows_when_a_folder_is_removed_and_restored(store):
    put_heads(store, Head("first", 0.4, dev=0.01), Head("second", 0.9))
    folder, away = store.layout.models / "first", store.layout.root / "away"
    with live_server(store.layout.root) as server:

        def answers():
            told = server.form("/api/v1/predict", [("a.jpg", b"x")]).json
            return told["run_id"]

        assert answers() == "first"
        folder.rename(away)
        assert answers() == "second"
        away.rename(folder)
        assert answers() == "first"


def test_finished_heads_that_are_not_published_are_named(store):
    put_heads(store, Head("known", 0.4, target="gender"))
    made = run_store.described(store.layout, "known")
    run_store.save(store.layout, type(made)(**{**vars_of(made), "run_id": "fresh", "target": "popular"}),
              run_store.load(store.layout, "known")[1])  # fmt: skip
    with pytest.raises(InputError, match="1 heads for popular are trained, and are not in the relation"):
        chosen(store, "popular")
    with pytest.raises(InputError, match="No head for like_ratio was trained yet"):
        chosen(store)


def vars_of(run):
    return {name: getattr(run, name) for name in run.__slots__}
