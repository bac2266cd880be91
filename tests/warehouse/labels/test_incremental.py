"""A build after new data equals, row for row, a build of all data at once."""

import datetime as dt
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from photogenic import sql
from photogenic.warehouse import Store
from photogenic.warehouse.labels import incremental
from photogenic.warehouse.labels.build import build_labels
from photogenic.warehouse.labels.options import LabelOptions
from tests.warehouse.small import add_facts, ask, everything, hour, store

pytestmark = pytest.mark.slow

COUNTS = ("swipe_counts", "recipient_counts", "sender_counts")
MALE, OTHER = 2, 3
GENDERS = ["female", "male", "other", None]


@pytest.fixture
def db(tmp_path):
    return store(tmp_path)


def actions(report):
    return {built.name: built.action for built in report.relations}


def replace(db, which, **swipe):
    """Retract the swipes that match, or correct them with other values, as the ingest of one file does."""
    with db.write("test") as con:
        con.execute("create or replace temp table former as select * from facts.swipes where " + which)
        ((batch, at),) = con.execute(
            """
            select greatest(max(batch), (select coalesce(max(replaced_batch), 0) from facts.replaced_swipes)) + 1,
                max(ingested_at) + interval 1 hour
            from facts.swipes
            """
        ).fetchall()
        con.execute("delete from facts.swipes where " + which)
        con.execute("insert into facts.replaced_swipes select *, $1, $2 from former", [at, batch])
        if swipe:
            values = {"ingested_at": f"timestamp '{at}'", "batch": batch, **swipe}
            changes = ", ".join(f"{value} as {name}" for name, value in values.items())
            con.execute(f"insert into facts.swipes select * replace ({changes}) from former")


def of_counts(report):
    return {action for name, action in actions(report).items() if name in COUNTS}


class Days:
    """Batches of all kinds: new rows, late events, other genders, photos with another owner, new users."""

    def __init__(self, seed):
        self.rng, self.day, self.told = random.Random(seed), 0, []

    def next(self):
        rng, self.day = self.rng, self.day + 1
        people = [f"u{i}" for i in range(12)]
        pick = lambda share: [p for p in people if rng.random() < share]  # noqa: E731
        batch = {
            "users": [(p, rng.choice(GENDERS)) for p in pick(0.6 if self.day == 1 else 0.15)],
            "photos": [(f"p{rng.randrange(20)}", rng.choice(people)) for _ in range(rng.choice([0, 0, 3]))],
            "main_photos": [
                (rng.choice(people), rng.choice([f"p{rng.randrange(20)}", None]), rng.randrange(24 * self.day))
                for _ in range(20 if self.day == 1 else rng.choice([0, 1, 5]))
            ],
            "swipes": [
                (
                    rng.choice([*people, "x"]),
                    rng.choice([*people, "y"]),
                    rng.random() < 0.5,
                    rng.randrange(24 * self.day),
                )
                for _ in range(rng.choice([0, 5, 60]))
            ],
            "arrived": 24 * self.day,
        }
        self.told.append(batch)
        return batch


@pytest.mark.parametrize("seed", range(4))
def test_any_order_of_arrivals_gives_what_one_build_gives(tmp_path, monkeypatch, seed):
    monkeypatch.setattr(incremental, "WORTH", 1.0)
    days, db, seen = Days(seed), store(tmp_path / "grown"), set()
    for _ in range(5):
        add_facts(db, **days.next())
        clock = days.rng.choice([None] * 4 + [hour(24 * days.day), hour(24 * days.day - 10)])
        options = LabelOptions(min_swipes=days.rng.choice([1, 2]), window=days.rng.choice(["latest", "every"]))
        seen |= set(actions(build_labels(Store(db), as_of=clock, options=options)).values())
    whole = store(tmp_path / "whole")
    for batch in days.told:
        add_facts(whole, **batch)
    build_labels(Store(whole), as_of=clock, options=options)
    names = (*sql.VIEWS[:5], *sql.RELATIONS)
    assert everything(db, names) == everything(whole, names)
    assert ask(db, "select relation, n_rows, checksum from checksums order by all") == ask(
        whole, "select relation, n_rows, checksum from checksums order by all"
    )
    assert "updated" in seen


