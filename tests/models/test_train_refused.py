"""Invalid trainings are refused before any head is trained, and finished heads are published when a later one fails."""

from __future__ import annotations

import json
import shutil

import pytest
from typer.testing import CliRunner

from photogenic.app.cli.main import program
from photogenic.models import train as training
from photogenic.models import training_plan
from photogenic.models.experiment import OneAnswerError
from photogenic.models.predict import predict
from photogenic.warehouse import InputError, StoreError
from tests.models.planted import QUICK, planted, train

pytestmark = pytest.mark.slow


class Notes:
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)

    def stage(self, *given, **options):
        from photogenic.warehouse.progress import no_progress

        return no_progress.stage(*given, **options)


@pytest.fixture(scope="module")
def of_women(tmp_path_factory):
    """A store with photos of women only."""
    store = planted(tmp_path_factory.mktemp("women"), n=60)
    with store.database.write("test") as con:
        con.execute("update facts.users set gender = 'female'")
    store.build(only="labels", force=True)
    return store


@pytest.mark.parametrize("head", ["0fc", "logistic"])
def test_a_target_with_one_label_only_is_refused(of_women, head):
    with pytest.raises(OneAnswerError, match=r"one answer for gender: they are a woman's[\s\S]*do not help"):
        train(of_women, "gender", ["toy_a"], [head], "all", grid=QUICK)
    assert of_women.sql("from runs").is_empty()


def test_with_other_targets_a_target_with_one_label_is_left_out(of_women):
    heard = Notes()
    board = train(of_women, ["gender", "like_ratio"], ["toy_a"], ["0fc"], "all", grid=QUICK, progress=heard)
    assert set(board.frame["target"]) == {"like_ratio"}
    assert any("one answer for gender" in note for note in heard.notes)


def test_missing_vectors_are_found_before_the_first_head_is_trained(tmp_path, monkeypatch):
    store = planted(tmp_path, n=60)
    monkeypatch.setattr(training, "fit_all", None)
    with pytest.raises(StoreError, match=r"holds no dlib_face and no facenet vectors[\s\S]*--encoder dlib_face --enc"):
        train(store, "like_ratio", ["toy_a", "toy_a+dlib_face", "facenet"], ["0fc"], "one_face", grid=QUICK)
    with pytest.raises(StoreError, match="No photo has a toy_a vector of its mirror image"):
        train(store, "like_ratio", ["toy_a"], ["0fc"], "all", grid=QUICK, flip=True)


def test_without_encoders_those_of_the_store_are_used(tmp_path, monkeypatch):
    store = planted(tmp_path, n=60)
    assert set(train(store, "like_ratio", heads=["ridge"], setup="all").frame["encoder"]) == {"toy_a", "toy_b"}
    monkeypatch.setattr(training_plan, "DEFAULT", ("toy_a", "dlib_face"))
    heard = Notes()
    board = train(store, "like_ratio", heads=["ridge"], setup="all", progress=heard)
    assert set(board.frame["encoder"]) == {"toy_a"}
    assert any("holds no dlib_face vectors" in note and "--encoder dlib_face" in note for note in heard.notes)
    shutil.rmtree(store.layout.embeddings("toy_a").parent)
    with pytest.raises(StoreError, match="holds no toy_a vectors"):
        train(store, "like_ratio", heads=["ridge"], setup="all")


@pytest.mark.parametrize("error", [InputError("the second one fails"), KeyboardInterrupt()])
def test_heads_that_are_finished_when_a_later_one_fails_are_published(tmp_path, monkeypatch, error):
    store, fit, n = planted(tmp_path, n=60), training.fit_all, []

    def failing(*given, **options):
        n.append(1)
        if len(n) > 1:
            raise error
        return fit(*given, **options)

    monkeypatch.setattr(training, "fit_all", failing)
    with pytest.raises(type(error)):
        train(store, "like_ratio", ["toy_a", "toy_b"], ["ridge"], "all")
    assert store.sql("select encoder from runs")["encoder"].to_list() == ["toy_a"]
    assert predict(store) == []
    typed = CliRunner().invoke(program, ["predict", "--store", str(store.layout.root), "--format", "json"])
    assert json.loads(typed.stdout) == []


def test_too_few_of_one_answer_are_counted(tmp_path):
    store = planted(tmp_path, n=60)
    with store.database.write("test") as con:
        con.execute("update facts.users set gender = if(user_id = $1, 'male', 'female')", ["u-p003"])
    store.build(only="labels", force=True)
    with pytest.raises(InputError, match=r"users with \d+ photos in train, 1 of them with the rarer answer"):
        train(store, "gender", ["toy_a"], ["logistic"], "all")
