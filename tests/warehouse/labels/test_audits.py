"""Each audit passes on a valid store and fails on a broken one."""

import dataclasses

import pytest

from photogenic import sql
from photogenic.warehouse import AuditError, Store
from photogenic.warehouse.catalog import relation
from photogenic.warehouse.labels import compute
from photogenic.warehouse.labels.audits import audit, audit_named
from photogenic.warehouse.labels.build import build_labels
from tests.warehouse.small import add_facts, ask, everything, store

OLD = -24 * 60

BREAKING = {
    "breakdown_in_range": "update gender_breakdown set mean_like_ratio = 'nan'",
    "every_swipe_has_a_reason": "insert into facts.swipes select * from facts.swipes limit 1",
    "funnel_narrows": "update funnel set n_swipes = n_swipes + 100 where step = 'latest'",
    "genders_add_up": "delete from gender_breakdown where sender_gender = 'male'",
    "half_is_popular": "update photo_labels set popular = true",
    "labels_are_numbers": "update photo_labels set percentile = null where photo_id = 'pa'",
    "labels_are_unique": "insert into photo_labels select * from photo_labels limit 1",
    "labels_rest_on_ratios": "update photo_labels set value = 0.123 where photo_id = 'pa'",
    "periods_do_not_overlap": "update photo_periods set valid_to = valid_to + interval 1 minute",
    "photos_count_once": "insert into like_ratios select * from like_ratios limit 1",
    "photos_have_one_owner": "insert into photo_owners select 99, photo_id, 'zoe', null from photo_owners limit 1",
    "population_shrinks": "delete from population where stage = 'ingested' and gender = 'female'",
    "posts_are_accounted_for": "delete from follower_ratios where dropped is not null",
    "prior_is_a_distribution": "update like_ratio_prior set alpha = 'inf'",
    "ratios_in_range": "update like_ratios set ci_high = like_ratio - 0.1 where photo_id = 'pa'",
    "setups_are_labelled": "delete from photo_setups where photo_id = 'pa'",
    "splits_share_no_user": "update photo_setups set split = 'dev' where photo_id = 'pa2'",
    "swipes_are_not_counted_twice": "insert into swipe_counts select * from swipe_counts",
    "timeline_ends_at_the_clock": "update recipient_timeline set valid_from = timestamp '9999-12-31'",
    "timeline_has_no_gap": "delete from recipient_timeline where photo_id = 'pa2'",
    "windows_match_the_audit": "update like_ratios set n_likes = n_likes + 1 where time_window = 'latest'",
}


def with_facts(db):
    add_facts(
        db,
        users=[("ann", "female", 10), ("bob", "male", 10), ("cat", None, 10_000)],
        photos=[("pa", "ann", 5, OLD), ("pa2", "ann", 6, OLD), ("pb", "bob", 7, OLD), ("pc", "cat", 1, OLD)],
        main_photos=[("ann", "pa0", 1), ("ann", "pa2", 4), ("ann", "pa", 8), ("bob", "pb", 1)],
        swipes=[(s, r, n % 2 == 0, n) for n in range(20) for s, r in (("bob", "ann"), ("ann", "bob"), ("cat", "ann"))],
    )
    return db


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    db = with_facts(store(tmp_path_factory.mktemp("audits")))
    build_labels(Store(db))
    return db


def test_every_audit_is_seen_failing_below():
    assert tuple(sorted(BREAKING)) == sql.audits()


@pytest.mark.parametrize("name", BREAKING)
def test_audit_passes_until_its_promise_is_broken(built, name):
    one = audit_named(name)
    with built.write("test") as con:
        assert con.execute(one.text).fetchall() == []
        con.begin()
        con.execute(BREAKING[name])
        assert con.execute(one.text).fetchall()
        con.rollback()


def test_two_photos_with_one_number_are_both_reported(built):
    with built.write("test") as con:
        con.begin()
        con.execute("update photo_owners set photo_no = 1")
        (n_photos,) = con.execute("select count(*) from photo_owners").fetchone()
        assert len(con.execute(audit_named("photos_have_one_owner").text).fetchall()) == n_photos > 1
        con.rollback()


@pytest.mark.parametrize("name", sql.audits())
def test_audit_says_what_it_reads(name):
    import sqlglot
    from sqlglot import exp

    tree = sqlglot.parse_one(audit_named(name).text, read="duckdb")
    ctes = {cte.alias for cte in tree.find_all(exp.CTE)}
    tables = {table.name for table in tree.find_all(exp.Table) if not table.db}
    assert tables - ctes == set(audit_named(name).reads)
    assert set(audit_named(name).reads) <= set(sql.NAMES)


def test_only_audits_of_changed_relations_run(built):
    with built.write("test") as con:
        con.begin()
        con.execute(BREAKING["half_is_popular"])
        audit(con, {"swipe_counts"})
        with pytest.raises(AuditError, match="half_is_popular"):
            audit(con, {"photo_labels"})
        con.rollback()


def test_a_failed_audit_leaves_the_former_state_and_shows_rows_and_query(tmp_path, monkeypatch):
    db = with_facts(store(tmp_path))
    build_labels(Store(db))
    former = everything(db, (*sql.RELATIONS, "clock", "checksums", "builds"))
    add_facts(db, swipes=[("bob", "ann", True, 21)], arrived=30)

    def spoiled(name):
        what = relation(name)
        if name != "like_ratios":
            return what
        return dataclasses.replace(what, text=what.text.replace("cast(p as double)", "cast(p + 7e0 as double)"))

    monkeypatch.setattr(compute, "relation", spoiled)
    with pytest.raises(AuditError) as caught:
        build_labels(Store(db))
    message = str(caught.value)
    assert "ratios_in_range found" in message
    assert message.count("like_ratio = 7") == 5
    assert "from like_ratios\nwhere not coalesce(" in message
    assert everything(db, (*sql.RELATIONS, "clock", "checksums", "builds")) == former
    monkeypatch.undo()
    build_labels(Store(db))
    assert ask(db, "select sum(n_swipes) from swipe_audit") == [(61,)]
