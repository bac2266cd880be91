"""Label builds: report, records, clock, and the state after a kill."""

import datetime as dt
import json
import multiprocessing
import os
import signal
import time

import pytest

from photogenic import sql
from photogenic.warehouse import Database, InputError, Layout, Store
from photogenic.warehouse.catalog import create_views
from photogenic.warehouse.labels.build import build_labels
from photogenic.warehouse.labels.options import LabelOptions
from tests.warehouse.small import add_facts, ask, everything, hour, store


@pytest.fixture
def db(tmp_path):
    return store(tmp_path)


def with_facts(db):
    add_facts(
        db,
        users=[(f"u{n}", ["female", "male", None][n % 3]) for n in range(30)],
        photos=[(f"p{n}", f"u{n}") for n in range(30)],
        main_photos=[(f"u{n}", f"p{n}", 1) for n in range(30)],
        swipes=[(f"u{(7 * n) % 30}", f"u{n % 30}", n % 3 == 0, 2 + n / 1000) for n in range(3000)],
    )
    return db


def test_views_are_there_before_anything_was_ingested(db):
    add_facts(db)
    for name in sql.VIEWS:
        assert ask(db, f"select count(*) from {name}") == [(1 if name == "clock" else 0,)]


def test_views_of_an_older_version_are_brought_up_to_date(db):
    with_facts(db)
    with db.write("test") as con:
        con.execute("create or replace view users as select 'old' as user_id")
    add_facts(db)
    assert ask(db, "select count(*) from users") == [(30,)]
    with db.write("test") as con:
        before = con.execute("select view_oid from duckdb_views() where not internal order by all").fetchall()
        create_views(con)
        assert before == con.execute("select view_oid from duckdb_views() where not internal order by all").fetchall()


def test_the_report_and_the_store_have_the_actions(db):
    with_facts(db)
    options = LabelOptions(min_swipes=5, hashtag="me")
    report = build_labels(Store(db), options=options)
    assert [built.name for built in report.relations] == list(sql.RELATIONS)
    assert report.changed
    assert [(s.source, s.step) for s in report.funnel][:2] == [("posts", "ingested"), ("posts", "collected")]
    [(build_id, as_of, recorded, stages)] = ask(db, "select build_id, as_of, options, stages from builds")
    assert (build_id, as_of) == (report.build_id, None)
    assert json.loads(recorded) == {"labels": options.recorded()}
    assert json.loads(stages)["labels"]["swipe_counts"][:2] == ["computed", len(ask(db, "from swipe_counts"))]
    checksums = {name: (n, digits) for name, n, digits in ask(db, "select relation, n_rows, checksum from checksums")}
    assert checksums == {built.name: (built.n_rows, built.checksum) for built in report.relations}


def test_a_build_with_nothing_to_do_leaves_no_trace(db):
    with_facts(db)
    build_labels(Store(db))
    published = db.layout.snapshot.stat()
    report = build_labels(Store(db))
    assert not report.changed
    assert db.layout.snapshot.stat() == published
    assert len(ask(db, "select * from builds")) == 1


def test_a_full_build_gives_the_same_rows(db):
    with_facts(db)
    build_labels(Store(db))
    before = everything(db, sql.RELATIONS)
    report = build_labels(Store(db), anew=True)
    assert {built.action for built in report.relations} == {"computed"}
    assert everything(db, sql.RELATIONS) == before


def test_another_option_computes_only_what_it_decides(db):
    with_facts(db)
    build_labels(Store(db))
    report = build_labels(Store(db), options=LabelOptions(split_seed=1))
    assert [built.name for built in report.relations if built.action != "kept"] == ["photo_setups"]


def test_the_clock_hides_what_happened_or_arrived_later(db):
    with_facts(db)
    add_facts(db, users=[("u0", "other")], swipes=[("u1", "u0", True, 2)], arrived=100)
    build_labels(Store(db), as_of=hour(99), known_at=hour(99))
    assert ask(db, "select gender from users where user_id = 'u0'") == [("female",)]
    assert ask(db, "select count(*) from swipes") == [(3000,)]
    assert ask(db, "select as_of, observed_at from clock") == [(hour(99), hour(99))]
    build_labels(Store(db), as_of=dt.datetime(2024, 1, 2, 1, 0, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))))
    assert ask(db, "select as_of from clock") == [(dt.datetime(2024, 1, 2, 0, 0, 1),)]
    build_labels(Store(db), as_of=hour(24))
    assert ask(db, "select count(*), max(gender) filter (where user_id = 'u0') from users") == [
        (30, "other")
    ]  # whenever they arrived
    build_labels(Store(db), known_at=hour(24))
    assert ask(db, "select count(*) from users") == [(0,)]  # arrived at hour 24, not before
    build_labels(Store(db))
    assert ask(db, "select gender from users where user_id = 'u0'") == [("other",)]
    assert ask(db, "select count(*) from swipes") == [(3001,)]


@pytest.mark.parametrize("as_of", [dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 1)])
def test_a_clock_beyond_time_is_refused(db, as_of):
    with pytest.raises(InputError, match="as-of"):
        build_labels(Store(db), as_of=as_of)


def test_checksums_do_not_depend_on_the_order_of_rows(db):
    with_facts(db)
    first = build_labels(Store(db))
    with db.write("test") as con:
        con.execute("create table facts.turned as select * from facts.swipes order by hash(sender_id, swiped_at)")
        con.execute("delete from facts.swipes")
        con.execute("insert into facts.swipes select * from facts.turned")
        con.execute("drop table facts.turned")
    again = build_labels(Store(db), anew=True)
    assert [b.checksum for b in again.relations] == [b.checksum for b in first.relations]


def build_in(folder):
    build_labels(Store(store(folder)))


@pytest.mark.parametrize("after_s", [0.4, 0.6, 0.8, 1.0])
def test_killed_at_any_moment_the_next_build_gives_the_same(tmp_path, after_s):
    db, whole = with_facts(store(tmp_path)), with_facts(store(tmp_path / "whole"))
    child = multiprocessing.get_context("spawn").Process(target=build_in, args=(tmp_path,))
    child.start()
    time.sleep(after_s)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    build_labels(Store(db))
    build_labels(Store(whole))
    assert everything(db, sql.RELATIONS) == everything(whole, sql.RELATIONS)


def test_a_reader_keeps_its_state_through_a_build(db):
    with_facts(db)
    build_labels(Store(db))
    reader = db.open_snapshot()
    before = reader.execute("select * from swipe_audit").fetchall()
    add_facts(db, swipes=[("u1", "u2", True, 9)], arrived=30)
    build_labels(Store(Database(Layout(db.layout.root), db.settings)))
    assert reader.execute("select * from swipe_audit").fetchall() == before
    assert reader.execute("select count(*) from swipes").fetchall() == [(3000,)]
    reader.close()
    assert ask(db, "select count(*) from swipes") == [(3001,)]
