"""photo_swipes: each swipe with its photo, reason, genders and ages; both choices of the gender that counts."""

import datetime as dt
import random

import pytest

from photogenic.warehouse import QueryError, Store
from photogenic.warehouse.duckdb_store.query import sql
from photogenic.warehouse.labels import incremental
from photogenic.warehouse.labels.build import build_labels
from photogenic.warehouse.labels.options import LabelOptions
from tests.sql import plain
from tests.sql.test_plain import random_facts
from tests.warehouse.small import add_facts, ask, everything, hour, store

NOW, THEN = LabelOptions(gender="now"), LabelOptions(gender="then")
GENDERS = ["female", "male", "other", None]


@pytest.fixture
def db(tmp_path):
    return store(tmp_path)


def add_versions(db, versions):
    """Append versions of users: (user_id, gender, hour of updated_at or None, hour of arrival[, batch])."""
    rows = [[user, gender, hour(arrived), hour(updated), sum(b)] for user, gender, updated, arrived, *b in versions]
    with db.write("test") as con:
        con.executemany(
            "insert into facts.users (user_id, gender, ingested_at, updated_at, batch) values ($1, $2, $3, $4, $5)",
            rows,
        )


def gender_then(versions, user, at):
    """The gender of a user at an hour, looked up in all versions."""
    ordered = sorted(
        (
            (arrived if updated is None else updated, arrived, place, gender)
            for place, (owner, gender, updated, arrived, *_) in enumerate(versions)
            if owner == user
        ),
        key=lambda version: version[:3],
    )
    past = [version for version in ordered if version[0] <= at]
    if past:
        return past[-1][3]
    first = [version for version in ordered if version[0] == ordered[0][0]]
    return first[-1][3]


def test_before_the_first_build_the_way_out_is_to_build(db):
    add_facts(db, users=[("ann", None)])
    with pytest.raises(QueryError, match=r"photo_swipes has not been computed yet[\s\S]*features build"):
        sql(db, "from photo_swipes")


@pytest.mark.parametrize("seed", range(3))
def test_every_swipe_has_the_photo_and_the_reason_of_a_plain_computation(db, seed):
    facts = random_facts(seed)
    add_facts(db, users=facts.users, photos=facts.photos, main_photos=facts.main_photos, swipes=facts.swipes)
    build_labels(Store(db))
    cuts, owner = {user[0]: plain.changes(facts, user[0]) for user in facts.users}, plain.owners(facts)
    gender = dict(facts.users)
    expected = []
    for swipe in facts.swipes:
        reason, photo = plain.fate(facts, swipe, cuts, owner)
        sender, recipient, liked, at = swipe
        expected.append((sender, recipient, liked, hour(at), photo, reason, gender.get(sender), gender.get(recipient)))
    found = ask(
        db,
        "select sender_id, recipient_id, liked, swiped_at, photo_id, reason, sender_gender, recipient_gender "
        "from photo_swipes",
    )
    assert sorted(found, key=str) == sorted(expected, key=str)
    counts = ask(
        db, "select reason, count(*), count(*) filter (where liked) from photo_swipes group by all order by all"
    )
    assert counts == ask(db, "select reason, n_swipes, n_likes from swipe_audit order by all")


def test_age_counts_from_the_time_online_and_main_for_from_the_last_change(db):
    add_facts(
        db,
        users=[("ann", None), ("bob", None)],
        photos=[("early", "ann", None, 2), ("late", "ann", None, 9), ("undated", "ann")],
        main_photos=[("ann", "early", 4), ("ann", "late", 6), ("ann", "undated", 8), ("ann", "late", 10)],
        swipes=[("bob", "ann", True, n) for n in (3, 5, 7, 9, 11)],
    )
    build_labels(Store(db))
    ages = ask(db, "select photo_id, photo_age_s / 3600, main_for_s / 3600 from photo_swipes order by swiped_at")
    assert ages == [
        (None, None, None),
        ("early", 3, 1),  # posted at 2
        ("late", 1, 1),  # main at 6, before the 9 at which it was posted
        ("undated", 1, 1),
        ("late", 5, 1),
    ]


def test_a_removed_photo_and_a_swipe_on_oneself_are_credited_to_nothing(db):
    add_facts(
        db,
        users=[("ann", None), ("bob", None)],
        photos=[("pa", "ann")],
        main_photos=[("ann", "pa", 1), ("ann", None, 5)],
        swipes=[("ann", "ann", True, 2), ("bob", "ann", True, 6)],
    )
    build_labels(Store(db))
    rows = ask(db, "select photo_id, reason, photo_age_s, main_for_s from photo_swipes order by swiped_at")
    assert rows == [(None, "self_swipe", None, None), (None, "photo_removed", None, None)]


def world(seed):
    """Random facts, and versions of the users of which some change their gender, late, early and at one instant."""
    rng, facts = random.Random(seed), random_facts(seed)
    versions = [(user, gender, None, rng.choice([-5, 3, 30])) for user, gender in facts.users]
    for _ in range(12):
        user, _ = rng.choice(facts.users)
        updated = rng.choice([None, *range(0, 22, 3)])
        versions.append((user, rng.choice(GENDERS), updated, 31 + len(versions) if updated is None else 31))
    return facts, [(*version, batch) for batch, version in enumerate(versions)]


