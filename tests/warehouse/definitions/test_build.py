"""Builds of own relations: what is stale, what fails, what is kept."""

import datetime as dt
import multiprocessing
import os
import shutil
import signal
from dataclasses import replace

import duckdb
import pytest

from photogenic.features.build import BuildOptions, build
from photogenic.warehouse import Database, InputError, Layout, QueryError, Settings, Store, catalog
from photogenic.warehouse.definitions.build import OwnComputation
from photogenic.warehouse.duckdb_store import database
from photogenic.warehouse.duckdb_store.database import close_files
from photogenic.warehouse.duckdb_store.query import sql
from photogenic.warehouse.errors import LockedError
from photogenic.warehouse.labels.build import build_labels, rehearse_labels, update_own
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.moment import Moment
from photogenic.warehouse.spark.export import export
from photogenic.warehouse.spark.session import Cluster
from photogenic.warehouse.storage.lock import locked
from tests.warehouse.definitions.own import audit_file, project, received, sql_file, within
from tests.warehouse.small import add_facts, ask, everything, store


@pytest.fixture
def db(tmp_path):
    db = store(tmp_path)
    add_facts(
        db,
        users=[("ann", "female"), ("bob", "male"), ("cid", "male")],
        photos=[("p1", "ann"), ("p2", "bob")],
        main_photos=[("ann", "p1", 1), ("bob", "p2", 1)],
        swipes=[("bob", "ann", True, 2), ("cid", "ann", False, 3), ("ann", "bob", True, 4)],
    )
    return db


def actions(report):
    return {one.name: one.action for one in report.relations}


def status(db):
    return {name: (how, error) for name, how, error in ask(db, "select relation, status, error from own_relations")}


POPULAR = """
select
    cast(user_id as varchar) as user_id -- who
from received
where n_received >= $least
"""


def popular(**keys):
    return sql_file("popular", POPULAR, reads="received", **({"parameters": "least = 2"} | keys))


def test_relations_are_computed_in_order_and_kept_while_nothing_changes(db):
    own = within(db, {"popular": popular(), "received": received()})
    report = build_labels(own).own
    assert actions(report) == {"received": "computed", "popular": "computed"}
    assert list(actions(report)) == ["received", "popular"]
    assert ask(db, "from received order by all") == [("ann", 2), ("bob", 1)]
    assert ask(db, "from popular") == [("ann",)]
    assert actions(build_labels(own).own) == {"received": "kept", "popular": "kept"}
    assert actions(build_labels(Store(db)).own) == {"received": "kept", "popular": "kept"}
    assert actions(build_labels(own, anew=True).own) == {"received": "computed", "popular": "computed"}
    add_facts(db, swipes=[("cid", "bob", True, 5)], arrived=30)
    assert actions(build_labels(Store(db)).own) == {"received": "computed", "popular": "computed"}
    assert ask(db, "from popular order by all") == [("ann",), ("bob",)]
    assert update_own(own) is None


def test_a_changed_parameter_or_file_makes_a_relation_stale_and_no_other(db):
    files = {"popular": popular(), "received": received()}
    build_labels(within(db, files))
    changed = build_labels(within(db, files, parameters={"popular": {"least": 1}})).own
    assert actions(changed) == {"received": "kept", "popular": "computed"}
    assert ask(db, "select count(*) from popular") == [(2,)]
    assert actions(build_labels(Store(db)).own) == {"received": "kept", "popular": "kept"}
    renamed = {**files, "received": received().replace("-- swipes", "-- all of them")}
    assert actions(build_labels(within(db, renamed)).own) == {"received": "computed", "popular": "computed"}


