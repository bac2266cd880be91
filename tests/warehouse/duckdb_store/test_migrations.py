"""A store of an older version is migrated; a newer one is refused; a killed migration leaves the older version."""

import json
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import duckdb
import pytest

from photogenic import sql
from photogenic.ingest.tabular.load import ingest
from photogenic.warehouse import Store, StoreError
from photogenic.warehouse.duckdb_store.migrations import SCHEMA_VERSION, migrate
from photogenic.warehouse.labels.build import build_labels
from tests.warehouse.released import STORES, released
from tests.warehouse.small import ask, store

ROOT = Path(__file__).parents[3]
VERSIONS = sorted(path.stem for path in STORES.glob("*.sql"))
TABLES = "select schema_name, table_name from duckdb_tables() where not internal and not temporary order by all"


def rows(path):
    """Read every row of every table without the program."""
    with duckdb.connect(path, read_only=True) as con:
        return {
            f"{s}.{t}": con.execute(f'from "{s}"."{t}" order by all').fetchall() for s, t in con.sql(TABLES).fetchall()
        }


def shape(db):
    return ask(
        db,
        "select schema_name, table_name, column_name, data_type, is_nullable from system.main.duckdb_columns()"
        " where database_name = 'store' and schema_name = 'facts' order by all",
    )


def test_every_release_has_a_store():
    released_now = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert released_now in VERSIONS


def test_steps_have_no_gap_and_say_why():
    steps = sql.migrations()
    assert list(steps) == list(range(steps[0], SCHEMA_VERSION + 1))
    for step in steps:
        assert sql.read(f"migrations/{step}").startswith("-- From version ")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_reader_finds_it_migrated_and_nothing_lost(tmp_path, version, capsys):
    db = released(version, tmp_path)
    before = rows(db.layout.warehouse)
    assert ask(db, "select count(*) from users") == [(12,)]
    older = max(before["facts.version"]) < (SCHEMA_VERSION,)
    assert ("Migrating the store from version" in capsys.readouterr().err) is older
    after = rows(db.layout.snapshot)
    told = {"facts.version", "facts.clock", "facts.ingests"}  # their rows change, as the next tests show
    for name, held in before.items():
        if name not in told:
            assert [row[: len(held[0])] for row in after[name]] == held, name
    assert max(after["facts.version"]) == (SCHEMA_VERSION,)
    assert db.is_published() or not older
    ask(db, "from commands")
    assert capsys.readouterr().err == "", "once"


@pytest.mark.parametrize("version", [version for version in VERSIONS if version < "0.3"])
def test_accounts_of_files_add_up_as_they_do_now(tmp_path, version):
    db = released(version, tmp_path)
    with duckdb.connect(db.layout.warehouse) as con:
        ((kind, source, n_read, n_rejected, at),) = con.execute(
            "select kind, source, n_read, n_rejected, ingested_at from facts.ingests order by n_read desc limit 1"
        ).fetchall()
        reasons = ["duplicate", "duplicate", "bad_time"]
        con.execute(
            "update facts.ingests set n_read = n_read + 3, n_rejected = n_rejected + 3 where source = $1", [source]
        )
        for line, reason in enumerate(reasons):
            con.execute(
                "insert into facts.rejects values ($1, $2, $3, $4, null, null, $5)", [kind, source, line, reason, at]
            )
    ((read, new, known, refused, by_reason),) = ask(
        db, f"select n_read, n_new, n_known, n_refused, refused from ingests where source = '{source}'"
    )
    assert read == n_read + 3 == new + known + refused
    assert (refused, json.loads(by_reason)["bad_time"]) == (n_rejected + 1, 1)
    assert ask(db, "select count(*) from rejects where reason = 'duplicate'") == [(0,)]


def test_a_store_built_as_of_an_instant_keeps_both_clocks(tmp_path):
    db = released("0.2.0", tmp_path)
    with duckdb.connect(db.layout.warehouse) as con:
        con.execute("update facts.clock set as_of = timestamp '2024-06-01'")
    assert ask(db, "select as_of = known_at, as_of = timestamp '2024-06-01' from facts.clock") == [(True, True)]


