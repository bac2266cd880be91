"""The kernel head and the ensemble compared with the published heads, on 422 rated faces with both default encoders.

pytest tests/real/test_models_better.py -s        prints the figures in docs/results/tables.md

The kernel head is compared, over five divisions 8:1:1, with ridge regression on both vectors joined, as in
`--head ridge`, and with the strongest known plain ridge regression, on vectors of unit length with a fine grid of
penalties. All settings are cross-validated on train. Five test sets are too small for a significant difference from the
published heads on `dlib_face`.

The ensemble is compared, over five folds, so that every face is in test once, with each of its members. It is the mean
of all heads asked for, without a selection.
"""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold

from photogenic.models.data.split_config import SplitConfig
from photogenic.models.evaluation.metrics import bootstrap, per_user
from tests.models.planted import train

SEEDS = range(5)
ENCODERS = ["efficientnet_lite0", "dlib_face"]
BOTH = "+".join(ENCODERS)

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def store(rated):
    return rated("omi")


@pytest.fixture(scope="module")
def errors(store):
    """Return head -> per division, weight and weighted squared error of each test user: (users, weights, errors)."""
    own = store.training_set("like_ratio", encoder=BOTH, setup="one_face")
    found = {}
    for seed in SEEDS:
        division = SplitConfig(division_seed=seed)
        board = train(store, encoders=[BOTH], heads=["ridge", "kernel"], division=division).frame
        for row in board.to_dicts():
            said = store.sql(f"from predictions where run_id = '{row['run_id']}' order by photo_id")
            held = dict(zip(said["photo_id"], zip(said["split"], said["prediction"], strict=True), strict=True))
            split, p = (
                np.array(column) for column in zip(*(held[photo_id] for photo_id in own.photo_ids), strict=True)
            )
            found.setdefault(row["head"], []).append(user_errors(own, split == "test", p.astype(float)))
        found.setdefault("unit ridge", []).append(user_errors(own, split == "test", unit_ridge(own, split == "train")))
    return found


def user_errors(own, test, p):
    weight = own.weight[test].astype(float)
    return np.array(own.user_ids)[test], weight, weight * (own.y[test] - p[test]) ** 2


def unit_ridge(own, rows):
    """Return the predictions of scikit-learn's ridge regression on the two vectors, each of unit length."""
    parts = np.split(own.X, [1280], axis=1)
    X = np.hstack([part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts])
    weight = own.weight / own.weight[rows].mean()
    search = GridSearchCV(
        Ridge(), {"alpha": np.geomspace(1e-3, 1e3, 25)}, scoring="neg_mean_squared_error", cv=GroupKFold(5)
    )
    search.fit(X[rows], own.y[rows], sample_weight=weight[rows], groups=np.array(own.user_ids)[rows])
    return np.clip(search.predict(X), 0, 1)


@pytest.mark.parametrize("opponent", ["ridge", "unit ridge"])
def test_the_kernel_makes_at_most_nine_tenths_of_the_error_of_ridge(errors, opponent):
    """Errors are pooled over the five test sets; photos of a user in several of them are drawn together."""
    ours, theirs = errors["kernel"], errors[opponent]
    users = np.concatenate([users for users, _, _ in ours])
    sums = per_user(np.stack([np.concatenate([part[2] for part in parts]) for parts in (ours, theirs)], 1), users)
    draws = bootstrap(sums, np.random.default_rng(0))
    low, high = np.quantile(draws[:, 0] / draws[:, 1], [0.025, 0.975])
    means = {name: np.mean([e.sum() / w.sum() for _, w, e in errors[name]]) for name in ("kernel", opponent)}
    print(f"\nkernel / {opponent}: {sums[:, 0].sum() / sums[:, 1].sum():.3f}, 95 % {low:.3f} to {high:.3f};", means)
    assert means["kernel"] <= 0.9 * means[opponent]
    assert high < 1


@pytest.mark.parametrize("layers", [[], pytest.param(["0fc", "1fc"], marks=pytest.mark.thorough)])
def test_the_ensemble_makes_less_error_than_any_single_published_head(store, layers):
    heads = [*layers, "ridge", "kernel", "ensemble"]
    board = train(store, encoders=["dlib_face", BOTH], heads=heads, division=SplitConfig(folds=5))
    (found,) = board.comparisons
    assert found.winner.head == "ensemble", "the ensemble is the winner on dev"
    for rival in found.comparisons:
        low, high = rival.ratio[1:]
        print(f"\nensemble {rival.own:.4f} / {rival.encoder} {rival.head} {rival.other:.4f}:", end=" ")
        print(f"{rival.ratio[0]:.3f}, 95 % {low:.3f} to {high:.3f}", end="")
        assert rival.ratio[0] < 1, (rival.encoder, rival.head)
        if (rival.encoder, rival.head) == ("dlib_face", "0fc"):
            assert high <= 1.02, "close to the limit: 0.992 or 1.000, depending on the processor"
        elif rival.head != "kernel":
            assert rival.sure, (rival.encoder, rival.head)
        if (rival.encoder, rival.head) == (BOTH, "ridge"):
            assert rival.ratio[0] <= 0.9