def test_a_failed_relation_keeps_its_rows_and_stops_no_other(db):
    build_labels(within(db, {"received": received(), "popular": popular()}))
    broken = sql_file(
        "received", "select cast(error('no ' || id) as varchar) as user_id -- x\nfrom a", reads="users"
    ).replace("from a", "from (select user_id as id from users)")
    other = sql_file("other", "select cast(user_id as varchar) as user_id -- who\nfrom users", reads="users")
    report = build_labels(within(db, {"received": broken, "popular": popular(), "other": other})).own
    assert actions(report) == {"other": "computed", "received": "failed", "popular": "kept"}
    assert ask(db, "select count(*) from received") == [(2,)]
    how, error = status(db)["received"]
    assert how == "failed"
    assert error.startswith("relations/received.sql: ")
    assert "no " in error
    assert error.endswith("Try: correct relations/received.sql")
    assert any("received failed" in note for note in report.notes)
    add_facts(db, swipes=[("cid", "bob", True, 5)], arrived=30)
    report = build_labels(Store(db)).own
    assert actions(report) == {"other": "kept", "received": "failed", "popular": "kept"}
    report = build_labels(within(db, {"received": received(), "popular": popular(), "other": other})).own
    assert actions(report) == {"other": "kept", "received": "computed", "popular": "computed"}
    assert status(db)["received"] == ("ok", None)


@pytest.mark.parametrize(
    ("column", "why"),
    [
        ("count(*) as n", "n has no cast with a comment."),
        ("cast(1 as bigint) as n -- x\n, 'a' as m", "m has no cast with a comment."),
    ],
)
def test_a_column_without_cast_and_comment_is_named(db, column, why):
    text = sql_file(
        "mine", f"select cast(user_id as varchar) as user_id, -- who\n{column}\nfrom users group by 1", reads="users"
    )
    build_labels(within(db, {"mine": text}))
    assert status(db)["mine"][1].startswith(f"relations/mine.sql: {why}")


def test_what_reads_a_failed_relation_without_rows_fails_too(db):
    report = build_labels(within(db, {"received": "no header", "popular": popular()})).own
    assert actions(report) == {"popular": "failed", "received": "failed"}
    assert "which failed and has no former rows" in status(db)["popular"][1]
    assert "must begin with `-- received: what a row is`" in status(db)["received"][1]
    with pytest.raises(QueryError, match="received failed, and has no rows"):
        sql(db, "from received")


def test_a_definition_that_is_gone_takes_its_table_with_it(db):
    build_labels(within(db, {"received": received(), "popular": popular()}))
    report = build_labels(within(db, {"received": received()})).own
    assert report.dropped == ("popular",)
    assert ask(db, "select table_name from duckdb_tables() where table_name = 'popular'") == []
    assert ask(db, "select relation from checksums where relation = 'popular'") == []
    assert list(status(db)) == ["received"]


def test_a_build_of_another_project_is_refused(db):
    build_labels(within(db, {"received": received()}))
    with pytest.raises(
        InputError, match="has the definitions of the project test in /project, and this build is of the project other"
    ):
        build_labels(within(db, {}, project_id="2", name="other"))
    assert ask(db, "select count(*) from received") == [(2,)]


def test_a_failed_audit_rolls_its_relation_back(db):
    audit = audit_file("few", "select user_id, n_received\nfrom received where n_received > 2", reads="received")
    own = within(db, {"received": received()}, {"few": audit})
    assert actions(build_labels(own).own) == {"received": "computed"}
    assert ask(db, "select audit, status from facts.own_audits") == [("few", "ok")]
    add_facts(db, swipes=[("cid", "ann", True, 5)], arrived=30)
    report = build_labels(own).own
    assert actions(report) == {"received": "failed"}
    assert "The audit few found 1 rows" in report.audits["few"]
    assert ask(db, "select max(n_received) from received") == [(2,)]
    assert ask(db, "select status from facts.own_audits") == [("failed",)]
    assert actions(build_labels(within(db, {"received": received()})).own) == {"received": "computed"}
    assert ask(db, "select max(n_received) from received") == [(3,)]
    assert ask(db, "select count(*) from facts.own_audits") == [(0,)]


def test_a_failed_audit_of_our_relations_undoes_no_labels(db):
    audit = audit_file("none", "select photo_id\nfrom photo_labels", reads="photo_labels")
    own = within(db, {}, {"none": audit})
    report = build_labels(own)
    assert "The audit none found" in report.own.audits["none"]
    assert ask(db, "select count(*) from photo_labels") == [(2,)]
    assert "none" in build_labels(Store(db)).own.audits


