"""Fine-tuning of the default network on 422 rated faces, compared with heads on the published network.

FINETUNE_DIVISIONS=4 pytest tests/real/test_finetune_omi.py -s        prints the figures in docs/results/tables.md

Each division takes five to ten minutes without a GPU, so that the comparison is left to `make test-thorough`.
"""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from photogenic.models.data.split_config import SplitConfig
from tests.models.planted import finetune, train

BACKBONE = "efficientnet_lite0"
DIVISIONS = [SplitConfig(division_seed=seed) for seed in range(int(os.environ.get("FINETUNE_DIVISIONS", "0")))]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def omi(rated):
    return rated("omi")


def said(store, run_id):
    """Return photo_id -> (user_id, weight, squared error, squared error of the constant) on test."""
    (results,) = store.sql(f"select results from runs where run_id = '{run_id}'").row(0)
    constant = json.loads(results)["constant"]
    rows = store.sql(
        "select photo_id, user_id, weight, value, prediction from predictions join photo_labels using (photo_id)"
        f" where run_id = '{run_id}' and split = 'test' order by photo_id"
    ).rows()
    return [(user, w, w * (y - p) ** 2, w * (y - constant) ** 2) for _, user, w, y, p in rows]


def ratio(pairs):
    """Return the error of the first divided by that of the second, with 95 % intervals over users."""
    sums = {}
    for user, a, b in pairs:
        sums[user] = sums.get(user, np.zeros(2)) + np.array([a, b])
    terms, rng = np.array(list(sums.values())), np.random.default_rng(0)
    draws = np.array([terms[rng.integers(len(terms), size=len(terms))].sum(0) for _ in range(2000)])
    a, b = terms.sum(0)
    return a / b, *np.quantile(draws[:, 0] / draws[:, 1], [0.025, 0.975])


@pytest.mark.thorough
@pytest.mark.skipif(not DIVISIONS, reason="takes half an hour; run with FINETUNE_DIVISIONS=4")
def test_a_fine_tuned_network_compared_with_heads_on_the_published_network(omi):
    against, over_constant = [], []
    for division in DIVISIONS:
        board = finetune(omi, BACKBONE, division=division, iterations=150, batch_size=32)
        tuned = said(omi, board.frame.filter(head="finetuned")["run_id"][0])
        heads = train(omi, encoders=[BACKBONE], heads=["0fc", "1fc", "2fc", "ridge", "kernel"], division=division)
        best = heads.frame.row(0, named=True)
        ours = board.frame.filter(head="finetuned").row(0, named=True)
        for row in (ours, best):
            print(f"\n{division.name} {row['head']}: dev {row['dev']:.4f}, test {row['test']:.4f}", end="")
        head = said(omi, best["run_id"])
        against += [(user, a, b) for (user, _, a, _), (_, _, b, _) in zip(tuned, head, strict=True)]
        over_constant += [(user, c, a) for user, _, a, c in tuned]
    print("\nerror over that of the head that dev prefers: {:.2f} (95 % {:.2f} to {:.2f})".format(*ratio(against)))
    found = ratio(over_constant)
    print("error of the best constant over it: {:.2f} (95 % {:.2f} to {:.2f})".format(*found))
    assert found[1] > 1.5
    assert ratio(against)[0] < 1.1


def test_intervals_have_their_stated_coverage(omi):
    """Ten divisions of 42 test photos: bounds from residuals on dev, labels of people that are not in train."""
    held, n = [], []
    for seed in range(10):
        board = train(omi, encoders=["dlib_face"], heads=["ridge"], division=SplitConfig(division_seed=seed))
        row = omi.sql(f"from runs where run_id = '{board.frame['run_id'][0]}'").to_dicts()[0]
        held.append(json.loads(row["results"])["conformal"]["coverage"])
        n.append(row["n_test"])
    print(f"\n{sum(n)} test photos of ten divisions: {np.average(held, weights=n):.3f} lie within the bounds of 0.9")
    assert np.average(held, weights=n) > 0.87
