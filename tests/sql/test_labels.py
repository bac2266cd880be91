"""photo_labels, photo_setups, gender_breakdown, population, funnel: rows in, rows out."""

import pytest

from photogenic.warehouse import InputError, Store
from photogenic.warehouse.labels.build import build_labels
from photogenic.warehouse.labels.options import LabelOptions
from tests.warehouse.small import add_facts, ask, store


@pytest.fixture
def db(tmp_path):
    return store(tmp_path)


def swiped(recipient, likes, others, hour=2, sender="fan"):
    return [(f"{sender}{n}", recipient, n < likes, hour) for n in range(likes + others)]


def five_users(db):
    """Ann and Bob have 3 likes of 4 swipes, Cat 1 of 4, Dan 0 of 2; Eve has no swipes."""
    users = ["ann", "bob", "cat", "dan", "eve"]
    add_facts(
        db,
        users=[(u, "female" if u in ("ann", "cat") else None) for u in users],
        photos=[(f"p-{u}", u) for u in users],
        main_photos=[(u, f"p-{u}", 1) for u in users],
        swipes=[*swiped("ann", 3, 1), *swiped("bob", 3, 1), *swiped("cat", 1, 3), *swiped("dan", 0, 2)],
    )


def test_popular_is_above_the_median_and_percentile_counts_who_is_below(db):
    five_users(db)
    build_labels(Store(db))
    assert ask(
        db,
        "select photo_id, user_id, gender, source, value, weight, popular, round(percentile, 9) "
        "from photo_labels order by photo_id",
    ) == [
        ("p-ann", "ann", "female", "swipes", 0.75, 4.0, True, 66.666666667),
        ("p-bob", "bob", None, "swipes", 0.75, 4.0, True, 66.666666667),
        ("p-cat", "cat", "female", "swipes", 0.25, 4.0, False, 33.333333333),
        ("p-dan", "dan", None, "swipes", 0.0, 2.0, False, 0.0),
    ]


def test_the_median_itself_is_not_popular(db):
    add_facts(
        db,
        users=[(u, None) for u in "abc"],
        main_photos=[(u, f"p{u}", 1) for u in "abc"],
        swipes=[*swiped("a", 1, 0), *swiped("b", 1, 1), *swiped("c", 0, 1)],
    )
    build_labels(Store(db))
    assert ask(db, "select photo_id, popular from photo_labels order by all") == [
        ("pa", True),
        ("pb", False),
        ("pc", False),
    ]


def test_too_few_swipes_make_no_label(db):
    five_users(db)
    build_labels(Store(db), options=LabelOptions(min_swipes=3))
    assert ask(db, "select photo_id from photo_labels order by all") == [("p-ann",), ("p-bob",), ("p-cat",)]
    assert ask(db, "select count(*) from like_ratios where time_window = 'latest'") == [(4,)]


def test_past_photos_are_labelled_when_every_window_counts(db):
    add_facts(
        db,
        users=[("ann", None)],
        main_photos=[("ann", "p1", 1), ("ann", "p2", 3)],
        swipes=[*swiped("ann", 2, 0, hour=2), *swiped("ann", 1, 1, hour=4)],
    )
    build_labels(Store(db))
    assert ask(db, "select photo_id, value from photo_labels") == [("p2", 0.5)]
    build_labels(Store(db), options=LabelOptions(window="every"))
    assert ask(db, "select photo_id, value from photo_labels order by all") == [("p1", 1.0), ("p2", 0.5)]


def test_breakdown_has_a_group_for_unknown_gender_on_either_side(db):
    add_facts(
        db,
        users=[("ann", "female"), ("bob", "male"), ("cat", "female"), ("dan", None)],
        main_photos=[("ann", "pa", 1), ("cat", "pc", 1), ("dan", "pd", 1)],
        swipes=[
            *[("bob", "ann", liked, 2 + n) for n, liked in enumerate([True, True, True, False])],
            ("bob", "cat", False, 2),
            ("stranger", "ann", True, 2),
            ("bob", "dan", True, 2),
        ],
    )
    build_labels(Store(db))
    rows = ask(
        db,
        "select sender_gender, recipient_gender, n_recipients, n_swipes, n_likes, like_ratio, mean_like_ratio "
        "from gender_breakdown where time_window = 'latest' order by all",
    )
    assert rows == [
        ("male", "female", 2, 5, 3, 0.6, 0.375),  # pooled 3/5; mean of 3/4 and 0/1
        ("male", None, 1, 1, 1, 1.0, 1.0),
        (None, "female", 1, 1, 1, 1.0, 1.0),
    ]


def test_breakdown_pools_the_photos_of_a_recipient_before_it_takes_the_mean(db):
    add_facts(
        db,
        users=[("ann", "female"), ("bob", "male"), ("cat", "female")],
        main_photos=[("ann", "p1", 1), ("ann", "p2", 5), ("cat", "pc", 1)],
        swipes=[("bob", "ann", True, 2), ("bob", "ann", True, 3), ("bob", "ann", False, 6), ("bob", "cat", False, 2)],
    )
    build_labels(Store(db))
    query = "select time_window, n_recipients, mean_like_ratio from gender_breakdown order by all"
    [(_, n_every, every), (_, n_latest, latest)] = ask(db, query)
    assert (n_every, every) == (2, pytest.approx((2 / 3 + 0) / 2, abs=1e-12))
    assert (n_latest, latest) == (2, 0.0)