def test_an_audit_of_two_own_relations_runs_after_the_second(db):
    audit = audit_file(
        "both", "select user_id\nfrom popular anti join received using (user_id)", reads="popular, received"
    )
    report = build_labels(within(db, {"popular": popular(), "received": received()}, {"both": audit})).own
    assert (actions(report), report.audits) == ({"received": "computed", "popular": "computed"}, {})


UNDATED = {
    "neighbours": "insert into facts.neighbours values ('toy', 'p1', 1, 'p2', 0.5)",
    "near_duplicates": "insert into facts.near_duplicates values ('p1', 'p2', 'p1', 'hash', 3, null)",
    "predictions": "insert into facts.predictions values ('r1', 'p1', 'test', 0.5)",
    "runs": "insert into facts.promoted_runs values ('popular', 'r1', timestamp '2024-01-01')",
    "faces": "insert into facts.faces values ('p1', 0, 0, 0, 1, 1, 0.9, [0.5])",
    "fetch_attempts": "insert into facts.fetch_attempts values ('p1', 'u', 'ok', null, 1, now(), 1, 1, true)",
}
"""Views of base tables without times of arrival, and a statement that changes each."""


def test_a_relation_of_what_has_no_arrival_is_stale_when_it_changes_and_never_otherwise(db):
    select = "select cast(count(*) as bigint) as n -- rows\nfrom {}"
    files = {f"of_{one}": sql_file(f"of_{one}", select.format(one), reads=one, grain="one row") for one in UNDATED}
    build_labels(within(db, files))
    add_facts(db, swipes=[("cid", "bob", True, 5)], arrived=30)
    assert set(actions(build_labels(Store(db)).own).values()) == {"kept"}
    assert update_own(Store(db)) is None
    for source, change in UNDATED.items():
        with db.write("test") as con:
            con.execute(change)
        computed = [one.name for one in update_own(Store(db)).relations if one.action == "computed"]
        assert computed == [f"of_{source}"]
    assert update_own(Store(db)) is None
    assert set(actions(build_labels(Store(db), retry=False).own).values()) == {"kept"}


def test_a_relation_follows_the_clock_of_the_labels(db):
    build_labels(within(db, {"received": received()}))
    build_labels(Store(db), as_of="2024-01-01T03:30:00")
    assert ask(db, "from received order by all") == [("ann", 2)]
    assert status(db)["received"] == ("ok", None)


def test_a_parameter_may_be_a_label_option(db):
    text = sql_file(
        "few", "select cast($min_swipes as bigint) as n -- least\nfrom clock", reads="clock", grain="one row"
    )
    build_labels(within(db, {"few": text}), options=LabelOptions(min_swipes=3))
    assert ask(db, "from few") == [(3,)]
    assert actions(build_labels(Store(db), options=LabelOptions(min_swipes=4)).own) == {"few": "computed"}
    assert ask(db, "select parameters from own_relations") == [('{"min_swipes": 4}',)]


def test_dates_survive_the_copy_in_the_store(db):
    text = sql_file(
        "since",
        "select cast(count(*) as bigint) as n -- swipes\nfrom swipes where swiped_at >= $first",
        reads="swipes",
        grain="one row",
        parameters="first = 2024-01-01",
    )
    build_labels(within(db, {"since": text}, parameters={"since": {"first": dt.date(2024, 1, 2)}}))
    assert ask(db, "from since") == [(0,)]
    assert actions(build_labels(Store(db)).own) == {"since": "kept"}


def test_labels_are_published_even_if_every_relation_fails(db):
    report = build_labels(within(db, {"received": "", "popular": popular(parameters="least = 2, x = 1")}))
    assert {one.action for one in report.own.relations} == {"failed"}
    assert ask(db, "select count(*) from photo_labels") == [(2,)]


def test_a_relation_that_takes_too_long_is_stopped_and_the_others_go_on(db):
    endless = sql_file(
        "endless",
        "with recursive n as (select 1 as i union all select i + 1 from n)\n"
        "select cast(count(*) as bigint) as n -- never\nfrom n",
        reads="none",
        grain="one row",
    )
    with db.write("test") as con:
        own = OwnComputation(
            con, project({"endless": endless, "received": received()}), Moment(), LabelOptions(), limit_s=0.3
        )
        report = own.run()
    assert actions(report) == {"endless": "failed", "received": "computed"}
    assert "stopped after 0.3 seconds" in status(db)["endless"][1]


