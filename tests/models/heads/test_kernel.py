"""The kernel head and the forest compared with scikit-learn, and as heads of a run."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.gaussian_process.kernels import RBF
from sklearn.linear_model import LogisticRegression

from photogenic.models.data.targets import TARGETS
from photogenic.models.heads.forest import fit_forest
from photogenic.models.heads.kernel import features_of, fit_kernel, logistic, similarity
from photogenic.models.heads.model import Model, ensemble, members
from tests.models.heads.test_linear import drawn


def test_similarity_is_a_weighted_mean_of_scikit_learns_gaussian_kernels():
    rng = np.random.default_rng(0)
    A, B = rng.normal(size=(7, 5)), rng.normal(size=(4, 5))
    blocks = np.array([[0, 2, 0.3], [2, 5, 0.7]])
    expected = 0.3 * RBF(1.5 * 2**0.5)(A[:, :2], B[:, :2]) + 0.7 * RBF(1.5 * 3**0.5)(A[:, 2:], B[:, 2:])
    np.testing.assert_allclose(similarity(A, B, blocks, 1.5), expected, rtol=1e-12)


@pytest.mark.parametrize("penalty", [1.0, 0.03])
def test_the_regression_equals_scikit_learns_on_the_same_features(penalty):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(60, 3))
    alike = similarity(X, X, np.array([[0, 3, 1.0]]), 1.0)
    F, back = features_of(alike)
    np.testing.assert_allclose(F @ F.T, alike, atol=1e-4)
    np.testing.assert_allclose(alike @ back, F)
    y, weight = (rng.random(60) < 0.4).astype(float), rng.integers(1, 9, 60).astype(float)
    ours = logistic(F, y, weight, penalty)
    theirs = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=10_000).fit(F, y, sample_weight=weight)
    np.testing.assert_allclose(ours, np.r_[theirs.coef_[0], theirs.intercept_], atol=2e-3)


def test_a_ratio_is_learned_as_a_number_of_likes_in_a_number_of_swipes():
    """n likes in m swipes give the same fit as n likes and m - n dislikes one by one."""
    rng = np.random.default_rng(2)
    F, n = rng.normal(size=(40, 4)), rng.integers(1, 30, 40)
    likes = rng.binomial(n, 0.3)
    ours = logistic(F, likes / n, n.astype(float), 0.5)
    swipes = np.repeat(np.arange(40), n)
    liked = np.concatenate([np.arange(m) < k for m, k in zip(n, likes, strict=True)]).astype(float)
    np.testing.assert_allclose(ours, logistic(F[swipes], liked, np.ones(len(liked)), 0.5), atol=1e-6)


def test_a_small_encoder_is_not_dominated_by_a_large_one():
    """With six informative dimensions and 200 of noise, the informative encoder gets the larger share."""
    samples = drawn("like_ratio", n=300)
    noise = np.random.default_rng(3).normal(size=(300, 200)).astype(np.float32)
    samples.X.setflags(write=True)
    wide = samples.rows(slice(None))
    wide = type(wide)(**{n: getattr(wide, n) for n in wide.__slots__ if n != "X"}, X=np.hstack([wide.X, noise]))
    fit = fit_kernel(wide, TARGETS["like_ratio"], [6, 200])
    assert fit.hyperparameters["shares"][0] >= 0.7
    test = wide.part("test")
    assert np.mean((fit.model.predict(test.X) - test.y) ** 2) < 0.3 * test.y.var()
    assert fit.hyperparameters["likelihood"] == "binomial"


def test_landmarks_approximate_a_large_train(monkeypatch):
    samples = drawn("popular", n=400)
    whole = fit_kernel(samples, TARGETS["popular"], [6])
    monkeypatch.setattr("photogenic.models.heads.kernel.LANDMARKS", 150)
    monkeypatch.setattr("photogenic.models.heads.kernel.CHOSEN_ON", 120)
    some = fit_kernel(samples, TARGETS["popular"], [6])
    assert (whole.hyperparameters["landmarks"], some.hyperparameters["landmarks"]) == (300, 150)
    test = samples.part("test")
    assert np.corrcoef(whole.model.predict(test.X), some.model.predict(test.X))[0, 1] > 0.97


@pytest.mark.parametrize("target", ["like_ratio", "popular"])
def test_the_forest_equals_scikit_learns(target, monkeypatch):
    monkeypatch.setattr("photogenic.models.heads.forest.TREES", 30)
    samples = drawn(target)
    samples.weight[:] = np.random.default_rng(4).integers(1, 50, len(samples))
    train, test = samples.part("train"), samples.part("test")
    weight = train.weight / train.weight.mean()
    ours = fit_forest(samples, TARGETS[target], seed=5).model.predict(test.X)
    if target == "like_ratio":
        direct = RandomForestRegressor(30, max_features="sqrt", min_samples_leaf=5, random_state=5)
        theirs = direct.fit(train.X, train.y, sample_weight=weight).predict(test.X)
    else:
        forest = RandomForestClassifier(30, max_features="sqrt", random_state=5)
        theirs = forest.fit(train.X, train.y, sample_weight=weight).predict_proba(test.X)[:, 1]
    np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_a_forest_has_500_trees():
    fit = fit_forest(drawn("popular", n=60), TARGETS["popular"])
    assert len(fit.model.arrays["roots"]) == 500


def test_an_ensemble_predicts_the_mean_of_heads_that_read_different_columns():
    samples = drawn("like_ratio")
    one = fit_kernel(samples, TARGETS["like_ratio"], [6]).model
    two = Model("fc", "identity", {
        "output.weight": np.array([0.1, -0.2], np.float32), "output.bias": np.array(0.5, np.float32),
        "mean": np.zeros(2, np.float32), "scale": np.ones(2, np.float32),
    })  # fmt: skip
    both = ensemble([(one, range(6)), (two, [7, 6])])
    X = np.random.default_rng(0).normal(size=(9, 8)).astype(np.float32)
    np.testing.assert_allclose(both.predict(X), (one.predict(X[:, :6]) + two.predict(X[:, [7, 6]])) / 2)
    assert both.dim == 8
    assert [model.kind for model, _ in members(both)] == ["kernel", "fc"]
