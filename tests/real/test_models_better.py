"""Does the kernel head beat what the papers would have done? 422 rated faces, five divisions, both default encoders.

pytest tests/real/test_models_better.py -s        prints the figures that README quotes

The opponents: ridge on both vectors side by side, as `--head ridge` has it; the strongest plain ridge known here, on
vectors of unit length with a fine grid of penalties; and the published heads on `dlib_face`, the better of the two
encoders, of which dev chooses the depth. Settings of the others are cross-validated on train.
"""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold

from features import FeatureStore
from models import train
from models.division import Division
from models.metrics import bootstrap, per_user

SEEDS = range(5)
ENCODERS = ["efficientnet_lite0", "dlib_face"]
BOTH = "+".join(ENCODERS)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def errors(tmp_path_factory, data):
    """Head -> per division, weight and weighted squared error of each test user: (users, weights, errors)."""
    store, folder = FeatureStore(tmp_path_factory.mktemp("omi") / "store"), data / "omi"
    store.ingest_users(folder / "users.csv")
    store.ingest_photos(folder / "photos.csv", images=folder)
    store.ingest_swipes(folder / "swipes.csv")
    store.build(encoders=ENCODERS)
    own = store.training_set("like_ratio", encoder=BOTH, setup="one_face")
    found = {}
    for seed in SEEDS:
        division = Division(division_seed=seed)
        board = train(store, encoders=[BOTH], heads=["ridge", "kernel"], division=division).frame
        layers = train(store, encoders=["dlib_face"], heads=["0fc", "1fc", "2fc"], division=division).frame
        for name, row in (*((row["head"], row) for row in board.to_dicts()), ("published", layers.row(0, named=True))):
            said = store.sql(f"from predictions where run_id = '{row['run_id']}' order by photo_id")
            held = dict(zip(said["photo_id"], zip(said["split"], said["prediction"], strict=True), strict=True))
            split, p = (
                np.array(column) for column in zip(*(held[photo_id] for photo_id in own.photo_ids), strict=True)
            )
            found.setdefault(name, []).append(told(own, split == "test", p.astype(float)))
        found.setdefault("unit ridge", []).append(told(own, split == "test", unit_ridge(own, split == "train")))
    return found


def told(own, test, p):
    weight = own.weight[test].astype(float)
    return np.array(own.user_ids)[test], weight, weight * (own.y[test] - p[test]) ** 2


def unit_ridge(own, rows):
    """Predictions of scikit-learn's ridge on the two vectors, each of unit length."""
    parts = np.split(own.X, [1280], axis=1)
    X = np.hstack([part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts])
    weight = own.weight / own.weight[rows].mean()
    search = GridSearchCV(
        Ridge(), {"alpha": np.geomspace(1e-3, 1e3, 25)}, scoring="neg_mean_squared_error", cv=GroupKFold(5)
    )
    search.fit(X[rows], own.y[rows], sample_weight=weight[rows], groups=np.array(own.user_ids)[rows])
    return np.clip(search.predict(X), 0, 1)


@pytest.mark.parametrize(("opponent", "most"), [("ridge", 0.9), ("unit ridge", 0.9), ("published", None)])
def test_the_kernel_makes_less_error(errors, opponent, most):
    """Pooled over the five test sets; photos of a user in several of them are drawn together.

    Against the published heads on faces alone the five test sets are too small to decide: none is asked for but
    that the mean is no worse.
    """
    ours, theirs = errors["kernel"], errors[opponent]
    users = np.concatenate([users for users, _, _ in ours])
    sums = per_user(np.stack([np.concatenate([part[2] for part in parts]) for parts in (ours, theirs)], 1), users)
    draws = bootstrap(sums, np.random.default_rng(0))
    ratio, high = sums[:, 0].sum() / sums[:, 1].sum(), np.quantile(draws[:, 0] / draws[:, 1], 0.975)
    low = np.quantile(draws[:, 0] / draws[:, 1], 0.025)
    means = {name: np.mean([e.sum() / w.sum() for _, w, e in errors[name]]) for name in errors}
    print(
        f"\nkernel / {opponent}: {ratio:.3f}, 95 % {low:.3f} to {high:.3f};", {k: round(v, 4) for k, v in means.items()}
    )
    assert means["kernel"] <= (most or 1.0) * means[opponent]
    assert most is None or high < 1
