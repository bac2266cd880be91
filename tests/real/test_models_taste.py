"""Gain of a rater's own taste over the photo's own ratio, for 2,324 raters of 102 faces.

pytest tests/real/test_models_taste.py -s        prints the figures in docs/results/tables.md
"""

import pytest

from photogenic import FeatureStore
from photogenic.models.taste.cache import personal

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def measured(tmp_path_factory, data):
    store, folder = FeatureStore(tmp_path_factory.mktemp("london") / "store"), data / "london"
    store.ingest_users(folder / "users.csv")
    store.ingest_photos(folder / "photos.csv", images=folder)
    store.ingest_swipes(folder / "swipes.csv")
    store.build(encoders=["dlib_face"])
    return personal(store, "L1294", "dlib_face").evaluation


@pytest.mark.parametrize("part", ["known_photos", "new_photos"])
def test_taste_is_clearly_better_than_the_photo_alone_and_the_strictness_of_the_rater(measured, part):
    found = measured[part]
    for name in ("taste", "sender", "photo"):
        print(f"\n{part}, {name}: AUC {found[name]['auc']:.3f}, log-loss {found[name]['log_loss']:.3f}", end="")
    print(f"\n{found['n_swipes']} swipes; gain {found['gain']:.3f}, 95 % {found['interval']}")
    assert found["taste"]["auc"] > found["sender"]["auc"] > found["photo"]["auc"] + 0.08
    assert found["taste"]["log_loss"] < found["sender"]["log_loss"] < found["photo"]["log_loss"]
    assert found["interval"][0] > 0.1
