"""A plan says why each relation is stale: files, options, SQL, another relation; and what its rows change."""

import datetime as dt

import pytest

from photogenic.warehouse import Store
from photogenic.warehouse.labels.build import build_labels
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.labels.plan import plan_labels
from tests.warehouse.definitions.own import sql_file, within
from tests.warehouse.small import add_facts, store


@pytest.fixture
def db(tmp_path):
    db = store(tmp_path)
    add_facts(
        db,
        users=[("ann", "female"), ("bob", "male")],
        photos=[("pa", "ann")],
        main_photos=[("ann", "pa", 1)],
        swipes=[("bob", "ann", True, 2), ("bob", "ann", False, 3)],
    )
    return db


def test_a_first_build_computes_what_was_never_computed(db):
    plan = plan_labels(Store(db))
    assert set(plan.why.values()) == {("it was never computed",)}
    assert plan.changed == ()


def test_nothing_is_stale_after_a_build(db):
    build_labels(Store(db))
    plan = plan_labels(Store(db))
    assert (plan.why, plan.changed) == ({}, ())


def test_files_that_came_in_are_counted(db):
    build_labels(Store(db))
    add_facts(db, swipes=[("bob", "ann", True, 4)], arrived=48)
    with db.write("test") as con:
        values = ["id", "new.csv", "0" * 64, dt.datetime(2024, 1, 3), 2]
        con.execute(
            "insert into facts.ingests values ($1, 'swipes', $2, $3, 2, 1, 0, 0, 0, 1, '{}', 0.1, $4, $5)", values
        )
    plan = plan_labels(Store(db))
    assert plan.why["recipient_counts"] == ("swipes changed: 1 file came in with 1 row of swipes",)
    assert {"swipe_counts changed", "recipient_counts changed"} <= set(plan.why["swipe_audit"])
    assert {"swipes", "recipient_counts", "photo_labels"} <= set(plan.changed)
    assert "user_genders" not in plan.why


def test_rows_that_no_file_brought_are_named_by_their_table(db):
    build_labels(Store(db))
    add_facts(db, swipes=[("bob", "ann", True, 4)], arrived=48)
    assert plan_labels(Store(db)).why["recipient_counts"] == ("swipes changed: rows of facts.swipes",)


def test_an_option_is_named_with_both_values(db):
    build_labels(Store(db))
    plan = plan_labels(Store(db), options=LabelOptions(min_swipes=2))
    assert plan.why["photo_labels"] == ("min_swipes is 2, and was 1",)
    assert "photo_labels" not in plan.changed, "both swipes are of one photo, so the label stays"


def test_an_option_of_time_does_not_look_like_other_sql(db):
    build_labels(Store(db))
    plan = plan_labels(Store(db), options=LabelOptions(earliest_post=dt.datetime(2011, 1, 1)))
    assert plan.why["posts"] == ("earliest_post is 2011-01-01 00:00:00, and was 2010-10-06 00:00:00",)


def test_other_sql_of_a_relation_is_told_from_other_inputs(db):
    build_labels(Store(db))
    with db.write("test") as con:
        con.execute("update facts.relation_state set digest = 'of another text' where relation = 'photo_owners'")
    assert plan_labels(Store(db)).why == {"photo_owners": ("its SQL changed",)}


def test_force_and_another_moment(db):
    build_labels(Store(db))
    assert plan_labels(Store(db), anew=True).why["photo_labels"] == ("--force asks for it",)
    why = plan_labels(Store(db), as_of=dt.datetime(2024, 1, 1, 2, 30)).why
    assert why["recipient_counts"] == ("the moment of the labels changed",)


def test_a_view_of_computed_relations_names_what_changed_in_it(db):
    text = """
select
    cast(reason as varchar) as reason, -- why
    cast(count(*) as bigint) as n -- swipes
from photo_swipes
group by reason
"""
    own = {"reasons": sql_file("reasons", text, reads="photo_swipes", grain="reason")}
    build_labels(within(db, own))
    add_facts(db, main_photos=[("ann", None, 9)], arrived=48)
    assert "photo_swipes changed: recipient_timeline" in plan_labels(within(db, own)).why["reasons"]
