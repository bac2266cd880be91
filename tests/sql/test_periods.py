"""photo_periods and swipe_audit: rows in, rows out, one edge a test."""

import pytest

from photogenic.warehouse import Store
from photogenic.warehouse.labels.build import build_labels
from tests.warehouse.small import add_facts, ask, hour, store


@pytest.fixture
def db(tmp_path):
    return store(tmp_path)


def periods(db):
    return ask(db, "select photo_id, user_id, valid_from, valid_to from photo_periods order by user_id, valid_from")


def reasons(db):
    return dict(ask(db, "select reason, n_swipes from swipe_audit"))


def test_each_change_ends_one_period_and_begins_the_next(db):
    add_facts(db, users=[("ann", "female")], main_photos=[("ann", "p1", 1), ("ann", "p2", 5), ("ann", "p1", 7)])
    build_labels(Store(db))
    assert periods(db) == [
        ("p1", "ann", hour(1), hour(5)),
        ("p2", "ann", hour(5), hour(7)),
        ("p1", "ann", hour(7), None),
    ]


def test_events_out_of_order_are_put_in_order(db):
    add_facts(db, users=[("ann", None)], main_photos=[("ann", "p2", 5), ("ann", "p1", 1)])
    build_labels(Store(db))
    assert periods(db) == [("p1", "ann", hour(1), hour(5)), ("p2", "ann", hour(5), None)]


def test_setting_the_same_photo_again_is_no_change(db):
    add_facts(
        db,
        users=[("ann", None), ("bob", None)],
        main_photos=[("ann", "p1", 1), ("ann", "p1", 4), ("ann", "p1", 4), ("ann", "p2", 6)],
        swipes=[("bob", "ann", True, 2), ("bob", "ann", True, 5)],
    )
    build_labels(Store(db))
    assert periods(db) == [("p1", "ann", hour(1), hour(6)), ("p2", "ann", hour(6), None)]
    assert reasons(db) == {"stale_photo": 2}


def test_of_two_photos_at_one_instant_the_later_id_holds(db):
    add_facts(db, users=[("ann", None)], main_photos=[("ann", "p9", 1), ("ann", "p10", 1)])
    build_labels(Store(db))
    assert periods(db) == [("p9", "ann", hour(1), None)]  # byte order: '9' after '1'


def test_a_photo_set_at_the_instant_of_a_removal_holds(db):
    add_facts(db, users=[("ann", None)], main_photos=[("ann", "p1", 1), ("ann", None, 2), ("ann", "p2", 2)])
    build_labels(Store(db))
    assert periods(db) == [("p1", "ann", hour(1), hour(2)), ("p2", "ann", hour(2), None)]


def test_a_removed_photo_ends_and_later_swipes_go_nowhere(db):
    add_facts(
        db,
        users=[("ann", None), ("bob", None)],
        main_photos=[("ann", "p1", 1), ("ann", None, 3)],
        swipes=[("bob", "ann", True, 2), ("bob", "ann", True, 3), ("bob", "ann", True, 9)],
    )
    build_labels(Store(db))
    assert periods(db) == [("p1", "ann", hour(1), hour(3))]
    assert reasons(db) == {"stale_photo": 1, "photo_removed": 2}
    assert ask(db, "select photo_id, time_window, n_swipes from like_ratios") == [("p1", "every", 1)]


def test_a_removal_before_any_photo_says_nothing(db):
    add_facts(
        db,
        users=[("ann", None), ("bob", None)],
        main_photos=[("ann", None, 1), ("ann", "p1", 5), ("bob", None, 1)],
        swipes=[("bob", "ann", True, 2), ("ann", "bob", True, 2)],
    )
    build_labels(Store(db))
    assert periods(db) == [("p1", "ann", hour(5), None)]
    assert reasons(db) == {"before_first_photo": 1, "no_photo": 1}


