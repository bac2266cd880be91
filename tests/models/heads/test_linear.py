"""Linear heads equal scikit-learn on the same folds."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.svm import LinearSVC

from photogenic.models.data.samples import Samples, with_mirrors
from photogenic.models.data.targets import TARGETS
from photogenic.models.heads.base import FitData, FitSettings
from photogenic.models.heads.linear import folds_by_user
from photogenic.models.heads.registry import head as head_named
from photogenic.models.runs import run_store
from photogenic.warehouse import InputError
from tests.models.planted import QUICK, planted, train


def drawn(target, n=240, seed=0):
    """Return photos of n / 3 users whose label follows two of six dimensions; the last quarter is dev and test."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 6)) * [1, 2, 3, 4, 5, 6] + 3
    rate = 1 / (1 + np.exp(-(X[:, 0] - 3) - (X[:, 1] - 3) / 2))
    y = rate if target == "like_ratio" else rng.random(n) < rate
    return Samples(
        photo_ids=np.array([f"p{i:03d}" for i in range(n)]),
        user_ids=np.array([f"u{i // 3}" for i in range(n)]),
        X=X.astype(np.float32),
        y=np.asarray(y, np.float32),
        weight=np.ones(n, np.float32),
        gender=np.full(n, ""),
        split=np.array(["train"] * (n * 3 // 4) + ["dev"] * (n // 8) + ["test"] * (n - n * 3 // 4 - n // 8)),
    )


def fitted(samples, head, target):
    data = FitData(TARGETS[target], samples, [samples.X.shape[1]])
    return head_named(head).fit(data, FitSettings(QUICK))


@pytest.mark.parametrize(
    ("head", "target", "estimator", "scoring"),
    [
        ("linear_svm", "popular", LinearSVC(max_iter=2000, random_state=0), "average_precision"),
        ("logistic", "popular", LogisticRegression(max_iter=2000), "neg_log_loss"),
        ("ridge", "like_ratio", Ridge(), "neg_mean_squared_error"),
    ],
)
def test_each_head_equals_scikit_learns_search_on_the_same_folds(head, target, estimator, scoring):
    samples, kind = drawn(target), head_named(head).penalties
    fit, part = fitted(samples, head, target), samples.part("train")
    X = (part.X - part.X.mean(0)) / part.X.std(0)
    search = GridSearchCV(estimator, {kind.strength: kind.tried}, scoring=scoring, cv=GroupKFold(5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search.fit(X.astype(np.float64), part.y.astype(np.float64), groups=part.user_ids)
    curve = [point["score"] for point in fit.results["penalty_curve"]]
    np.testing.assert_allclose(curve, search.cv_results_["mean_test_score"], atol=2e-4)
    assert fit.hyperparameters[kind.strength] == search.best_params_[kind.strength]
    ours, theirs = fit.model.arrays["output.weight"], np.ravel(search.best_estimator_.coef_)
    if head == "linear_svm":
        ours, theirs = ours / np.linalg.norm(ours), theirs / np.linalg.norm(theirs)
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


@pytest.mark.parametrize("head", ["ridge", "linear_svm"])
def test_with_mirror_images_both_copies_stay_in_one_fold_of_scikit_learns_search(head):
    target = "like_ratio" if head == "ridge" else "popular"
    plain = drawn(target)
    both = with_mirrors(plain, replace(plain, X=plain.X + np.random.default_rng(7).normal(size=plain.X.shape)))
    part, kind = both.part("train"), head_named(head).penalties
    assert len(part) == 2 * len(plain.part("train"))
    assert len(both.part("test")) == len(plain.part("test"))
    for inside, left_out in folds_by_user(part, TARGETS[target]):
        assert not set(part.photo_ids[inside]) & set(part.photo_ids[left_out])
    fit = fitted(both, head, target)
    estimator = Ridge() if head == "ridge" else LinearSVC(max_iter=2000, random_state=0)
    scoring = "neg_mean_squared_error" if head == "ridge" else "average_precision"
    X = ((part.X - part.X.mean(0)) / part.X.std(0)).astype(np.float64)
    search = GridSearchCV(estimator, {kind.strength: kind.tried}, scoring=scoring, cv=GroupKFold(5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search.fit(X, part.y.astype(np.float64), groups=part.user_ids)
    curve = [point["score"] for point in fit.results["penalty_curve"]]
    np.testing.assert_allclose(curve, search.cv_results_["mean_test_score"], atol=2e-4)
    assert fit.hyperparameters[kind.strength] == search.best_params_[kind.strength]


def test_ridge_weighs_photos_by_their_swipes():
    samples = drawn("like_ratio")
    samples.weight[:] = np.random.default_rng(1).integers(1, 100, len(samples))
    fit, part = fitted(samples, "ridge", "like_ratio"), samples.part("train")
    X, w = (part.X - part.X.mean(0)) / part.X.std(0), part.weight / part.weight.mean()
    direct = Ridge(alpha=fit.hyperparameters["alpha"])
    weighted = direct.fit(X, part.y, sample_weight=w).coef_.copy()
    np.testing.assert_allclose(fit.model.arrays["output.weight"], weighted, atol=1e-4)
    assert np.abs(weighted - direct.fit(X, part.y).coef_).max() > 1e-3


def test_probabilities_from_margins_keep_their_order_and_mean():
    samples = drawn("popular", n=1200)
    fit, part = fitted(samples, "linear_svm", "popular"), samples.part("train")
    p = fit.model.predict(part.X)
    assert p.mean() == pytest.approx(part.y.mean(), abs=0.03)
    high = p > 0.8
    assert part.y[high].mean() == pytest.approx(p[high].mean(), abs=0.08)


def test_linear_heads_are_on_the_leaderboard_with_predictions(tmp_path):
    store = planted(tmp_path)
    heads = ["0fc", "ridge", "svm", "logistic"]
    board = train(store, ["like_ratio", "popular"], ["toy_a"], heads, "all", grid=QUICK)
    found = set(board.frame.select("target", "head").iter_rows())
    assert found == {(t, "0fc") for t in ("like_ratio", "popular")} | {
        ("like_ratio", "ridge"),
        ("popular", "linear_svm"),
        ("popular", "logistic"),
    }
    for row in board.frame.filter(board.frame["head"] != "0fc").to_dicts():
        if row["head"] == "ridge":
            assert row["gain"] > 3
        else:
            assert row["test"] > row["baseline"]
    counts = store.sql("select count(*) as n from predictions group by run_id")["n"]
    assert set(counts) == {165}
    assert train(store, ["like_ratio", "popular"], ["toy_a"], heads, "all", grid=QUICK).n_trained == 0
    run, _ = run_store.load(store.layout, board.frame.filter(head="linear_svm")["run_id"][0])
    assert [point["C"] for point in run.results["penalty_curve"]] == list(head_named("linear_svm").penalties.tried)


def test_too_few_users_and_unsuitable_targets_are_refused(tmp_path):
    samples = drawn("popular")
    samples.user_ids[:] = "one"
    with pytest.raises(InputError, match="1 users"):
        fitted(samples, "linear_svm", "popular")
    with pytest.raises(InputError, match="cannot learn"):
        train(planted(tmp_path), "popular", ["toy_a"], ["ridge"], "all")
