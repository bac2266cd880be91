"""Wilson intervals, the beta prior and the smoothed ratios, against scipy."""

import numpy as np
import pytest
from scipy import stats

from photogenic.warehouse import Store
from photogenic.warehouse.labels.build import build_labels
from tests.warehouse.small import add_facts, ask, store

COUNTS = [(0, 1), (1, 1), (0, 7), (7, 7), (1, 2), (3, 9), (25, 31), (13, 40), (180, 200), (1, 999)]


def counted(db, counts):
    """One user and photo per (likes, swipes)."""
    add_facts(
        db,
        users=[(f"u{i}", None) for i in range(len(counts))],
        main_photos=[(f"u{i}", f"p{i}", 1) for i in range(len(counts))],
        swipes=[("fan", f"u{i}", n < k, 2) for i, (k, total) in enumerate(counts) for n in range(total)],
    )
    build_labels(Store(db))


def prior(db):
    columns = "n_photos, mean_ratio, variance, noise, fitted, alpha, beta"
    [row] = ask(db, f"select {columns} from like_ratio_prior where time_window = 'latest'")
    return row


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    db = store(tmp_path_factory.mktemp("uncertainty"))
    counted(db, COUNTS)
    return db


def test_intervals_are_wilsons(db):
    rows = ask(db, "select n_likes, n_swipes, ci_low, ci_high from like_ratios where time_window = 'latest'")
    assert sorted(row[:2] for row in rows) == sorted(COUNTS)
    for k, n, low, high in rows:
        expected = stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
        assert (low, high) == pytest.approx(expected, abs=1e-12)
        assert low >= 0
        assert high <= 1


def test_smoothed_ratio_is_the_mean_of_the_posterior(db):
    *_, alpha, beta = prior(db)
    for k, n, smoothed in ask(db, "select n_likes, n_swipes, smoothed_ratio from like_ratios"):
        assert smoothed == pytest.approx(stats.beta(alpha + k, beta + n - k).mean(), rel=1e-12)


def test_prior_has_the_moments_of_the_ratios_less_sampling_noise(db):
    n_photos, mean, variance, noise, fitted, alpha, beta = prior(db)
    k, n = np.array([pair for pair in COUNTS if pair[1] >= 2]).T
    p = k / n
    assert n_photos == len(p)
    assert mean == pytest.approx(p.mean(), abs=1e-8)
    assert variance == pytest.approx(p.var(ddof=1), abs=1e-8)
    assert noise == pytest.approx((p * (1 - p) / (n - 1)).mean(), abs=1e-8)
    assert fitted
    fit = stats.beta(alpha, beta)
    assert fit.mean() == pytest.approx(mean, abs=1e-8)
    assert fit.var() == pytest.approx(variance - noise, abs=1e-8)


def test_prior_finds_the_distribution_that_ratios_were_drawn_from(tmp_path):
    db, rng = store(tmp_path), np.random.default_rng(4)
    true = stats.beta(2, 5)
    n = rng.integers(2, 60, 400)
    counted(db, list(zip(rng.binomial(n, true.rvs(400, random_state=rng)).tolist(), n.tolist(), strict=True)))
    *_, alpha, beta = prior(db)
    assert stats.beta(alpha, beta).mean() == pytest.approx(true.mean(), abs=0.02)
    assert stats.beta(alpha, beta).std() == pytest.approx(true.std(), rel=0.1)


def test_photos_that_differ_by_chance_alone_are_drawn_to_their_mean(tmp_path):
    db = store(tmp_path)
    counted(db, [(5, 10)] * 6)
    _, mean, variance, noise, fitted, alpha, beta = prior(db)
    assert (mean, variance, fitted) == (0.5, 0, True)
    assert noise > 0
    assert alpha == beta == 30  # together the weight of all 60 swipes
    assert ask(db, "select distinct smoothed_ratio from like_ratios") == [(0.5,)]


@pytest.mark.parametrize(
    ("counts", "why"),
    [
        ([(1, 1), (0, 1)], "no photo has two swipes"),
        ([(3, 3), (2, 2)], "all are liked by all: the mean is 1"),
        ([(0, 500), (500, 500)], "ratios lie wider apart than those of any beta"),
        ([(3, 9)], "one photo has no variance, and is as sure as its swipes"),
    ],
)
def test_where_no_beta_fits_the_prior_is_uniform_and_says_so(tmp_path, counts, why):
    db = store(tmp_path)
    counted(db, counts)
    *_, fitted, alpha, beta = prior(db)
    if len(counts) == 1:
        assert (fitted, alpha, beta) == (True, pytest.approx(3), pytest.approx(6)), why
    else:
        assert (fitted, alpha, beta) == (False, 1, 1), why
        assert all(0 < s < 1 for (s,) in ask(db, "select smoothed_ratio from like_ratios"))
