"""follower_ratios and the labels from it: rows in, rows out; bounds and ranks against numpy."""

import datetime as dt
import random

import duckdb
import numpy as np
import pytest
from scipy import stats

from photogenic import sql
from photogenic.warehouse import Store
from photogenic.warehouse.labels.build import build_labels
from photogenic.warehouse.labels.options import LabelOptions
from tests.warehouse.small import add_facts, ask, store

OLD = -24 * 60
"""Sixty days before hour 0."""

BOUNDS = sql.read("follower_bounds")
COUNTS = [*range(1, 11), *random.Random(0).sample(range(11, 5001), 30), 10**6 + 1, 10**9 - 1, 2**40 + 1]


@pytest.fixture
def db(tmp_path):
    return store(tmp_path)


def dropped(db):
    return dict(ask(db, "select photo_id, dropped from follower_ratios"))


def test_every_reason_to_leave_a_post_out(db):
    crowd = [(f"u{i}", None, 100 + i) for i in range(20)]
    add_facts(
        db,
        users=[*crowd, ("star", None, 10_000), ("ghost", None, 0), ("unknown", None)],
        photos=[
            *[(f"p{i}", f"u{i}", 10, OLD, ["me"]) for i in range(20)],
            ("undated", "u0", 10, None, ["me"]),
            ("unix zero", "u0", 10, -24 * 365 * 54, ["me"]),
            ("young", "u0", 10, 24 - 30 * 24 + 1, ["me"]),
            ("old enough", "u0", 10, 24 - 30 * 24, ["me"]),
            ("other tag", "u0", 10, OLD, ["you"]),
            ("no tag", "u0", 10, OLD),
            ("of star", "star", 10, OLD, ["me"]),
            ("of ghost", "ghost", 10, OLD, ["me"]),
            ("of unknown", "unknown", 10, OLD, ["me"]),
            ("of nobody", "nobody", 10, OLD, ["me"]),
            ("no post", "u0", None, OLD, ["me"]),
        ],
    )
    build_labels(Store(db), options=LabelOptions(hashtag="#Me"))
    found = dropped(db)
    assert "no post" not in found
    assert {photo: reason for photo, reason in found.items() if reason} == {
        "undated": "no_date",
        "unix zero": "impossible_date",
        "young": "too_young",
        "other tag": "hashtag",
        "no tag": "hashtag",
        "of star": "mad_high",
        "of ghost": "no_followers",
        "of unknown": "no_followers",
        "of nobody": "no_followers",
    }
    assert found["old enough"] is None
    assert {p for (p,) in ask(db, "select photo_id from photo_labels where source = 'posts'")} == {
        photo for photo, reason in found.items() if reason is None
    }


def test_age_is_counted_up_to_as_of_or_else_to_the_newest_arrival(db):
    add_facts(db, users=[("u", None, 5)], photos=[("p", "u", 1, 0)], arrived=24)
    build_labels(Store(db))
    assert dropped(db) == {"p": "too_young"}
    build_labels(Store(db), as_of=dt.datetime(2024, 1, 31))
    assert dropped(db) == {"p": None}
    build_labels(Store(db), as_of=dt.datetime(2024, 1, 30, 23))
    assert dropped(db) == {"p": "too_young"}


