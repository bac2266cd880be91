"""An additive relation after new data equals, row for row, one that is computed from all data at once."""

import pytest

from photogenic import sql
from photogenic.warehouse import Store
from photogenic.warehouse.definitions import updates
from photogenic.warehouse.labels.build import build_labels
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.moment import EVERYTHING
from tests.warehouse.definitions.own import sql_file, within
from tests.warehouse.labels.test_incremental import Days, replace
from tests.warehouse.small import add_facts, ask, everything, hour, store

RECEIVED = """
select
    cast(recipient_id as varchar) as user_id, -- who received them
    cast(liked as boolean) as liked, -- how
    cast(count(*) as bigint) as n, -- swipes
    cast(coalesce(sum(length(sender_id)::bigint), 0) as bigint) as n_letters -- letters
from swipes
where hour(swiped_at) >= $least
group by all
"""
BY_PHOTO = """
select
    cast(photo_id as varchar) as photo_id, -- photo
    cast(reason as varchar) as reason, -- why
    cast(sender_gender as varchar) as sender_gender, -- who
    cast(recipient_gender as varchar) as recipient_gender, -- whom
    cast(count(*) as bigint) as n, -- swipes
    cast(count(*) filter (where liked) as bigint) as n_likes, -- likes
    cast(coalesce(sum(photo_age_s), 0) as bigint) as age_s, -- ages
    cast(coalesce(sum(main_for_s), 0) as bigint) as main_for_s -- times
from photo_swipes
group by all
"""
BY_FOLLOWERS = """
select
    cast(users.followers as bigint) as followers, -- of the recipient
    cast(count(*) as bigint) as n, -- swipes
    cast(count_if(liked) as bigint) as n_likes -- likes
from swipes
left join users on swipes.recipient_id = users.user_id
group by all
"""
FILES = {
    "received_": sql_file(
        "received_", RECEIVED, reads="swipes", grain="user_id, liked", additive="swipes", parameters="least = 3"
    ),
    "by_photo": sql_file(
        "by_photo",
        BY_PHOTO,
        reads="photo_swipes",
        grain="photo_id, reason, sender_gender, recipient_gender",
        additive="photo_swipes",
    ),
    "by_followers": sql_file("by_followers", BY_FOLLOWERS, reads="swipes, users", grain="followers", additive="swipes"),
}


@pytest.fixture
def db(tmp_path):
    db = store(tmp_path)
    add_facts(
        db,
        users=[("ann", "female", 7), ("bob", "male", 9), ("cid", None, 9)],
        photos=[("p1", "ann"), ("p2", "bob"), ("p3", "ann")],
        main_photos=[("ann", "p1", 1), ("bob", "p2", 1), ("ann", "p3", 6)],
        swipes=[
            ("bob", "ann", True, 2),
            ("cid", "ann", False, 3),
            ("ann", "bob", True, 4),
            ("x", "ann", True, 7),
            ("x", "y", True, 8),
        ],
    )
    build_labels(within(db, FILES))
    return db


def actions(report):
    return {one.name: one.action for one in report.own.relations}


def rebuilt(db, **moment):
    """Build, and check that computing from all swipes changes nothing; return the actions of the first build."""
    found = actions(build_labels(Store(db), **moment))
    sums = "select relation, n_rows, checksum from checksums order by all"
    said, rows = ask(db, sums), everything(db, FILES)
    assert set(actions(build_labels(Store(db), anew=True, **moment)).values()) == {"computed"}
    assert everything(db, FILES) == rows
    assert ask(db, sums) == said
    return found


def test_new_swipes_are_added(db):
    add_facts(db, swipes=[("bob", "ann", True, 5), ("x", "z", False, 5)], arrived=30)
    assert rebuilt(db) == {"by_followers": "updated", "by_photo": "updated", "received_": "updated"}
    assert ask(db, "select n, n_likes from by_followers where followers = 7") == [(4, 3)]
    assert rebuilt(db) == {"by_followers": "kept", "by_photo": "kept", "received_": "kept"}


def test_corrections_and_retractions_are_subtracted_and_empty_groups_vanish(db):
    replace(db, "sender_id = 'bob'", liked="false")
    assert set(rebuilt(db).values()) == {"updated"}
    assert ask(db, "select n_likes from by_followers where followers = 7") == [(1,)]
    replace(db, "recipient_id = 'bob'")
    assert set(rebuilt(db).values()) == {"updated"}
    assert ask(db, "select count(*) from by_followers where followers = 9") == [(0,)]


@pytest.mark.parametrize(
    "facts",
    [
        {"main_photos": [("ann", "p3", 2.5)]},
        {"main_photos": [("bob", None, 2)]},
        {"photos": [("p4", "bob")], "main_photos": [("bob", "p4", 3)]},
        {"users": [("x", "other", 1)]},
        {"users": [("y", "other", 1)]},
        {"users": [("ann", "male", 7)]},
        {"photos": [("p1", "ann", None, 0.5)]},
    ],
    ids=["moved", "removed", "new photo", "new sender", "new recipient", "gender", "posted at"],
)
def test_swipes_that_photo_swipes_shows_otherwise_are_counted_again(db, monkeypatch, facts):
    monkeypatch.setattr(updates, "WORTH", 1.0)
    before = ask(db, "from by_photo order by all")
    add_facts(db, **facts, swipes=[("cid", "bob", True, 9)], arrived=30)
    found = rebuilt(db)
    assert (found["by_photo"], found["received_"]) == ("updated", "updated")
    assert found["by_followers"] == ("computed" if "users" in facts else "updated")
    changed = {row[:4] for row in set(ask(db, "from by_photo")) ^ set(before)}
    assert len(changed) > 1  # more than the group of the new swipe


