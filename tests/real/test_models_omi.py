"""Figures of the published kinds of heads on 422 rated faces, over five divisions into train, dev and test.

pytest tests/real/test_models_omi.py -s        prints the figures in docs/results/tables.md
"""

import functools

import numpy as np
import polars as pl
import pytest

from photogenic.warehouse.labels.options import LabelOptions
from tests.models.planted import train

ENCODERS = ["dlib_face", "efficientnet_lite0"]

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def omi(rated):
    return rated("omi")


@pytest.fixture(scope="module")
def board(omi):
    """A function that returns the leaderboard of one division, trained at the first call."""

    @functools.cache
    def trained(seed):
        omi.build(only="labels", labels=LabelOptions(split_seed=seed))
        frames = [train(omi, "like_ratio", ENCODERS, setup="one_face").frame]
        frames.append(train(omi, "gender", ["dlib_face"], setup="one_face").frame)
        return pl.concat(frames)

    return trained


@pytest.fixture(params=[2, 5], ids="{} divisions".format)
def boards(request, board):
    """One leaderboard per division."""
    return [board(seed) for seed in range(request.param)]


def best(boards, target, encoder):
    """Return, per division, the head of one depth: the depth with the best mean dev figure over the divisions."""
    rows = pl.concat(boards).filter(target=target, encoder=encoder)
    head = rows.group_by("head").agg(pl.col("dev").mean()).sort("dev", descending=target == "gender")["head"][0]
    return rows.filter(head=head).to_dicts()


def gain(omi, rows):
    """Return the error of the constant divided by that of the heads, summed over the test sets; 95 % over users."""
    sums = {}
    for row in rows:
        for user_id, *terms in omi.sql(f"""
            select user_id,
                   sum(weight * (value - prediction) ** 2),
                   sum(weight * (value - (select cast(results ->> 'constant' as double)
                                          from facts.runs where run_id = '{row["run_id"]}')) ** 2)
            from predictions join photo_labels using (photo_id)
            where run_id = '{row["run_id"]}' and split = 'test' group by user_id
        """).rows():
            sums[user_id] = sums.get(user_id, np.zeros(2)) + terms
    terms, rng = np.array(list(sums.values())), np.random.default_rng(0)
    draws = np.array([terms[rng.integers(len(terms), size=len(terms))].sum(0) for _ in range(2000)])
    low, high = np.quantile(draws[:, 1] / draws[:, 0], [0.025, 0.975])
    error, constant = terms.sum(0)
    return constant / error, low, high


def test_nearly_every_photo_has_one_face(omi):
    counts = dict(omi.sql("select setup, count(*) from photo_setups group by setup").rows())
    assert counts["all"] == 422
    assert counts["one_face"] >= 0.95 * 422


LEAST = {
    "dlib_face": {2: (2.3, 1.5), 5: (2.3, 1.5)},
    "efficientnet_lite0": {2: (1.4, 1.0), 5: (1.8, 1.5)},
}
"""By encoder and number of divisions: error of the constant over that of the heads, and lower end of its interval."""


@pytest.mark.parametrize("encoder", ENCODERS)
def test_heads_make_far_less_error_than_the_best_constant(omi, boards, encoder):
    least, surely = LEAST[encoder][len(boards)]
    rows = best(boards, "like_ratio", encoder)
    ratio, low, high = gain(omi, rows)
    means = {name: np.mean([row[name] for row in rows]) for name in ("test", "baseline", "r2", "spearman")}
    print(
        f"\n{encoder} {rows[0]['head']}: {ratio:.2f} x less error, 95 % {low:.2f} to {high:.2f};",
        {name: round(mean, 4) for name, mean in means.items()},
    )
    assert ratio >= least
    assert low > surely


def test_gender_is_predicted_from_faces(boards):
    rows = best(boards, "gender", "dlib_face")
    print("\ngender:", rows[0]["head"], [(round(row["test"], 3), row["n_test"]) for row in rows])
    assert np.average([row["test"] for row in rows], weights=[row["n_test"] for row in rows]) >= 0.97
