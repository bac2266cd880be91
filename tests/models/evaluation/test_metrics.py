"""Metrics compared with closed forms, scikit-learn and simulation."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from photogenic.models.data.targets import TARGETS, recorded
from photogenic.models.evaluation.conformal import bounds, coverage, radius
from photogenic.models.evaluation.metrics import bootstrap, evaluate, log_loss, mse, noise_floor, per_user
from photogenic.models.evaluation.predictions import Predictions


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def evaluated(target, y, p, weight=None, users=None, constant=0.4, seed=0):
    weight = np.ones(len(y)) if weight is None else weight
    users = np.arange(len(y)).astype(str) if users is None else users
    return evaluate(
        TARGETS[target], y, p, weight=weight, users=users, constant=constant, rng=np.random.default_rng(seed)
    )


def test_figures_of_a_ratio_equal_scikit_learn(rng):
    y, p, w = rng.random(80), rng.random(80), rng.integers(1, 90, 80)
    found = evaluated("like_ratio", y, p, w)
    assert found["metric"] == pytest.approx(sk.mean_squared_error(y, p, sample_weight=w), rel=1e-12)
    assert found["baseline"] == pytest.approx(sk.mean_squared_error(y, np.full(80, 0.4), sample_weight=w), rel=1e-12)
    assert found["r2"] == pytest.approx(sk.r2_score(y, p, sample_weight=w), rel=1e-12)
    assert found["spearman"] == pytest.approx(stats.spearmanr(y, p).statistic, rel=1e-12)
    assert found["gain"] == pytest.approx(found["baseline"] / found["metric"])
    assert mse(y, p, w) == pytest.approx(found["metric"])


def test_figures_of_a_binary_target_equal_scikit_learn(rng):
    y, p, w = (rng.random(80) < 0.3).astype(float), rng.random(80), rng.random(80)
    found = evaluated("gender", y, p, w)
    assert found["metric"] == pytest.approx(sk.accuracy_score(y, p >= 0.5, sample_weight=w))
    assert found["baseline"] == pytest.approx(np.average(y == 0, weights=w))
    assert found["log_loss"] == pytest.approx(sk.log_loss(y, p, sample_weight=w))
    assert found["auc"] == pytest.approx(sk.roc_auc_score(y, p))
    assert found["average_precision"] == pytest.approx(sk.average_precision_score(y, p))
    assert log_loss(np.array([1.0]), np.array([0.0]), np.ones(1)) == pytest.approx(-np.log(1e-7))


def test_undefined_figures_are_none():
    found = evaluated("like_ratio", np.array([0.5, 0.5]), np.array([0.5, 0.5]), np.ones(2))
    assert (found["metric"], found["r2"], found["spearman"], found["noise_floor"]) == (0.0, None, None, None)
    assert evaluated("popular", np.ones(3), np.array([0.1, 0.6, 0.7]))["auc"] is None


def test_the_noise_floor_is_the_error_of_the_true_ratios(rng):
    """Simulation: the mean of the estimate over draws is the mean error of the true ratios."""
    p, n = rng.beta(2, 3, 300), rng.integers(2, 40, 300)
    draws = [rng.binomial(n, p) / n for _ in range(400)]
    floors = np.array([noise_floor(y, n) for y in draws])
    errors = np.array([mse(y, p, n) for y in draws])
    assert floors.mean() == pytest.approx(errors.mean(), abs=3 * (floors - errors).std() / 20)
    assert floors.mean() == pytest.approx(np.average(p * (1 - p) / n, weights=n), rel=0.01)


def test_photos_with_one_swipe_do_not_count_in_the_noise_floor():
    assert noise_floor(np.array([0.5, 1.0, 0.0]), np.array([2, 1, 1])) == pytest.approx(0.25)
    assert np.isnan(noise_floor(np.array([1.0]), np.array([1])))


def test_sums_per_user_add_up_their_photos():
    terms = np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]])
    np.testing.assert_array_equal(per_user(terms, np.array(["b", "a", "b"])), [[2, 20], [5, 50]])


def test_the_bootstrap_draws_users_not_photos(rng):
    """With ten equal photos for each of twenty users, the interval is as wide as for twenty values."""
    values = rng.normal(size=20)
    users = np.repeat(np.arange(20), 10).astype(str)
    sums = per_user(np.stack([np.ones(200), np.repeat(values, 10)], 1), users)
    draws = bootstrap(sums, np.random.default_rng(0), 4000)
    means = draws[:, 1] / draws[:, 0]
    assert means.std() == pytest.approx(values.std() / np.sqrt(20), rel=0.05)


def test_the_interval_of_a_rank_correlation_ranks_each_sample_again(rng):
    """Compare with scipy on every draw: users have three photos, and labels have ties."""
    users, y = np.repeat(np.arange(15), 3).astype(str), rng.integers(0, 5, 45) / 4
    p = y + rng.normal(size=45)
    found = evaluated("like_ratio", y, p, users=users)["intervals"]["spearman"]
    draws = []
    for _ in range(2000):
        rows = (3 * rng.integers(15, size=15)[:, None] + np.arange(3)).ravel()
        draws.append(stats.spearmanr(y[rows], p[rows]).statistic)
    np.testing.assert_allclose(found, np.quantile(draws, [0.025, 0.975]), atol=0.04)


@pytest.mark.slow
def test_intervals_have_their_stated_coverage():
    """Compute 95 % intervals of the error of a known predictor, over 200 test sets."""
    rng, hits = np.random.default_rng(1), 0
    for _ in range(200):
        y = rng.random(60)
        low, high = evaluated("like_ratio", y, np.full(60, 0.5), seed=int(rng.integers(1 << 30)))["intervals"]["metric"]
        hits += low <= 1 / 12 <= high
    assert 0.88 <= hits / 200 <= 0.99


def test_intervals_are_seeded():
    y, p = np.linspace(0, 1, 30), np.linspace(1, 0, 30)
    assert evaluated("like_ratio", y, p, seed=1) == evaluated("like_ratio", y, p, seed=1)
    assert evaluated("like_ratio", y, p, seed=1) != evaluated("like_ratio", y, p, seed=2)


def test_conformal_intervals_have_their_coverage_for_any_model(rng):
    """Averaged over many dev sets, the coverage of new photos is at least the level, and hardly above it."""
    held = []
    for _ in range(300):
        y, p = rng.random(60), rng.random(60) ** 2
        held.append(coverage(y[40:], p[40:], radius(y[:40], p[:40], 0.9)))
    assert 0.895 <= np.mean(held) <= 0.93


def test_a_dev_set_too_small_for_the_level_gives_the_whole_range():
    assert radius(np.zeros(8), np.full(8, 0.1), 0.9) == 1.0
    assert radius(np.zeros(9), np.linspace(0.1, 0.9, 9), 0.9) == pytest.approx(0.9)


def test_a_number_of_any_size_has_no_whole_range():
    ids = np.arange(9).astype(str)
    nine = Predictions(ids, ids, ids, np.full(9, 50.0), np.full(9, 20.0), np.ones(9), np.full(9, 40.0))
    eight = Predictions(*(getattr(nine, name)[:8] for name in Predictions.__slots__))
    worth = recorded("shop.worth", "mse")
    assert bounds(worth, eight, nine) == {}
    assert bounds(worth, nine, eight) == {"conformal": {"level": 0.9, "radius": 30.0, "coverage": 1.0}}
    assert bounds(TARGETS["like_ratio"], eight, nine)["conformal"]["radius"] == 1.0
    assert bounds(recorded("shop.sold", "accuracy"), nine, nine) == {}
