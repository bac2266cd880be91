"""Registry of heads: entries, heads of the user's modules, and errors for names that are not registered."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from photogenic.models.data.targets import TARGETS
from photogenic.models.fit_heads import fit_all
from photogenic.models.heads import entries, kinds, registry
from photogenic.models.heads.base import FitData, FitSettings, Head
from photogenic.models.heads.mlp import DEPTHS
from photogenic.models.options import FinetuneArguments, FinetuneOptions, TrainArguments, TrainOptions
from photogenic.models.runs import run_store
from photogenic.models.runs.run_selection import choose
from photogenic.warehouse import InputError
from tests.models.heads.test_linear import drawn
from tests.models.planted import QUICK, planted, train

ROOT = Path(__file__).parents[3]
FEATURES = Path(sys.executable).with_name("features")

MEDIAN = """
import numpy as np
from photogenic.models.heads.base import Head
from photogenic.models.heads.registry import register_head

@register_head("median")
class Median(Head):
    summary = "the median label, whatever the photo shows"

    def fit(self, data, settings):
        label = np.median(data.samples.part("train").y)
        return self.fitted(data, {"label": label}, hyperparameters={"seed": settings.seed})

    def apply(self, arrays, X):
        return np.full(len(X), arrays["label"])
"""


@pytest.fixture
def registered(monkeypatch):
    """Remove what a test registers afterwards."""
    registry.heads()
    monkeypatch.setattr(registry, "_HEADS", dict(registry._HEADS))
    monkeypatch.setattr(kinds, "_RULES", dict(kinds._RULES))
    yield
    sys.modules.pop("my_median", None)


def test_every_file_of_the_folder_registers_a_head_and_lists_are_ordered():
    assert registry.head_names()[:12] == [
        *("0fc", "1fc", "2fc", "linear_svm", "logistic", "ridge", "random_forest", "kernel", "mllib_svm", "ensemble")
    ]
    assert list(TrainOptions().heads) == list(DEPTHS) == registry.in_group("layers")
    files = {Path(entries.__path__[0], f"{type(one).__module__.rpartition('.')[2]}.py") for one in registry.heads()}
    assert files == set(Path(entries.__path__[0]).glob("[!_]*.py"))
    assert registry.head("svm") is registry.head("linear_svm")
    assert [one.name for one in registry.heads() if one.keeps_vectors] == ["kernel"]
    for one in registry.heads():
        assert one.summary in registry.help_line()
        assert one.name in registry.help_line()


def test_a_name_that_is_taken_or_invalid_is_refused(registered):
    with pytest.raises(InputError, match="There is a head 'svm' already"):
        registry.register_head("svm")(type("Mine", (Head,), {}))
    with pytest.raises(InputError, match="cannot be the name"):
        registry.register_head("a/b")(type("Mine", (Head,), {}))
    with pytest.raises(InputError, match=r"'medium' is not a head[\s\S]*one of 0fc, .*FEATURES_MODULES"):
        registry.head("medium")


def test_keyword_arguments_are_the_fields_of_the_options():
    for options, arguments in ((TrainOptions, TrainArguments), (FinetuneOptions, FinetuneArguments)):
        assert [field.name for field in fields(options)] == list(arguments.__annotations__)


def test_vectors_that_erase_would_not_find_are_refused(registered):
    class Nearest(Head):
        keeps_vectors = True

        def fit(self, data, settings):
            return registry.head("ridge").fit(data, settings)

    registry.register_head("nearest")(Nearest)
    samples = drawn("like_ratio")

    class One:
        target, dims, parts, inputs = TARGETS["like_ratio"], [6], [samples], ()

        def part(self, _):
            return samples

    with pytest.raises(InputError, match=r"nearest has keeps_vectors = True, and its arrays are mean, output"):
        fit_all({"like_ratio": One()}, [("like_ratio", "nearest")], FitSettings(QUICK))
    with pytest.raises(TypeError, match="keeps_vectors"):
        registry.head("nearest").fitted(FitData(One.target, samples, [6]), {"label": np.zeros(())})


def test_a_head_of_the_user_is_trained_by_the_command_line_and_predicts_where_it_is_registered(
    tmp_path, monkeypatch, registered
):
    store = planted(tmp_path)
    train(store, "like_ratio", ["toy_a"], ["0fc"], "all", grid=QUICK)
    (tmp_path / "my_median.py").write_text(MEDIAN)
    (tmp_path / "my_toy.py").write_text("from tests.features.toy import toy_encoder\ntoy_encoder('toy_a', 4, 'l2')\n")
    command = [FEATURES, "train", "--store", store.layout.root, "--encoder", "toy_a", "--setup", "all"]
    modules = {"FEATURES_MODULES": "my_median", "FEATURES_ENCODERS": "my_toy"}
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", **modules}
    done = subprocess.run(
        [*command, "--head", "median", "--format", "csv"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (run_id,) = store.sql("from runs where head = 'median'")["run_id"]
    labels = store.training_set("like_ratio", encoder="toy_a", setup="all")
    median = np.median(labels.y[np.asarray(labels.split) == "train"])
    said = store.sql(f"from predictions where run_id = '{run_id}'")["prediction"]
    assert (len(said), said.min(), said.max()) == (165, pytest.approx(median), pytest.approx(median))

    # In this process it is not registered: it is left out of the choice, and refused if it is named.
    choice = choose(store.layout, store.database.frame, "like_ratio", fits=lambda _: None)
    assert choice.run.head == "0fc"
    (note,) = choice.notes
    assert re.search(rf"{run_id} .*median.* not registered here.*set FEATURES_MODULES to the module", note)
    with pytest.raises(InputError, match=f"Run {run_id} is a head median, which is not registered here"):
        run_store.load(store.layout, run_id)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("FEATURES_MODULES", "my_median")
    assert run_store.load(store.layout, run_id)[1].predict(np.zeros((2, 4), "f4")) == pytest.approx([median] * 2)
    assert choose(store.layout, store.database.frame, "like_ratio", fits=lambda _: None).notes == []
