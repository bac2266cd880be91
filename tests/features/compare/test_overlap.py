"""Overlap of two rankings against sets, and rank-biased overlap against the series of its definition."""

import numpy as np
import pytest

from photogenic.features.compare.overlap import in_common, rank_biased_overlap, share_at


def rankings(rng, n, k, candidates, n_ranked=None):
    found = np.full((n, k), -1)
    for row in found:
        row[: n_ranked or k] = rng.permutation(candidates)[: n_ranked or k]
    return found


def test_the_share_in_common_is_that_of_the_sets():
    rng = np.random.default_rng(0)
    a, b = rankings(rng, 40, 12, 20), rankings(rng, 40, 12, 20)
    common, ranked = in_common(a, b), np.full(40, 12)
    for k in (1, 3, 12, 99):
        expected = [len(set(x[:k]) & set(y[:k])) / min(k, 12) for x, y in zip(a, b, strict=True)]
        np.testing.assert_allclose(share_at(common, ranked, k), expected)


def by_definition(x, y, p):
    """Equation 32 of Webber et al. with the sums written out."""
    k = len(x)
    agreement = [len(set(x[:d]) & set(y[:d])) for d in range(1, k + 1)]
    series = sum(agreement[d - 1] / d * p**d for d in range(1, k + 1))
    return agreement[-1] / k * p**k + (1 - p) / p * series


@pytest.mark.parametrize("p", [0.5, 0.9])
def test_rank_biased_overlap_is_its_series(p):
    rng = np.random.default_rng(1)
    a, b = rankings(rng, 30, 15, 25), rankings(rng, 30, 15, 25)
    found = rank_biased_overlap(in_common(a, b), np.full(30, 15), p)
    np.testing.assert_allclose(found, [by_definition(x, y, p) for x, y in zip(a, b, strict=True)])


def test_equal_rankings_overlap_entirely_and_disjoint_ones_not_at_all():
    a = np.arange(24).reshape(2, 12)
    ranked = np.full(2, 12)
    np.testing.assert_allclose(rank_biased_overlap(in_common(a, a), ranked), 1)
    assert (rank_biased_overlap(in_common(a, a[::-1]), ranked) == 0).all()


def test_the_first_ranks_weigh_more():
    a = np.arange(10)[None]
    top, bottom = a.copy(), a.copy()
    top[0, :2], bottom[0, -2:] = (98, 99), (98, 99)
    ranked = np.array([10])
    assert rank_biased_overlap(in_common(a, top), ranked) < rank_biased_overlap(in_common(a, bottom), ranked)
    assert share_at(in_common(a, top), ranked, 10) == share_at(in_common(a, bottom), ranked, 10)


def test_padding_is_never_in_common_and_short_rankings_count_as_they_are():
    a = np.array([[4, 5, -1, -1], [-1, -1, -1, -1]])
    ranked = np.array([2, 0])
    common = in_common(a, a)
    assert common[0].tolist() == [1, 2, 2, 2]
    assert share_at(common, ranked, 4)[0] == 1
    assert np.isnan(share_at(common, ranked, 4)[1])
    assert np.isnan(rank_biased_overlap(common, ranked)[1])
    assert rank_biased_overlap(common, ranked)[0] == pytest.approx(1)
