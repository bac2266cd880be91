"""Writers publish consistent states; readers keep the state that they opened and never block writers."""

import duckdb
import pytest

from photogenic.warehouse import Database, Layout, Settings, StoreError

SETTINGS = Settings(memory_limit="500MB", threads=2, lock_timeout_s=0)
ADD_USER = (
    "insert into facts.users (user_id, gender, followers, created_at, ingested_at)"
    " values ($1, null, null, null, timestamp '2024-01-01')"
)


@pytest.fixture
def db(tmp_path):
    return Database(Layout(tmp_path / "store"), SETTINGS)


def users(con):
    return con.execute("select user_id from facts.users order by all").fetchall()


def test_reading_a_store_without_a_snapshot_has_a_remedy(db):
    with pytest.raises(StoreError, match="features ingest users"), db.read():
        pass


def test_reader_keeps_its_state_while_others_write(db):
    with db.write("first") as con:
        con.execute(ADD_USER, ["ann"])
    early = db.open_snapshot()
    with db.write("second") as con:
        con.execute(ADD_USER, ["bob"])
    with db.read() as late:
        assert users(early) == [("ann",)]
        assert users(late) == [("ann",), ("bob",)]
    early.close()


def test_failed_write_publishes_nothing(db):
    with db.write("first") as con:
        con.execute(ADD_USER, ["ann"])
    with pytest.raises(ZeroDivisionError), db.write("second") as con:
        con.begin()
        con.execute(ADD_USER, ["bob"])
        raise ZeroDivisionError
    with db.read() as con:
        assert users(con) == [("ann",)]


def test_write_that_changes_nothing_publishes_nothing(db):
    with db.write("first") as con:
        con.execute(ADD_USER, ["ann"])
    before = db.layout.snapshot.stat().st_ino
    with db.write("second") as con:
        users(con)
    assert db.layout.snapshot.stat().st_ino == before


def test_lost_publication_is_made_up_for_by_the_next_write(db):
    with db.write("first") as con:
        con.execute(ADD_USER, ["ann"])
    with duckdb.connect(db.layout.warehouse) as con:  # a writer that died between commit and publication
        con.execute(ADD_USER, ["bob"])
    with db.write("third"):
        pass
    with db.read() as con:
        assert users(con) == [("ann",), ("bob",)]


def test_leftovers_of_a_killed_publication_are_removed(db):
    with db.write("first") as con:
        con.execute(ADD_USER, ["ann"])
    leftover = db.layout.root / ".snapshot.1.tmp"
    leftover.write_bytes(b"half")
    with db.write("second") as con:
        con.execute(ADD_USER, ["bob"])
    assert not leftover.exists()


@pytest.mark.parametrize(
    "query",
    [
        "create table store.main.t (i int)",
        "delete from facts.users",
        "select * from read_csv('/etc/hostname')",
        "copy (select 1) to 'x.csv'",
        "attach 'x.duckdb'",
        "install httpfs",
        "set enable_external_access = true",
        "set memory_limit = '100GB'",
    ],
)
def test_readers_cannot_write_or_reach_files(db, query):
    with db.write("first"):
        pass
    with db.read() as con, pytest.raises(duckdb.Error):
        con.execute(query)


def test_store_of_a_newer_version_is_refused(db):
    with db.write("first") as con:
        con.execute("update facts.version set version = 99")
    with pytest.raises(StoreError, match="schema version 99"), db.write("second"):
        pass


def test_damaged_snapshot_is_named(db):
    with db.write("first"):
        pass
    db.layout.snapshot.write_bytes(b"\0" * 100)
    with pytest.raises(StoreError, match=r"features doctor --fix"), db.read():
        pass
