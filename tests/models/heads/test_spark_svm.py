"""The SVM of Spark's MLlib: its optimum, its cross-validation, and its row of the leaderboard."""

import importlib.util
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import average_precision_score
from sklearn.svm import LinearSVC

from photogenic.models.data.targets import TARGETS
from photogenic.models.heads.linear import folds_by_user
from photogenic.models.heads.spark_svm import SvmGrid, fit_mllib
from photogenic.models.runs import run_store
from photogenic.warehouse import InputError, MissingPartError
from tests.models.heads.test_linear import drawn
from tests.models.planted import planted, train

POPULAR = TARGETS["popular"]


@pytest.fixture(autouse=True)
def two_folds(monkeypatch):
    monkeypatch.setattr("photogenic.models.heads.linear.FOLDS", 2)


SMALL = SvmGrid((1e-4, 1e-1), (1.0,), iterations=12)


def descended(X, y, regularisation, step, iterations):
    """Compute weights and intercept by MLlib's rule in a plain loop: the intercept is a weight that starts at 1."""
    A, sign = np.column_stack([X, np.ones(len(X))]), 2 * y - 1
    w = np.append(np.zeros(X.shape[1]), 1.0)
    for i in range(1, iterations + 1):
        wrong = sign * (A @ w) < 1
        gradient = -(A[wrong] * sign[wrong, None]).sum(0) / len(A)
        former, w = w, w * (1 - step / np.sqrt(i) * regularisation) - step / np.sqrt(i) * gradient
        if i > 1 and np.linalg.norm(w - former) < 1e-3 * max(np.linalg.norm(w), 1):
            break
    return w[:-1], w[-1]


def test_every_cell_and_the_head_equal_plain_gradient_descent_on_scikit_learns_folds(master):
    samples = drawn("popular")
    part = samples.part("train")
    X = ((part.X - part.X.mean(0)) / part.X.std(0)).astype(np.float64)
    y, folds = part.y.astype(np.float64), folds_by_user(part, POPULAR)
    fit = fit_mllib(samples, POPULAR, master=master, grid=SMALL)
    curve = fit.results["penalty_curve"]
    assert [(cell["regularisation"], cell["step"]) for cell in curve] == SMALL.cells
    for cell in curve:
        for own, (inside, out) in zip(cell["folds"], folds, strict=True):
            w, b = descended(X[inside], y[inside], cell["regularisation"], cell["step"], SMALL.iterations)
            assert own == pytest.approx(average_precision_score(y[out], X[out] @ w + b), abs=1e-3)
        assert cell["score"] == pytest.approx(np.mean(cell["folds"]))
    best = max(curve, key=lambda cell: cell["score"])
    chosen = {name: fit.hyperparameters[name] for name in ("regularisation", "step")}
    assert chosen == {name: best[name] for name in chosen}
    w, _ = descended(X, y, *chosen.values(), SMALL.iterations)
    ours = fit.model.arrays["output.weight"]
    np.testing.assert_allclose(ours / np.linalg.norm(ours), w / np.linalg.norm(w), atol=1e-5)
    assert fit.model.predict(part.X).mean() == pytest.approx(y.mean(), abs=0.05)

    # The faster search: the same objective by a solver that needs no step, one fit per task.
    for row in fit.results["scikit_learn"]:
        for own, (inside, out) in zip(row["folds"], folds, strict=True):
            svm = LinearSVC(C=1 / (len(inside) * row["regularisation"]), loss="hinge", max_iter=2000, random_state=0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                scores = svm.fit(X[inside], y[inside]).decision_function(X[out])
            assert own == pytest.approx(average_precision_score(y[out], scores), abs=1e-3)
    assert [row["regularisation"] for row in fit.results["scikit_learn"]] == list(SMALL.regularisations)
    assert min(fit.results["seconds"].values()) > 0
    assert fit.results["seconds"].keys() == {"mllib", "scikit_learn"}


def test_the_head_is_on_the_leaderboard_with_scikit_learns(tmp_path, master, monkeypatch):
    monkeypatch.setattr("photogenic.models.heads.spark_svm.PUBLISHED", SvmGrid((1e-4,), (1.0,), iterations=20))
    store = planted(tmp_path)
    heads = ["svm", "mllib_svm"]
    board = train(store, ["popular", "like_ratio"], ["toy_a"], [*heads, "ridge"], "all", master=master)
    rows = {row["head"]: row for row in board.frame.to_dicts()}
    assert rows.keys() == {"linear_svm", "mllib_svm", "ridge"}
    assert rows["mllib_svm"]["test"] > rows["mllib_svm"]["baseline"]
    assert rows["mllib_svm"]["test"] == pytest.approx(rows["linear_svm"]["test"], abs=0.1)
    run, _ = run_store.load(store.layout, rows["mllib_svm"]["run_id"])
    assert run.hyperparameters["chosen_by"] == "average_precision"
    assert train(store, "popular", ["toy_a"], heads, "all", master=master).n_trained == 0


@pytest.mark.parametrize(
    ("heads", "master", "says"),
    [(["mllib_svm"], "sc://somewhere:15002", "needs RDDs"), (["linear_svm"], "local[2]", "Only mllib_svm")],
)
def test_masters_that_cannot_train_the_head_are_refused_before_any_training(tmp_path, heads, master, says):
    with pytest.raises(InputError, match=says):
        train(planted(tmp_path), "popular", ["toy_a"], heads, "all", master=master)


def test_without_spark_the_error_names_the_package_to_install(tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "pyspark" else find(name))
    with pytest.raises(MissingPartError) as caught:
        train(planted(tmp_path), "popular", ["toy_a"], ["mllib_svm"], "all")
    assert caught.value.remedy == "pip install 'photogenic[spark]'"