@pytest.mark.parametrize("scale", ["linear", "log"])
@pytest.mark.parametrize("threshold", [1.0, 3.0])
def test_bounds_are_scaled_median_absolute_deviations(db, scale, threshold):
    followers = np.random.default_rng(3).lognormal(6, 1.2, 60).astype(int) + 1
    add_facts(
        db,
        users=[(f"u{i}", None, int(f)) for i, f in enumerate(followers)],
        photos=[(f"p{i}-{k}", f"u{i}", 3, OLD) for i in range(60) for k in range(1 + i % 3)],
    )
    build_labels(Store(db), options=LabelOptions(follower_scale=scale, mad_threshold=threshold))
    x = np.log(followers) if scale == "log" else followers
    mad = stats.median_abs_deviation(x, scale="normal")
    low, high = np.median(x) - threshold * mad, np.median(x) + threshold * mad
    if scale == "log":
        low, high = np.exp([low, high])
    [(n_users, found_low, found_high)] = ask(db, "select n_users, low, high from follower_bounds")
    assert n_users == 60
    assert (found_low, found_high) == pytest.approx((low, high), rel=1e-12)
    expected = {
        f"p{i}-{k}": "mad_low" if f < low else "mad_high" if f > high else None
        for i, f in enumerate(followers)
        for k in range(1 + i % 3)
    }
    assert dropped(db) == expected


def test_a_face_can_be_asked_for_at_two_confidences(db):
    add_facts(
        db,
        users=[("u", None, 10)],
        photos=[(p, "u", 1, OLD) for p in ("sure", "likely", "faint", "empty", "unseen")],
        faces=[("sure", 0.95), ("sure", 0.3), ("likely", 0.6), ("faint", 0.4), ("empty", None)],
    )
    build_labels(Store(db))
    assert set(dropped(db).values()) == {None}
    build_labels(Store(db), options=LabelOptions(face_filter="lenient"))
    lenient = {"sure": None, "likely": None, "faint": "no_face", "empty": "no_face", "unseen": "no_picture"}
    assert dropped(db) == lenient
    build_labels(Store(db), options=LabelOptions(face_filter="strict"))
    assert dropped(db) == {**lenient, "likely": "no_face"}


def ranked(db, options):
    build_labels(Store(db), options=options)
    query = "select photo_id, popular, percentile from photo_labels where source = 'posts' order by all"
    return {photo: (popular, percentile) for photo, popular, percentile in ask(db, query)}


def test_the_better_half_of_all_of_a_band_or_of_ones_own(db):
    """Fans of the small account like every post: its worst post beats the best one of the big account."""
    add_facts(
        db,
        users=[("small", None, 10), ("big", None, 12), ("one", None, 11)],
        photos=[
            *[(f"s{likes}", "small", likes, OLD) for likes in (5, 6, 7, 8)],
            *[(f"b{likes}", "big", likes, OLD) for likes in (1, 2, 3, 4)],
            ("alone", "one", 4, OLD),
        ],
    )
    free = {"mad_threshold": 100.0}
    everybody = ranked(db, LabelOptions(**free))
    assert {p for p, (popular, _) in everybody.items() if popular} == {"s5", "s6", "s7", "s8"}
    assert everybody["s8"] == (True, 100.0)
    assert everybody["b1"] == (False, 0.0)
    own = ranked(db, LabelOptions(**free, normalise="user"))
    assert {p for p, (popular, _) in own.items() if popular} == {"s7", "s8", "b3", "b4"}
    assert dropped(db)["alone"] == "only_post"
    assert own["b4"] == (True, 100.0)
    bands = ranked(db, LabelOptions(**free, normalise="band", band_size=4))
    assert {p for p, (popular, _) in bands.items() if popular} == {"s7", "s8", "alone", "b3"}
    assert dict(ask(db, "select band, count(*) from follower_ratios group by all")) == {0: 4, 1: 4, 2: 1}


def test_both_sources_live_in_one_store(db):
    add_facts(
        db,
        users=[("ann", "female", 10)],
        photos=[("p", "ann", 5, OLD)],
        main_photos=[("ann", "p", 1)],
        swipes=[("bob", "ann", True, 2)],
    )
    build_labels(Store(db))
    assert ask(db, "select source, value, weight from photo_labels order by all") == [
        ("posts", 0.5, 1.0),
        ("swipes", 1.0, 1.0),
    ]
    assert len(ask(db, "select * from photo_setups")) == 1