def test_a_swipe_at_the_instant_of_a_change_is_of_the_new_photo(db):
    add_facts(
        db,
        users=[("ann", None), ("bob", None)],
        main_photos=[("ann", "p1", 1), ("ann", "p2", 5)],
        swipes=[("bob", "ann", True, 1), ("bob", "ann", False, 5)],
    )
    build_labels(Store(db))
    assert ask(db, "select photo_id, n_likes, n_swipes from like_ratios where time_window = 'every' order by all") == [
        ("p1", 1, 1),
        ("p2", 0, 1),
    ]
    assert ask(db, "select photo_id from like_ratios where time_window = 'latest'") == [("p2",)]


def test_every_reason_has_its_swipe(db):
    add_facts(
        db,
        users=[("ann", "female"), ("bob", "male"), ("cat", None)],
        photos=[("p1", "ann"), ("p2", "ann"), ("q1", "bob")],
        main_photos=[("ann", "p1", 1), ("ann", "p2", 5), ("bob", "q1", 1), ("bob", None, 2), ("bob", "p1", 3)],
        swipes=[
            ("bob", "ann", True, 6),  # kept
            ("nobody", "ann", True, 6),  # kept: a sender need not be known
            ("bob", "ann", True, 2),  # stale_photo
            ("bob", "ann", True, 0),  # before_first_photo
            ("ann", "bob", True, 2.5),  # photo_removed
            ("ann", "bob", True, 4),  # foreign_photo: p1 is Ann's
            ("ann", "cat", True, 4),  # no_photo
            ("ann", "nobody", True, 4),  # unknown_recipient
            ("ann", "ann", True, 6),  # self_swipe
            ("ann", "ann", True, 0),  # before the first photo, for any sender
        ],
    )
    build_labels(Store(db))
    assert ask(db, "select reason, n_swipes, in_latest, in_every from swipe_audit order by reason") == [
        ("before_first_photo", 2, False, False),
        ("foreign_photo", 1, False, False),
        ("kept", 2, True, True),
        ("no_photo", 1, False, False),
        ("photo_removed", 1, False, False),
        ("self_swipe", 1, False, False),
        ("stale_photo", 1, False, True),
        ("unknown_recipient", 1, False, False),
    ]
    assert ask(db, "select count(*) from swipes") == [(10,)]


def test_a_photo_that_two_users_show_belongs_to_the_first_who_did(db):
    add_facts(
        db,
        users=[("ann", None), ("bob", None)],
        main_photos=[("bob", "p1", 1), ("ann", "p1", 2)],
        swipes=[("ann", "bob", True, 3), ("bob", "ann", True, 3)],
    )
    build_labels(Store(db))
    assert periods(db) == [("p1", "bob", hour(1), None)]
    assert reasons(db) == {"kept": 1, "foreign_photo": 1}


def test_a_photo_shown_twice_sums_its_periods_in_every_but_not_in_latest(db):
    add_facts(
        db,
        users=[("ann", None), ("bob", None)],
        main_photos=[("ann", "p1", 1), ("ann", "p2", 5), ("ann", "p1", 7)],
        swipes=[("bob", "ann", True, 2), ("bob", "ann", False, 6), ("bob", "ann", False, 8)],
    )
    build_labels(Store(db))
    assert ask(db, "select photo_id, time_window, n_likes, n_swipes from like_ratios order by all") == [
        ("p1", "every", 1, 2),
        ("p1", "latest", 0, 1),
        ("p2", "every", 0, 1),
    ]


def test_without_photos_all_swipes_say_so_and_the_build_notes_it(db):
    add_facts(db, users=[("ann", None)], swipes=[("bob", "ann", True, 1), ("bob", "ann", False, 1)])
    report = build_labels(Store(db))
    assert reasons(db) == {"no_photo": 2}
    assert "2 no_photo" in report.notes[0]
    assert "ingest main-photos" in report.notes[0]


def test_an_empty_store_builds(db):
    add_facts(db)
    report = build_labels(Store(db))
    assert report.notes == ()
    assert ask(db, "select count(*) from like_ratios") == [(0,)]
    assert {step.n_users for step in report.funnel} == {0}
