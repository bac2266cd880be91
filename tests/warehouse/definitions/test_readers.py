"""Readers of own relations: other moments, dictionary, completion, page, status, checks and plans."""

from types import SimpleNamespace

import pytest

from photogenic.app.cli import completion
from photogenic.app.serve.pages.sql_vocabulary import dictionary, words
from photogenic.app.serve.snapshot import Snapshot
from photogenic.app.terminal.catalog import Catalog, list_columns, list_relations, relation_sql, relations_of
from photogenic.features.checks import check
from photogenic.features.status import status
from photogenic.maintenance.doctor.checks import examine
from photogenic.warehouse import QueryError, Store
from photogenic.warehouse.catalog import catalog_of
from photogenic.warehouse.duckdb_store.query import sql
from photogenic.warehouse.labels.build import build_labels, stale_own
from photogenic.warehouse.labels.past import Past, relations_in
from photogenic.warehouse.labels.plan import plan_labels
from photogenic.warehouse.moment import Moments
from tests.warehouse.definitions.own import audit_file, received, sql_file, within
from tests.warehouse.small import add_facts, ask, store

MANY = """
select
    cast(user_id as varchar) as user_id -- who
from received
where n_received >= $least and not (n_received = 1 and error('one') = 1)
"""
FILES = {
    "received": received(),
    "many": sql_file("many", MANY, reads="received", parameters="least = 2"),
    "broken": "nothing",
}


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    """Ann received two swipes, the second one arrived later; bob received none."""
    db = store(tmp_path_factory.mktemp("readers"))
    add_facts(
        db,
        users=[("ann", "female"), ("bob", "male")],
        photos=[("p1", "ann")],
        main_photos=[("ann", "p1", 1)],
        swipes=[("bob", "ann", True, 2)],
    )
    add_facts(db, swipes=[("bob", "ann", True, 3)], arrived=48)
    build_labels(within(db, FILES, {"none": audit_file("none", "select 1 from users", reads="users")}))
    return db


def test_another_moment_is_computed_on_both_clocks(db):
    past = Past(db)
    assert sql(db, "from received").rows() == [("ann", 2)]
    for clocks in (("2024-01-01T02:30:00",), (None, "2024-01-02T12:00:00")):
        assert sql(past.database(Moments.of(*clocks)), "from received").rows() == [("ann", 1)]
    two = Moments.of({"early": "2024-01-01T02:30:00", "late": "2024-01-01T04:00:00"})
    query = (
        "select a.n_received as early, b.n_received as late"
        " from early.received as a join late.received as b using (user_id)"
    )
    assert sql(past.database(two), query).rows() == [(1, 2)]
    past.close()


def test_a_relation_that_fails_at_a_moment_fails_the_query_that_names_it(db):
    past = Past(db)
    then = past.database(Moments.of("2024-01-01T02:30:00"))
    with db.write("test") as con:
        con.execute("update facts.own_relations set built_parameters = '{\"least\": 1}' where relation = 'many'")
    with pytest.raises(QueryError, match="many failed at this moment"):
        sql(then, "from many")
    assert sql(then, "from received").rows() == [("ann", 1)]
    with then.read() as con:
        assert con.execute("select count(*) from photo_labels").fetchall() == [(1,)]
    with pytest.raises(QueryError, match="many failed at this moment"):
        sql(then, "from many")
    with db.write("test") as con:
        con.execute("update facts.own_relations set built_parameters = '{\"least\": 2}' where relation = 'many'")
    past.close()


def test_the_dictionary_has_own_relations(db):
    relations = relations_of(db)
    assert {"received", "many", "photo_labels"} <= {row[0] for row in list_relations(relations).rows}
    assert relation_sql("many", relations) == FILES["many"].rstrip()
    assert list_columns(db, "Received").rows == [
        ("user_id", "varchar", "who received them"),
        ("n_received", "bigint", "swipes"),
    ]
    assert Catalog.of(db).columns["received"] == ("user_id", "n_received")
    with pytest.raises(QueryError, match="broken failed, and has no rows"):
        relation_sql("broken", relations)


def test_the_shell_completes_own_relations(db, monkeypatch):
    monkeypatch.setattr(completion, "_store", lambda ctx: db.layout.root)
    assert ("received", "a test") in completion.relations(SimpleNamespace())


def test_the_page_has_own_relations(db):
    described = dictionary(Snapshot(db).catalog)
    assert [one.name for one in described][:2] == ["received", "many"]
    assert words(described)["relations"]["many"] == ["user_id"]


def test_errors_name_own_relations_and_their_columns(db):
    for query, near in (
        ("from recieved", "similar names: received"),
        ("select n_recieved from received", "perhaps n_received"),
        ("select many.n_received from many join received using (user_id)", "received has a column n_received"),
        ("from broken", "broken failed, and has no rows"),
    ):
        with pytest.raises(QueryError) as error:
            sql(db, query)
        assert near in str(error.value)


def test_words_of_a_query_are_relations_of_the_catalog(db):
    with db.read() as con:
        catalog = catalog_of(con)
    assert relations_in("from Many join photos", catalog) == {"many", "photos"}
    assert catalog.computed[-2:] == ("received", "many")
    assert catalog.values["many"] == {"least": 2}


def test_status_names_what_failed_and_what_is_stale(db):
    found = status(Store(db))
    assert {name: found["relations"][name] for name in ("received", "many")} == {"received": 1, "many": 1}
    own = found["own_relations"]
    assert {name: (one["status"], one["stale"]) for name, one in own.items()} == {
        "received": ("ok", False),
        "many": ("ok", False),
        "broken": ("failed", False),
    }
    assert "must begin with" in own["broken"]["error"]
    assert found["own_audits"]["none"]["status"] == "failed"
    changed = within(db, {**FILES, "many": FILES["many"].replace("a test", "another test")})
    assert stale_own(changed) == ("many",)
    assert found["labels"]["stale"] is False


def test_checks_and_doctor_report_failures(db):
    failed = {one.name: one.value for one in check(Store(db)) if not one.ok}
    assert "must begin with" in failed["relation broken"]
    assert "The audit none found 2 rows" in failed["audit none"]
    assert "relation many" not in failed
    faults = {one.check for one in examine(Store(db)) if one.state == "fault"}
    assert {"own broken", "own audit none"} <= faults


def test_a_plan_has_what_a_build_would_do(db):
    assert not plan_labels(Store(db)).own.changed
    assert str(plan_labels(Store(db))) == "Nothing would change: labels are up to date."
    plan = plan_labels(within(db, {"received": FILES["received"].replace("a test", "x")}))
    assert str(plan) == "Labels are up to date."
    planned = plan.own
    assert [(one.name, one.action) for one in planned.relations] == [("received", "computed")]
    assert planned.dropped == ("broken", "many")
    assert ask(db, "select count(*) from own_relations") == [(3,)]