def test_posts_that_are_all_left_out_are_noted(db):
    add_facts(db, users=[("ann", None)], photos=[("p", "ann", 5, OLD)])
    report = build_labels(Store(db))
    assert "1 no_followers" in report.notes[0]


@pytest.mark.parametrize(("scale", "noted"), [("linear", True), ("log", False)])
def test_a_negative_lower_bound_is_noted(db, scale, noted):
    followers = [10, 200, 400, 600, 5000]
    add_facts(
        db,
        users=[(f"u{n}", None, n) for n in followers],
        photos=[(f"p{n}", f"u{n}", 5, OLD) for n in followers],
    )
    report = build_labels(Store(db), options=LabelOptions(follower_scale=scale))
    ((low,),) = ask(db, "select low from follower_bounds")
    assert (low < 0) == noted
    assert any("leaves out no owner" in note and "--follower-scale log" in note for note in report.notes) == noted


def kept_between(low, high, followers):
    return [n for n in followers if low <= n <= high]


@pytest.mark.parametrize("scale", ["linear", "log"])
@pytest.mark.parametrize("n_owners", [1, 2, 4, 5])
def test_owners_exactly_at_the_bound_stay_where_all_have_as_many(db, scale, n_owners):
    """exp(ln(100)) is more than 100: an owner exactly at a bound must not be an outlier."""
    add_facts(
        db,
        users=[(f"u{i}", None, 100) for i in range(n_owners)] + [("star", None, 10**6)] * (n_owners > 3),
        photos=[(f"p{i}", f"u{i}", 10, OLD) for i in range(n_owners)] + [("star", "star", 1, OLD)] * (n_owners > 3),
    )
    build_labels(Store(db), options=LabelOptions(follower_scale=scale))
    assert ask(db, "select low, high from follower_bounds") == [(100.0, 100.0)]
    assert {photo for photo, reason in dropped(db).items() if reason is None} == {f"p{i}" for i in range(n_owners)}


@pytest.mark.parametrize(
    ("scale", "followers", "low", "high"),
    [
        ("linear", [10, 20, 30, 40, 50], 20, 40),
        ("linear", [7, 10**9 - 3, 10**9, 10**9 + 3, 10**9 + 4], 10**9 - 3, 10**9 + 3),
        ("log", [1, 10, 100, 1000, 10_000], 10, 1000),
        ("log", [3, 9, 27, 81, 243], 9, 81),
        ("log", [7, 7 * 13, 7 * 13**2, 7 * 13**3, 7 * 13**4], 7 * 13, 7 * 13**3),
    ],
)
def test_owners_one_deviation_from_the_median_stand_at_a_bound_of_one_deviation(db, scale, followers, low, high):
    """The threshold cancels 1.4826, so that the bounds equal follower counts; one follower more is an outlier."""
    add_facts(
        db,
        users=[(f"u{n}", None, n) for n in followers],
        photos=[(f"p{n}", f"u{n}", 10, OLD) for n in followers],
    )
    build_labels(Store(db), options=LabelOptions(follower_scale=scale, mad_threshold=1 / 1.482602218505602))
    assert ask(db, "select low, high from follower_bounds") == [(low, high)]
    inside = {f"p{n}" for n in kept_between(low, high, followers)}
    assert {photo for photo, reason in dropped(db).items() if reason is None} == inside


def test_no_follower_count_falls_out_of_bounds_that_are_itself():
    """Every count alone lies within the bounds, on both scales, and the next count outside."""
    with duckdb.connect() as con:
        con.execute("create table posts (user_id varchar, followers bigint, dropped varchar)")
        con.execute("insert into posts values ('u', 1, null)")
        for scale in ("linear", "log"):
            values = {"follower_scale": scale, "mad_threshold": 3.0}
            for followers in COUNTS:
                con.execute("update posts set followers = $1", [followers])
                ((low, high),) = con.execute(f"select low, high from ({BOUNDS})", values).fetchall()
                assert low == high == followers, (scale, followers)