HOURS = st.integers(0, 9)
PEOPLE = st.sampled_from(["u0", "u1", "u2", "x"])
SWIPES = st.tuples(PEOPLE, PEOPLE, st.booleans(), HOURS)
CHANGES = st.tuples(PEOPLE, st.sampled_from(["p0", "p1", "p2", "p3", None]), HOURS)


@settings(max_examples=5, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    swipes=st.lists(st.tuples(SWIPES, st.integers(0, 2)), min_size=1, max_size=60),
    changes=st.lists(st.tuples(CHANGES, st.integers(0, 2)), max_size=12),
)
def test_events_in_any_batches_give_what_one_build_gives(tmp_path_factory, swipes, changes):
    """The time of an event is independent of its arrival; the first batch arrives with the users."""
    known = {
        "users": [("u0", "female"), ("u1", "male"), ("u2", None)],
        "photos": [("p0", "u0"), ("p1", "u1"), ("p2", "u1")],
    }
    cut, whole = (store(tmp_path_factory.mktemp(name)) for name in ("cut", "whole"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(incremental, "WORTH", 1.0)
        for batch in range(3):
            add_facts(
                cut,
                **(known if batch == 0 else {}),
                swipes=[swipe for swipe, at in swipes if at == batch],
                main_photos=[change for change, at in changes if at == batch],
                arrived=24 + batch,
            )
            build_labels(Store(cut))
    add_facts(whole, **known, swipes=[s for s, _ in swipes], main_photos=[c for c, _ in changes])
    build_labels(Store(whole))
    assert everything(cut, sql.RELATIONS) == everything(whole, sql.RELATIONS)


def settled(db):
    add_facts(
        db,
        users=[("ann", "female"), ("bob", "male"), ("cat", None)],
        photos=[("pa", "ann"), ("pb", "bob")],
        main_photos=[("ann", "pa", 1), ("bob", "pb", 1)],
        swipes=[("bob", "ann", n % 2 == 0, 2 + n / 10) for n in range(50)] + [("cat", "bob", True, 3)],
    )
    build_labels(Store(db))


def counted(db):
    return ask(
        db, "select user_id, sender_group, n_swipes from swipe_counts join recipient_timeline using (stretch_no)"
    )


def test_what_did_not_change_is_kept(db):
    settled(db)
    assert set(actions(build_labels(Store(db))).values()) == {"kept"}
    add_facts(db, faces=[("pa", 0.9)], arrived=30)
    report = build_labels(Store(db))
    assert {name for name, action in actions(report).items() if action != "kept"} <= {
        "photo_owners",  # reads photos, which have new rows
        "posts",
        "follower_ratios",
        "photo_setups",
    }
    assert ask(db, "select photo_id from photo_setups where setup = 'one_face'") == [("pa",)]


def test_new_swipes_are_added(db):
    settled(db)
    add_facts(db, swipes=[("bob", "ann", True, 9)], arrived=30)
    assert of_counts(build_labels(Store(db))) == {"updated"}
    assert ("ann", MALE, 51) in counted(db)


def test_retracted_swipes_are_subtracted_once(db):
    settled(db)
    replace(db, "sender_id = 'cat'")
    for action in ("updated", "kept"):
        assert actions(build_labels(Store(db)))["swipe_counts"] == action
        assert counted(db) == [("ann", MALE, 50)]
        assert ask(db, "from sender_counts") == [("bob", 50)]
        assert ask(db, "select recipient_id from recipient_counts") == [("ann",)]


def test_a_retracted_swipe_of_a_sender_with_another_gender_leaves_its_former_group(db):
    settled(db)
    replace(db, "sender_id = 'cat'")
    add_facts(db, users=[("cat", "other")], arrived=30)
    build_labels(Store(db))
    assert counted(db) == [("ann", MALE, 50)]


def test_a_retracted_swipe_of_a_moved_recipient_is_subtracted_once(db):
    settled(db)
    replace(db, "sender_id = 'cat'")
    add_facts(db, main_photos=[("bob", "pb2", 2)], swipes=[("ann", "bob", True, 9)], arrived=30)
    assert actions(build_labels(Store(db)))["swipe_counts"] == "updated"
    assert sorted(counted(db)) == [("ann", MALE, 50), ("bob", 1, 1)]


def test_a_late_event_moves_its_users_swipes(db):
    settled(db)
    add_facts(db, main_photos=[("bob", "pb2", 2)], arrived=30)
    assert actions(build_labels(Store(db)))["swipe_counts"] == "updated"
    assert ask(db, "select reason, n_swipes from swipe_audit") == [("kept", 51)]
    assert ask(db, "select photo_id from like_ratios where user_id = 'bob'") == [("pb2",)] * 2


def test_another_gender_regroups_what_was_sent(db):
    settled(db)
    add_facts(db, users=[("cat", "other")], arrived=30)
    assert actions(build_labels(Store(db)))["swipe_counts"] == "updated"
    assert sorted(counted(db)) == [("ann", MALE, 50), ("bob", OTHER, 1)]


def test_so_much_moved_that_all_is_counted(db):
    settled(db)
    add_facts(db, main_photos=[("ann", "pa2", 2)], arrived=30)
    assert actions(build_labels(Store(db)))["swipe_counts"] == "computed"


@pytest.mark.parametrize(
    "change",
    [
        "delete from facts.swipes where sender_id = 'cat'",
        "update facts.swipes set ingested_at = ingested_at - interval 1 hour where sender_id = 'cat'",
    ],
)
def test_erased_swipes_are_not_trusted_to_be_there(db, change):
    settled(db)
    with db.write("test") as con:
        con.execute(change)
    add_facts(db, swipes=[("bob", "ann", True, 9)], arrived=30)
    build_labels(Store(db))
    grown = everything(db, sql.RELATIONS)
    build_labels(Store(db), anew=True)
    assert everything(db, sql.RELATIONS) == grown


def test_a_batch_that_arrived_with_the_last_one_is_seen(db):
    settled(db)
    add_facts(db, swipes=[("bob", "ann", True, 9)])
    assert of_counts(build_labels(Store(db))) == {"updated"}
    assert ("ann", MALE, 51) in counted(db)


def test_a_clock_set_back_hides_and_set_forward_shows_again(db):
    settled(db)
    all_of_it = everything(db, sql.RELATIONS)
    build_labels(Store(db), known_at=dt.datetime(2024, 1, 1, 3))
    assert ask(db, "select count(*) from swipes") == [(0,)]  # nothing had arrived
    build_labels(Store(db))
    assert everything(db, sql.RELATIONS) == all_of_it


def test_the_same_clock_gives_the_same_whatever_arrives_later(db):
    settled(db)
    first = build_labels(Store(db), as_of=hour(25), known_at=hour(25))
    add_facts(
        db,
        users=[("ann", "other"), ("new", None)],
        photos=[("pa", "bob")],
        main_photos=[("ann", "late", 1.5)],
        swipes=[("bob", "ann", True, 2)],
        faces=[("pa", 0.9)],
        arrived=26,
    )
    build_labels(Store(db))
    again = build_labels(Store(db), as_of=hour(25), known_at=hour(25))
    assert [(b.name, b.n_rows, b.checksum) for b in again.relations] == [
        (b.name, b.n_rows, b.checksum) for b in first.relations
    ]
    assert ask(db, "select gender from users where user_id = 'ann'") == [("female",)]