def add_world(db, facts, versions):
    add_facts(db, photos=facts.photos, main_photos=facts.main_photos, swipes=facts.swipes)
    add_versions(db, versions)


def recounted(facts, versions):
    """Sender gender, recipient gender -> swipes and recipients of the window `every`, one swipe at a time."""
    cuts, owner = {user[0]: plain.changes(facts, user[0]) for user in facts.users}, plain.owners(facts)
    known, counts, people = {user for user, *_ in versions}, {}, {}
    for swipe in facts.swipes:
        _, photo = plain.fate(facts, swipe, cuts, owner)
        if photo is not None:
            sender, recipient, _, at = swipe
            of_sender = gender_then(versions, sender, at) if sender in known else None
            key = of_sender, gender_then(versions, recipient, at)
            counts[key] = counts.get(key, 0) + 1
            people.setdefault(key, set()).add(recipient)
    return {key: (n, len(people[key])) for key, n in counts.items()}


@pytest.mark.parametrize("seed", range(12))
def test_genders_at_the_swipe_equal_a_plain_recount(db, seed):
    facts, versions = world(seed)
    add_world(db, facts, versions)
    build_labels(Store(db), options=THEN)
    expected = recounted(facts, versions)
    breakdown = ask(
        db,
        "select sender_gender, recipient_gender, n_swipes, n_recipients from gender_breakdown "
        "where time_window = 'every'",
    )
    assert {row[:2]: row[2:] for row in breakdown} == expected
    swipes = ask(
        db,
        "select sender_gender, recipient_gender, count(*), count(distinct recipient_id) from photo_swipes "
        "where photo_id is not null group by all",
    )
    assert {row[:2]: row[2:] for row in swipes} == expected
    assert set(ask(db, "select photo_id, user_id, valid_from, valid_to from photo_periods")) == {
        (p, u, hour(a), hour(b)) for p, u, a, b in plain.periods(facts)
    }
    labels = ask(
        db,
        "select photo_labels.photo_id, photo_labels.user_id, photo_labels.gender, max(valid_from) from photo_labels "
        "join photo_periods using (photo_id) where source = 'swipes' group by all",
    )
    assert labels
    for _, user, gender, shown_at in labels:
        assert gender == gender_then(versions, user, (shown_at - dt.datetime(2024, 1, 1)) / dt.timedelta(hours=1))


def test_now_reads_no_former_gender(db):
    facts, versions = world(1)
    add_world(db, facts, versions)
    build_labels(Store(db), options=THEN)
    assert ask(db, "select count(*) > 0 from gender_changes") == [(True,)]
    build_labels(Store(db), options=NOW)
    assert ask(db, "select count(*) from gender_changes") == [(0,)]
    genders = dict(ask(db, "select user_id, gender from users"))
    rows = ask(db, "select sender_id, sender_gender, recipient_id, recipient_gender from photo_swipes")
    assert all(row[1] == genders.get(row[0]) and row[3] == genders.get(row[2]) for row in rows)


def test_a_version_from_as_of_on_changes_nothing(db):
    add_facts(db, photos=[("pa", "ann")], main_photos=[("ann", "pa", 1)], swipes=[("bob", "ann", True, 2)], arrived=3)
    versions = [
        ("ann", "female", None, 1),
        ("bob", "male", None, 1),
        ("bob", "female", None, 40),
        ("ann", None, None, 40),
    ]
    add_versions(db, versions)
    build_labels(Store(db), as_of=hour(10), options=THEN)
    assert ask(db, "select sender_gender, recipient_gender from photo_swipes") == [("male", "female")]


def test_a_blank_gender_counts_as_unknown_from_then_on(db):
    add_facts(
        db,
        photos=[("pa", "ann")],
        main_photos=[("ann", "pa", 1)],
        swipes=[("bob", "ann", True, 2), ("bob", "ann", True, 6)],
    )
    add_versions(
        db, [("ann", "female", None, 1), ("bob", "male", None, 1), ("bob", None, 5, 8), ("bob", "male", 20, 21)]
    )
    build_labels(Store(db), options=THEN)
    assert ask(db, "select sender_gender from photo_swipes order by swiped_at") == [("male",), (None,)]
    build_labels(Store(db), options=NOW)
    assert ask(db, "select sender_gender from photo_swipes order by swiped_at") == [("male",), ("male",)]


@pytest.mark.parametrize("seed", range(4))
def test_builds_after_each_change_equal_one_build(tmp_path, monkeypatch, seed):
    """Versions arrive one batch after the other, and the option is switched between the builds."""
    monkeypatch.setattr(incremental, "WORTH", 1.0)
    (facts, versions), rng = world(seed), random.Random(seed)
    grown, whole, seen = store(tmp_path / "grown"), store(tmp_path / "whole"), set()
    add_facts(grown, photos=facts.photos, main_photos=facts.main_photos)
    for part in range(4):
        add_facts(grown, swipes=facts.swipes[part::4])
        add_versions(grown, versions[part::4])
        options = THEN if part == 3 else rng.choice([NOW, THEN, THEN])
        seen |= {built.action for built in build_labels(Store(grown), options=options).relations}
    add_world(whole, facts, versions)
    build_labels(Store(whole), options=THEN)
    names = ("swipe_counts", "gender_breakdown", "population", "photo_labels", "photo_swipes")
    assert everything(grown, names) == everything(whole, names)
    assert "updated" in seen