def test_population_counts_users_and_the_swipes_they_sent(db):
    add_facts(
        db,
        users=[("ann", "female"), ("bob", "male"), ("cat", None), ("dan", "male")],
        photos=[("pb", "bob")],
        main_photos=[("ann", "pa", 1)],
        swipes=[
            ("bob", "ann", True, 2),
            ("bob", "cat", True, 2),
            ("ann", "bob", True, 2),
            ("stranger", "ann", True, 2),
        ],
    )
    build_labels(Store(db))
    assert ask(db, "select stage, gender, n_users, n_swipes_sent from population order by all") == [
        ("ingested", "female", 1, 1),
        ("ingested", "male", 2, 2),
        ("ingested", None, 1, 0),
        ("labelled", "female", 1, 1),
        ("unknown_sender", None, 1, 1),
        ("with_photo", "female", 1, 1),
        ("with_photo", "male", 1, 2),
    ]


def test_funnel_counts_the_rest_after_each_step(db):
    five_users(db)
    add_facts(db, main_photos=[("ann", "p-new", 10)], swipes=swiped("ann", 1, 0, hour=11), arrived=25)
    report = build_labels(Store(db))
    assert [(s.step, s.n_users, s.n_photos, s.n_swipes) for s in report.funnel if s.source == "swipes"] == [
        ("ingested", 5, 6, 15),
        ("with_photo", 5, 6, 15),
        ("every", 4, 5, 15),
        ("latest", 4, 4, 11),
        ("labelled", 4, 4, 11),
    ]


def test_one_face_needs_exactly_one(db):
    five_users(db)
    add_facts(db, faces=[("p-ann", 0.9), ("p-bob", 0.9), ("p-bob", 0.8), ("p-cat", None)])
    build_labels(Store(db))
    assert ask(db, "select photo_id from photo_setups where setup = 'one_face'") == [("p-ann",)]
    assert len(ask(db, "select photo_id from photo_setups where setup = 'all'")) == 4


def many_users(db, n=2000):
    """Users with two photos each, both labeled in the window `every`, each with one face."""
    users = [f"user-{i}" for i in range(n)]
    add_facts(
        db,
        users=[(u, None) for u in users],
        photos=[(f"{u}-{k}", u) for u in users for k in "ab"],
        main_photos=[(u, f"{u}-{k}", at) for u in users for k, at in (("a", 1), ("b", 3))],
        swipes=[("fan", u, True, at) for u in users for at in (2, 4)],
        faces=[(f"{u}-{k}", 0.9) for u in users for k in "ab"],
    )


def test_splits_are_by_user_eight_to_one_to_one_and_each_setup_is_shuffled_by_itself(db):
    many_users(db)
    build_labels(Store(db), options=LabelOptions(window="every"))
    splits = dict(ask(db, "select split, count(*) / 4000 from photo_setups where setup = 'all' group by all"))
    assert splits == {
        "train": pytest.approx(0.8, abs=0.03),
        "dev": pytest.approx(0.1, abs=0.03),
        "test": pytest.approx(0.1, abs=0.03),
    }
    by_photo = "select photo_id, split from photo_setups where setup = '{}' order by all"
    ours, faces = (dict(ask(db, by_photo.format(setup))) for setup in ("all", "one_face"))
    assert all(ours[f"{p[:-1]}a"] == ours[f"{p[:-1]}b"] for p in ours)
    both = [p for p in ours if ours[p] == "test" and faces[p] == "test"]
    assert len(both) / len(ours) < 0.03  # chance: one in a hundred


def test_splits_stay_when_photos_go_and_change_with_the_seed(db):
    many_users(db, 200)
    build_labels(Store(db), options=LabelOptions(window="every"))
    every = dict(ask(db, "select photo_id, split from photo_setups where setup = 'all'"))
    build_labels(Store(db), options=LabelOptions(window="latest"))
    latest = dict(ask(db, "select photo_id, split from photo_setups where setup = 'all'"))
    assert len(latest) == 200
    assert latest.items() <= every.items()
    build_labels(Store(db), options=LabelOptions(window="latest", split_seed=1))
    other = dict(ask(db, "select photo_id, split from photo_setups where setup = 'all'"))
    assert other.keys() == latest.keys()
    assert other != latest


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        ({"window": "newest"}, "--window latest"),
        ({"min_swipes": 0}, "--min-swipes 1"),
        ({"strict_confidence": 1.5}, "--strict-confidence"),
        ({"mad_threshold": float("nan")}, "--mad-threshold"),
        ({"band_size": 1}, "--band-size 100"),
    ],
)
def test_options_that_mean_nothing_are_refused(wrong, remedy):
    with pytest.raises(InputError, match=remedy):
        LabelOptions(**wrong)