def test_a_relation_that_needs_too_much_memory_fails_alone(tmp_path):
    db = Database(Layout(tmp_path / "store"), Settings("50MB", threads=1))
    add_facts(db, users=[("ann", "female")])
    shutil.rmtree(db.layout.spill, ignore_errors=True)
    large = sql_file(
        "large",
        "select cast(sum(len(texts)) as bigint) as n -- many\n"
        "from (select list(md5(cast(range as varchar))) as texts from range(3000000))",
        reads="none",
        grain="one row",
    )
    report = build_labels(within(db, {"large": large, "received": received()})).own
    assert actions(report) == {"large": "failed", "received": "computed"}
    assert "memory" in status(db)["large"][1]
    assert actions(build_labels(Store(db)).own)["received"] == "kept"


def test_a_rehearsal_writes_nothing_and_sees_the_files_of_the_project(db):
    build_labels(Store(db))
    before = db.layout.warehouse.read_bytes()
    report = rehearse_labels(within(db, {"received": received()}), Moment(), LabelOptions())
    assert actions(report.own) == {"received": "computed"}
    assert (ask(db, "from own_relations"), db.layout.warehouse.read_bytes() == before) == ([], True)


def build_and_die(own):
    """Build in this process, which is killed between the two relations."""
    original = OwnComputation._compute

    def killed(self, definition, wanted, values, new):
        if definition.name == "popular":
            os.kill(os.getpid(), signal.SIGKILL)
        original(self, definition, wanted, values, new)

    OwnComputation._compute = killed
    build_labels(own)


def test_a_killed_build_is_continued_where_it_stopped(db, tmp_path):
    own = within(db, {"received": received(), "popular": popular()})
    child = multiprocessing.get_context("fork").Process(target=build_and_die, args=(own,))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert actions(build_labels(own).own) == {"received": "kept", "popular": "computed"}
    whole = store(tmp_path / "whole")
    shutil.copytree(db.layout.root, whole.layout.root)
    assert actions(build_labels(Store(whole), anew=True).own) == {"received": "computed", "popular": "computed"}
    names = ("received", "popular", "photo_labels")
    assert everything(db, names) == everything(whole, names)


def build_and_wait(own, inside, waited):
    """Build in this process, which stays inside the first relation until another build waits for the lock."""
    original = OwnComputation._compute

    def slow(self, definition, wanted, values, new):
        inside.set()
        assert waited.wait(60)
        original(self, definition, wanted, values, new)

    OwnComputation._compute = slow
    build_labels(own)


def build_after(own, inside, waited):
    """Build in this process while another one builds."""
    assert inside.wait(60)
    database._say_waiting = lambda _: waited.set()
    build_labels(own)


def test_two_builds_at_once_in_one_project_end_as_one_after_the_other(db, tmp_path):
    files = {"received": received(), "popular": popular()}
    edited = files | {"popular": popular(parameters="least = 1")}
    patient = Database(db.layout, Settings("500MB", threads=1, lock_timeout_s=120))
    fork = multiprocessing.get_context("fork")
    events = fork.Event(), fork.Event()
    children = [
        fork.Process(target=one, args=(within(patient, which), *events))
        for one, which in ((build_and_wait, files), (build_after, edited))
    ]
    for child in children:
        child.start()
    for child in children:
        child.join(200)
    assert [child.exitcode for child in children] == [0, 0]
    assert status(db) == {"received": ("ok", None), "popular": ("ok", None)}
    assert ask(db, "from popular order by all") == [("ann",), ("bob",)]
    alone = store(tmp_path / "alone")
    shutil.copytree(db.layout.root, alone.layout.root)
    assert set(actions(build_labels(within(alone, edited)).own).values()) == {"kept"}
    build_labels(within(alone, edited), anew=True)
    names = ("received", "popular", "photo_labels")
    assert everything(db, names) == everything(alone, names)


