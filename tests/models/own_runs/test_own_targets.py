"""Predictions of a target that is a column, in its own unit, get the figures of the head that made them."""

from __future__ import annotations

import pytest

from photogenic.warehouse import InputError
from tests.models.planted import train
from tests.models.test_own_targets import shop

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return shop(tmp_path_factory.mktemp("shop"))


@pytest.mark.parametrize(
    ("target", "weight", "head"), [("shop.worth", "shop.trust", "ridge"), ("shop.sold", None, "logistic")]
)
def test_the_predictions_of_a_head_get_its_figures(store, target, weight, head):
    train(store, target, ["toy_a"], [head], "all", weight=weight)
    [trained] = store.sql("from runs where target = $target", {"target": target}).to_dicts()
    said = store.sql("select photo_id, prediction from predictions where run_id = $run", {"run": trained["run_id"]})
    added = store.add_run("mine", said, target=target, weight=weight, setup="all")
    [mine] = store.sql("from runs where run_id = $run", {"run": added.run_id}).to_dicts()
    assert mine["origin"] == "ingested"
    for name in ("metric", "dev", "test", "baseline", "n_test"):
        assert mine[name] == pytest.approx(trained[name]), name
    [comparison] = added.leaderboard.comparisons
    assert [one.head for one in comparison.comparisons] == ["best constant", head] or [
        one.run_id for one in comparison.comparisons
    ] == ["", trained["run_id"]]
    assert set(store.runs(target)["run_id"]) == {mine["run_id"], trained["run_id"]}
    store.promote_run(trained["run_id"])
    assert store.demote_run(target) == trained["run_id"]
    with pytest.raises(InputError, match="weight"):
        store.add_run("mine", said, target="like_ratio", weight="shop.trust", setup="all")
