"""Targets and inputs of one's own on 422 rated faces: the log-odds of a like, and the look of the picture.

pytest tests/real/test_own_targets_omi.py -s        prints the figures
"""

import pytest

from photogenic.models.data.split_config import SplitConfig
from photogenic.warehouse import Store
from photogenic.warehouse.labels.build import build_labels
from tests.models.planted import train
from tests.warehouse.definitions.own import project, sql_file

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ODDS = """
select
    cast(photo_id as varchar) as photo_id, -- the photo
    cast(ln((n_likes + 5e-1) / (n_swipes - n_likes + 5e-1)) as double) as log_odds, -- log-odds of a like
    cast(n_swipes as bigint) as n_swipes, -- ratings behind it
    cast(2 * n_likes > n_swipes as boolean) as by_most -- whether most liked it
from like_ratios
where time_window = 'latest'
"""

FOLDS = SplitConfig(folds=5)


@pytest.fixture(scope="module")
def omi(rated):
    store = rated("omi")
    build_labels(
        Store(store.database, project=project({"odds": sql_file("odds", ODDS, reads="like_ratios", grain="photo_id")}))
    )
    return store


def show(frame):
    columns = ["target", "encoder", "head", "test", "low", "high", "baseline", "r2", "spearman", "auc", "n_test"]
    print(frame.select([*columns, *(["inputs"] if "inputs" in frame.columns else [])]).to_pandas().to_string())


def test_the_log_odds_of_a_like_are_learned_as_well_as_the_ratio(omi):
    own = train(omi, "odds.log_odds", ["dlib_face"], ["ridge"], division=FOLDS, weight="odds.n_swipes").frame
    ratio = train(omi, "like_ratio", ["dlib_face"], ["ridge"], division=FOLDS).frame
    show(own)
    show(ratio)
    assert own["test"][0] < 0.6 * own["baseline"][0]
    assert own["spearman"][0] > ratio["spearman"][0] - 0.03


def test_liked_by_most_is_answered_better_than_by_the_constant(omi):
    frame = train(omi, "odds.by_most", ["dlib_face"], ["logistic"], division=FOLDS).frame
    show(frame)
    assert frame["low"][0] > frame["baseline"][0]


def test_the_look_of_the_picture_says_a_little_and_less_than_the_face(omi):
    board = train(
        omi,
        "odds.log_odds",
        ["none", "dlib_face"],
        ["ridge"],
        division=FOLDS,
        weight="odds.n_swipes",
        features="photo_quality.*",
    )
    show(board.frame)
    alone, beside = (board.frame.filter(encoder=name).row(0, named=True) for name in ("none", "dlib_face"))
    for row in board.importances:
        for one in row.inputs:
            print(f"{row.reads:30} {one.input:30} {one.growth:8.4f} {one.low:8.4f} to {one.high:8.4f}")
    assert beside["test"] < alone["test"] < alone["baseline"] * 1.02
    assert board.importances[0].inputs[0].kind == "vector"
    assert board.importances[0].inputs[0].low > max(one.growth for one in board.importances[0].inputs[1:])