def test_a_build_that_waits_in_vain_names_the_other_one_and_changes_nothing(db):
    build_labels(within(db, {"received": received()}))
    with locked(db.layout.lock, "features build", 0), pytest.raises(LockedError, match="features build"):
        build(within(db, {"received": received("received"), "popular": popular()}), BuildOptions(only="labels"))
    assert list(status(db)) == ["received"]


@pytest.mark.parametrize("view", ["swipes", "photo_swipes"])
def test_a_relation_is_stale_when_another_version_changes_a_view_below_it(db, monkeypatch, view):
    source = "photo_swipes"
    select = f"select cast(count(*) as bigint) as n -- rows\nfrom {source}"
    files = {
        "direct": sql_file("direct", select, reads=source, grain="one row"),
        "indirect": sql_file("indirect", select.replace(source, "direct"), reads="direct", grain="one row"),
        "other": sql_file("other", select.replace(source, "users"), reads="users", grain="one row"),
    }
    build_labels(within(db, files))
    assert set(actions(build_labels(Store(db)).own).values()) == {"kept"}
    newer = {view: replace(catalog.relation(view), text=f"{catalog.relation(view).text}-- another version\n")}
    present = catalog.relation
    monkeypatch.setattr(catalog, "relation", lambda name: newer.get(name) or present(name))
    catalog.view_texts.cache_clear()
    try:
        report, again = build_labels(Store(db)).own, build_labels(Store(db)).own
    finally:
        catalog.view_texts.cache_clear()
    assert actions(report) == {"direct": "computed", "indirect": "kept", "other": "kept"}
    assert set(actions(again).values()) == {"kept"}


def test_own_sql_reaches_no_file_of_the_machine(db):
    with db.write("test") as con:
        close_files(con)
        for query in ("copy (select 1) to '/tmp/own.csv'", "from read_csv('/etc/passwd')", "attach '/tmp/own.db'"):
            with pytest.raises(duckdb.PermissionException):
                con.execute(query)
        with pytest.raises(duckdb.InvalidInputException):
            con.execute("set enable_external_access = true")
        con.begin()
        con.execute("create table spilled as select md5(cast(range as varchar)) as x from range(100000)")
        con.commit()
    assert ask(db, "select count(*) from spilled") == [(100_000,)]


@pytest.mark.timeout(900)
def test_spark_computes_what_it_shares_with_duckdb_and_names_the_others(db, tmp_path, master):
    seconds = sql_file(
        "seconds",
        "select cast(date_diff('day', min(swiped_at), max(swiped_at)) as bigint) as n -- days\nfrom swipes",
        reads="swipes",
        grain="one row",
    )
    credited = sql_file(
        "credited",
        "select cast(photo_id as varchar) as photo_id, -- photo\n cast(count(*) as bigint) as n -- swipes\n"
        "from photo_swipes where photo_id is not null group by photo_id",
        reads="photo_swipes",
        grain="photo_id",
    )
    near = sql_file(
        "near", "select cast(count(*) as bigint) as n -- rows\nfrom neighbours", reads="neighbours", grain="n"
    )
    files = {"received": received(), "popular": popular(), "seconds": seconds, "credited": credited, "near": near}
    audits = {"liked": audit_file("liked", "select sender_id\nfrom swipes where liked", reads="swipes")}
    build_labels(within(db, files))
    names = ("received", "popular", "credited", "near")
    expected = everything(db, names)
    export(Store(db), str(tmp_path / "facts"))
    outside = store(tmp_path / "outside")
    cluster = Cluster(master, facts=str(tmp_path / "facts"))
    report = build_labels(within(outside, files, audits), cluster=cluster).own
    assert actions(report) == {**dict.fromkeys(names, "computed"), "seconds": "failed"}
    assert "another meaning in Spark" in status(outside)["seconds"][1]
    assert "The audit liked found" in report.audits["liked"]
    assert everything(outside, names) == expected
    assert ask(outside, "select count(*) from facts.swipes") == [(0,)]
    assert set(actions(update_own(Store(outside), cluster)).values()) == {"kept", "failed"}
    assert everything(outside, names) == expected
