"""Intervals of shares for few answers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from photogenic.models.data.targets import TARGETS
from photogenic.models.evaluation.comparison import Entry, compare_heads
from photogenic.models.evaluation.metrics import evaluate
from photogenic.models.evaluation.predictions import Predictions
from photogenic.models.evaluation.slices import by_value
from photogenic.models.evaluation.wilson import effective_sample_size, sign_test, wilson

GENDER = TARGETS["gender"]


@pytest.mark.parametrize(("k", "n"), [(9, 9), (0, 9), (1, 1), (5, 11), (104, 105), (1, 200), (0, 1)])
def test_wilson_equals_scipy(k, n):
    found = stats.binomtest(k, n).proportion_ci(method="wilson")
    assert wilson(k / n, n) == pytest.approx([found.low, found.high])


def test_nine_of_nine_has_a_lower_end_below_one_and_no_answers_have_no_interval():
    low, high = wilson(1.0, 9)
    assert (round(low, 2), high) == (0.70, 1.0)
    assert wilson(1.0, 0) == wilson(float("nan"), 3) == [None, None]


def test_wilson_has_its_coverage_on_few_answers():
    """Exact coverage by the binomial distribution, on average over shares, from 9 answers to 105."""
    shares = np.linspace(0.5, 0.99, 99)
    for n in (9, 31, 105):
        k = np.arange(n + 1)
        ends = np.array([wilson(each / n, n) for each in k])
        held = [(stats.binom.pmf(k, n, p) * ((ends[:, 0] <= p) & (p <= ends[:, 1]))).sum() for p in shares]
        assert np.mean(held) > 0.945


def test_photos_of_one_user_count_as_one_answer():
    users = np.array(["a", "a", "b", "c"])
    assert effective_sample_size(np.ones(4), users) == pytest.approx(16 / 6)
    assert effective_sample_size(np.ones(4), np.array(["a"] * 4)) == 1
    assert effective_sample_size(np.ones(4), np.array(list("abcd"))) == 4
    assert effective_sample_size(np.ones(0), np.array([], np.str_)) == 0


@pytest.mark.parametrize(("better", "worse"), [(0, 0), (3, 0), (0, 6), (10, 4), (7, 7)])
def test_the_sign_test_equals_scipy(better, worse):
    n = better + worse
    assert sign_test(better, worse) == pytest.approx(stats.binomtest(better, n).pvalue if n else 1)


def predicted(right, n=9):
    """Return predictions for n photos of n people, `right` of them correct."""
    y = np.arange(n) % 2.0
    p = np.where(np.arange(n) < right, y, 1 - y)
    ids, ones = np.char.mod("p%02d", np.arange(n)), np.ones(n)
    return Predictions(ids, ids, np.where(y == 1, "female", "male"), y, p, ones, 0 * ones)


def test_all_right_on_few_photos_has_an_interval_below_one():
    of = predicted(9)
    found = evaluate(
        GENDER, of.y, of.p, weight=of.weight, users=of.user_ids, constant=0.0, rng=np.random.default_rng(0)
    )
    assert found["intervals"]["metric"] == wilson(1.0, 9)
    assert found["intervals"]["baseline"] == wilson(5 / 9, 9)
    for one in by_value(GENDER, "gender", of.gender, of):
        assert one.error[:2] == (0.0, 0.0)
        assert one.error[2] > 0.4
        assert one.ratio[1:] == (None, None)


@pytest.mark.parametrize(
    ("own", "theirs", "n", "verdict"),
    [
        (9, 9, 9, "undecided"),
        (9, 8, 9, "undecided"),
        (9, 4, 9, "undecided"),  # five of nine: 0.06 by the sign test
        (9, 2, 9, "less"),
        (2, 9, 9, "more"),
        (60, 40, 60, "less"),
        (40, 60, 60, "more"),
    ],
)
def test_the_verdict_is_less_more_or_undecided(own, theirs, n, verdict):
    entries = [Entry("a", "x", "0fc", 0.9, predicted(own, n)), Entry("b", "x", "1fc", 0.8, predicted(theirs, n))]
    rival = compare_heads(GENDER, "all", entries).comparisons[1]
    assert (rival.verdict, rival.sure) == (verdict, verdict == "less")
    if n in (own, theirs):
        assert rival.ratio[1:] == (None, None)
