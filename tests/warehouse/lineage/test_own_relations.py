"""Own relations in the lineage and in plans: their files, parameters and audits; why each one is stale."""

import pytest

from photogenic.warehouse import InputError
from photogenic.warehouse.labels.build import build_labels
from photogenic.warehouse.labels.plan import plan_labels
from photogenic.warehouse.lineage.store_graph import StoreGraph
from tests.warehouse.definitions.own import audit_file, received, sql_file, within
from tests.warehouse.small import add_facts, store

POPULAR = """
with counted as (select * from received)

select
    cast(user_id as varchar) as user_id, -- who
    cast(n_received * $factor as bigint) as n -- swipes, multiplied
from counted
where n_received >= $least
"""


def popular(select=POPULAR):
    return sql_file("popular", select, reads="received", parameters="least = 2, factor = 1")


AUDITS = {"some": audit_file("some", "select * from popular where n < 0", reads="popular")}


@pytest.fixture
def db(tmp_path):
    db = store(tmp_path)
    add_facts(
        db,
        users=[("ann", "female"), ("bob", "male")],
        main_photos=[("ann", "p1", 1)],
        photos=[("p1", "ann")],
        swipes=[("bob", "ann", True, 2), ("bob", "ann", False, 3), ("ann", "bob", True, 4)],
    )
    return db


def lineage_of(db, name, **sides):
    with db.read() as con:
        return StoreGraph.of(con).lineage(name, **sides)


def test_own_relations_stand_between_ours_and_their_audits(db):
    build_labels(within(db, {"popular": popular(), "received": received()}, AUDITS))
    down = {node.id: node for node in lineage_of(db, "swipes", up=False).down}
    assert down["relation:popular"].code == "relations/popular.sql"
    assert down["audit:some"].code == "audits/some.sql"
    assert down["audit:some"].detail == "no row"
    up = {node.id: node for node in lineage_of(db, "popular.n", down=False).up}
    assert "relation:swipes" in up, "the rows of swipes are counted"
    assert up["column:received.n_received"].detail == "swipes"
    assert up["option:popular.factor"].detail == "1 in the last build"
    assert "option:popular.least" not in up, "it chooses rows"
    assert "option:popular.least" in {node.id for node in lineage_of(db, "popular", down=False).up}


def test_what_reads_nothing_has_no_inputs_and_a_refused_audit_stands_alone(db):
    three = sql_file("three", "select cast(range as bigint) as n -- number\nfrom range(3)", reads="none", grain="n")
    build_labels(within(db, {"three": three}, {"bad": "select 1 from three"}))
    assert lineage_of(db, "three").up == ()
    assert lineage_of(db, "bad").up == ()


def test_a_relation_without_rows_says_why(db):
    broken = sql_file("broken", "select nothing", reads="users")
    build_labels(within(db, {"broken": broken}))
    with pytest.raises(InputError, match="broken has no rows yet"):
        lineage_of(db, "broken.x")


def plan(db, relations, **given):
    found = plan_labels(within(db, relations, AUDITS), **given)
    built = (*found.relations, *found.own.relations)
    return found, {one.name: one.action for one in built if one.action != "kept"}


def test_a_plan_names_each_stale_own_relation_and_why(db):
    relations = {"popular": popular(), "received": received()}
    first, work = plan(db, relations)
    assert first.why["popular"] == ("it was never computed",)
    assert work["popular"] == "computed"
    build_labels(within(db, relations, AUDITS))
    assert plan(db, relations)[1] == {}
    add_facts(db, swipes=[("bob", "ann", True, 9)], arrived=48)
    changed, work = plan(db, relations)
    assert {"received", "popular", "recipient_counts"} <= set(work)
    assert changed.why["received"] == ("swipes changed: rows of facts.swipes",)
    assert changed.why["popular"] == ("received changed",)
    assert {"received", "popular"} <= set(changed.changed)


def test_sql_and_parameters_are_told_apart(db):
    relations = {"popular": popular(), "received": received()}
    build_labels(within(db, relations))
    changed = plan_labels(within(db, relations, parameters={"popular": {"least": 1}}))
    assert changed.why == {"popular": ("least is 1, and was 2",)}
    assert changed.changed == ("popular",)
    other = {**relations, "popular": popular(POPULAR.replace(">=", ">"))}
    assert plan_labels(within(db, other)).why == {"popular": ("its SQL changed",)}


def test_a_plan_tells_which_relation_would_fail_and_changes_nothing(db):
    build_labels(within(db, {"received": received()}))
    broken = sql_file("broken", "select\n cast(error('no') as varchar) as user_id -- a\nfrom users", reads="users")
    before = db.rows("select relation, status from own_relations")
    found, work = plan(db, {"received": received(), "broken": broken})
    assert work["broken"] == "failed"
    assert found.why["broken"]
    assert not found.changes
    assert not found.own.changed
    assert db.rows("select relation, status from own_relations") == before