@pytest.mark.parametrize("version", [version for version in VERSIONS if version < "0.3"])
def test_of_two_rows_of_one_event_the_one_that_arrived_last_holds(tmp_path, version):
    """A like and a pass of one instant were two swipes, and so were two photos of one instant."""
    db = released(version, tmp_path)
    with duckdb.connect(db.layout.warehouse) as con:
        con.execute("delete from facts.swipes; delete from facts.main_photos")
        con.execute(
            """
            insert into facts.swipes
            select 's', r, liked, timestamp '2024-03-01', timestamp '2024-04-01' + to_days(day)
            from (values
                ('later', true, 0), ('later', false, 1), ('back', false, 0), ('back', true, 1),
                ('together', false, 0), ('together', true, 0), ('once', false, 0)
            ) as given (r, liked, day)
            """
        )
        con.execute(
            """
            insert into facts.main_photos
            select u, photo, timestamp '2024-03-01', timestamp '2024-04-01' + to_days(day)
            from (values
                ('later', 'z', 0), ('later', 'y', 1), ('later', null, 2), ('later', 'a', 2),
                ('together', 'a', 0), ('together', 'b', 0), ('once', 'a', 0)
            ) as given (u, photo, day)
            """
        )
    day = "ingested_at - timestamp '2024-04-01'"
    swipes = ask(db, f"select recipient_id, liked, extract(day from {day}) from facts.swipes order by all")
    assert swipes == [("back", True, 1), ("later", False, 1), ("once", False, 0), ("together", True, 0)]
    former = ask(
        db,
        f"select recipient_id, liked, extract(day from replaced_at - ingested_at), {day} = interval 0 day"
        " from facts.replaced_swipes order by all",
    )
    assert former == [("back", False, 1, True), ("later", True, 1, True)]
    main = ask(db, "select user_id, photo_id from facts.main_photos order by all")
    assert main == [("later", "a"), ("later", None), ("once", "a"), ("together", "a"), ("together", "b")]
    former = ask(
        db,
        "select user_id, photo_id, extract(day from replaced_at - ingested_at)"
        " from facts.replaced_main_photos order by all",
    )
    assert former == [("later", "y", 1), ("later", "z", 1)]
    build_labels(Store(db))
    checksums = "select relation, checksum from facts.relation_state order by all"
    built = ask(db, checksums)
    build_labels(Store(db), anew=True)
    assert ask(db, checksums) == built
    path = tmp_path / "again.csv"
    path.write_text("sender_id,recipient_id,liked,swiped_at\ns,later,false,2024-03-01\ns,later,true,2024-03-01\n")
    [report] = ingest(Store(db), "swipes", [path])
    assert (report.n_known, report.n_corrected) == (1, 1), "the event is one"


@pytest.mark.parametrize("version", VERSIONS)
def test_its_tables_are_those_of_a_new_store(tmp_path, version):
    db, new = released(version, tmp_path), store(tmp_path / "new")
    with new.write("test"):
        pass
    assert shape(db) == shape(new) != []


@pytest.mark.parametrize("version", VERSIONS)
def test_labels_of_a_full_build_are_unchanged(tmp_path, version):
    db = released(version, tmp_path)
    before = rows(db.layout.warehouse)
    build_labels(Store(db), anew=True)
    after = rows(db.layout.warehouse)
    for name in sql.RELATIONS:
        if name == "gender_changes":  # new since, for --gender then
            assert after[f"main.{name}"] == []
        else:  # later columns stand behind the former ones
            former = before[f"main.{name}"]
            width = len(former[0]) if former else 0
            assert [row[:width] for row in after[f"main.{name}"]] == former, name


def test_a_step_that_fails_leaves_the_former_version(tmp_path, monkeypatch):
    db = released(VERSIONS[0], tmp_path)
    before = rows(db.layout.warehouse)
    monkeypatch.setattr(sql, "read", lambda name: "create table facts.half (i int); select error('no')")
    with pytest.raises(duckdb.Error, match="no"), db.write("test"):
        pass
    monkeypatch.undo()
    assert rows(db.layout.warehouse) == before
    assert ask(db, "select count(*) from users") == [(12,)]


def test_killed_within_a_step_it_is_the_former_version(tmp_path):
    db = released(VERSIONS[0], tmp_path)
    before = rows(db.layout.warehouse)
    killed = (
        "import os, signal, sys\n"
        "class Killing:\n"
        "    def execute(self, *given):\n"
        "        con.execute(*given)\n"
        "        if 'facts.version' in given[0]: os.kill(os.getpid(), signal.SIGKILL)\n"
        "import duckdb\n"
        "from photogenic.warehouse.duckdb_store.migrations import migrate\n"
        "con = duckdb.connect(sys.argv[1])\n"
        "con.begin()\n"
        "killing = Killing(); killing.begin = lambda: None; killing.commit = con.commit\n"
        "migrate(killing, 1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", killed, db.layout.warehouse], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert rows(db.layout.warehouse) == before
    assert ask(db, "select max(version) from facts.version") == [(SCHEMA_VERSION,)]


def test_a_newer_store_is_refused_by_readers_and_writers(tmp_path):
    db = released(VERSIONS[0], tmp_path)
    with db.write("test") as con:
        con.execute("insert into facts.version values (99)")
    before = db.layout.warehouse.read_bytes()
    for opened in (db.read, lambda: db.write("test")):
        with pytest.raises(StoreError, match="a newer Photogenic") as error, opened():
            pass
        assert "pip install --upgrade photogenic" in str(error.value)
    assert db.layout.warehouse.read_bytes() == before


def test_an_older_snapshot_alone_is_named_and_not_written_over(tmp_path):
    db = released(VERSIONS[0], tmp_path)
    db.layout.warehouse.unlink()
    before = db.layout.snapshot.read_bytes()
    with pytest.raises(StoreError, match="has schema version 1"), db.read():
        pass
    assert db.layout.snapshot.read_bytes() == before


def test_an_unknown_version_is_refused(tmp_path):
    with pytest.raises(StoreError, match="has schema version -5"):
        migrate(None, -5)


def test_each_store_has_a_name_of_its_own(tmp_path):
    names = set()
    for folder in ("a", "b"):
        db = store(tmp_path / folder)
        with db.write("test"):
            pass
        names.update(ask(db, "from facts.identity"))
    assert len(names) == 2
