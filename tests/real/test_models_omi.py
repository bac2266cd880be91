"""What published-style heads reach on 422 rated faces, over five divisions into train, dev and test.

pytest tests/real/test_models_omi.py -s        prints the figures that README quotes
"""

import numpy as np
import pytest

from features import FeatureStore
from models import train
from warehouse.options import LabelOptions

SEEDS = range(5)
ENCODERS = ["dlib_face", "efficientnet_lite0"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def omi(tmp_path_factory, data):
    store, folder = FeatureStore(tmp_path_factory.mktemp("omi") / "store"), data / "omi"
    store.ingest_users(folder / "users.csv")
    store.ingest_photos(folder / "photos.csv", images=folder)
    store.ingest_swipes(folder / "swipes.csv")
    store.build(encoders=ENCODERS)
    return store


@pytest.fixture(scope="module")
def boards(omi):
    """One leaderboard per division."""
    found = []
    for seed in SEEDS:
        omi.build(only="labels", options=LabelOptions(split_seed=seed))
        found.append(train(omi, ["like_ratio", "gender"], ENCODERS, setup="one_face").frame)
    return found


def best(board, target, encoder):
    """The head that dev ranks first."""
    return board.filter(target=target, encoder=encoder).row(0, named=True)


def gain(omi, boards, encoder):
    """Error of the constant over error of the best head, both summed over the five test sets; 95 % over users."""
    sums = {}
    for board in boards:
        row = best(board, "like_ratio", encoder)
        for user_id, *terms in omi.sql(f"""
            select user_id, sum(weight * (value - prediction) ** 2), sum(weight * (value - {row["constant"]}) ** 2)
            from predictions join photo_labels using (photo_id)
            where run_id = '{row["run_id"]}' and split = 'test' group by user_id
        """).rows():
            sums[user_id] = sums.get(user_id, np.zeros(2)) + terms
    terms, rng = np.array(list(sums.values())), np.random.default_rng(0)
    draws = np.array([terms[rng.integers(len(terms), size=len(terms))].sum(0) for _ in range(2000)])
    low, high = np.quantile(draws[:, 1] / draws[:, 0], [0.025, 0.975])
    error, constant = terms.sum(0)
    return constant / error, low, high


def test_nearly_every_photo_shows_one_face(omi):
    counts = dict(omi.sql("select setup, count(*) from photo_setups group by setup").rows())
    assert counts["one_face"] >= 0.95 * counts["all"] == 0.95 * 422


@pytest.mark.parametrize(("encoder", "least"), [("dlib_face", 2.3), ("efficientnet_lite0", 1.8)])
def test_heads_make_far_less_error_than_the_best_constant(omi, boards, encoder, least):
    ratio, low, high = gain(omi, boards, encoder)
    rows = [best(board, "like_ratio", encoder) for board in boards]
    means = {
        name: np.mean([row[name] for row in rows]) for name in ("test", "baseline", "r2", "spearman", "noise_floor")
    }
    print(
        f"\n{encoder}: {ratio:.2f} x less error, 95 % {low:.2f} to {high:.2f};",
        {k: round(v, 4) for k, v in means.items()},
    )
    assert ratio >= least
    assert low > 1.5


def test_gender_is_read_from_faces(boards):
    found = [best(board, "gender", "dlib_face") for board in boards]
    print(
        "\ngender:", [round(row["test"], 3) for row in found], "constant", [round(row["baseline"], 3) for row in found]
    )
    assert np.average([row["test"] for row in found], weights=[row["n_test"] for row in found]) >= 0.97