def test_where_many_swipes_move_all_are_counted(db, monkeypatch):
    monkeypatch.setattr(updates, "WORTH", 0.1)
    add_facts(db, main_photos=[("ann", "p3", 2.5)], arrived=30)
    assert rebuilt(db)["by_photo"] == "computed"


def test_a_relation_that_lags_behind_is_not_updated_from_dimensions_of_another_time(db, monkeypatch):
    monkeypatch.setattr(updates, "WORTH", 1.0)
    failing = FILES["by_photo"].replace("from photo_swipes", "from photo_swipes where error('no') is null")
    add_facts(db, main_photos=[("ann", "p3", 2.5)], arrived=30)
    assert actions(build_labels(within(db, {**FILES, "by_photo": failing})))["by_photo"] == "failed"
    add_facts(db, main_photos=[("ann", "p3", 1.5)], swipes=[("cid", "bob", True, 9)], arrived=40)
    assert actions(build_labels(within(db, FILES)))["by_photo"] == "computed"
    assert rebuilt(db)["by_photo"] == "kept"


def test_a_failed_update_leaves_the_updates_of_others_as_they_are(db):
    before = ask(db, "from received_ order by all")
    too_large = FILES["received_"].replace("length(sender_id)::bigint", f"cast({2**62} as bigint) * 4")
    build_labels(within(db, {**FILES, "received_": too_large}))
    assert ask(db, "select status from own_relations where relation = 'received_'") == [("failed",)]
    assert ask(db, "from received_ order by all") == before
    several = {name: text.replace("received_", name) for name in ("aa", "bb") for text in (FILES["received_"],)}
    build_labels(within(db, {**FILES, **several}))
    with db.write("test") as con:  # the next sum of aa no longer fits
        con.execute(f"update aa set n_letters = {2**63 - 1} where n > 0")
    add_facts(db, swipes=[("bob", "ann", True, 5), ("cid", "ann", False, 5)], arrived=30)
    found = actions(build_labels(within(db, {**FILES, **several})))
    assert (found["aa"], found["bb"], found["by_photo"]) == ("failed", "updated", "updated")
    right = ask(db, "from bb order by all")
    build_labels(Store(db), anew=True)
    assert ask(db, "from bb order by all") == right


def test_without_a_limit_of_the_clock_the_log_is_read_as_the_view_of_that_name_shows_it(db):
    replace(db, "sender_id = 'bob'", liked="false")
    replace(db, "recipient_id = 'y'")
    with db.write("test") as con:
        con.execute(f"update facts.swipes set swiped_at = timestamp '{EVERYTHING}' where sender_id = 'cid'")
        every = f"({sql.read('incremental/every_swipe')})"
        columns = [
            con.execute(f"select column_name, column_type from (describe from {name})").fetchall()
            for name in ("swipes", every)
        ]
        rows = [con.execute(f"from {name} order by all").fetchall() for name in ("swipes", every)]
    assert columns[0] == columns[1]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 3


def test_a_changed_parameter_counts_all(db):
    add_facts(db, swipes=[("bob", "ann", True, 5)], arrived=30)
    assert actions(build_labels(within(db, FILES, parameters={"received_": {"least": 4}})))["received_"] == "computed"
    assert set(rebuilt(db).values()) == {"kept"}


def test_clocks(db, monkeypatch):
    monkeypatch.setattr(updates, "WORTH", 1.0)
    assert set(rebuilt(db, as_of=hour(4)).values()) == {"computed"}
    assert rebuilt(db, as_of=hour(8)) == {"by_followers": "computed", "by_photo": "updated", "received_": "updated"}
    assert rebuilt(db)["received_"] == "updated"
    assert set(rebuilt(db, known_at=hour(26)).values()) == {"computed"}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.thorough) for seed in (1, 2, 3))])
def test_any_order_of_arrivals_gives_what_one_build_gives(tmp_path, monkeypatch, seed):
    monkeypatch.setattr(updates, "WORTH", 1.0)
    days, db, seen = Days(seed), store(tmp_path / "grown"), set()
    for _ in range(6):
        add_facts(db, **days.next())
        options = LabelOptions(gender=days.rng.choice(["now", "now", "then"]))
        if days.rng.random() < 0.3:
            replace(db, f"hash(sender_id, swiped_at) % 7 = {days.rng.randrange(7)}")
        found = actions(build_labels(within(db, FILES), options=options))
        seen.add(found["by_photo"])
        rows = everything(db, FILES)
        build_labels(Store(db), options=options, anew=True)
        assert everything(db, FILES) == rows
    assert "updated" in seen
