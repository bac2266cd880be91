"""The snapshot stays attached between queries, until it is replaced; no query sees anything of another."""

import gc
import os
import threading
from pathlib import Path

import duckdb
import pytest

from photogenic.warehouse import QueryError
from photogenic.warehouse.duckdb_store.query import sql, stream
from tests.features.toy import database


@pytest.fixture
def db(tmp_path):
    db = database(tmp_path)
    with db.write("test"):
        pass
    yield db
    db.close()


def instance(db):
    """The DuckDB instance that the next query gets."""
    with db.read(query="") as con:
        return db.instance_of(con)


def test_the_next_query_gets_the_same_instance(db):
    assert instance(db) is instance(db)


def test_a_published_snapshot_replaces_the_former_one(db):
    former = instance(db)
    with db.write("test") as con:
        con.execute("insert into facts.users (user_id, ingested_at) values ('u1', timestamp '2024-01-01')")
    assert instance(db) is not former
    assert sql(db, "select count(*) from users").item() == 1


def test_a_query_that_runs_keeps_reading_its_snapshot(db):
    with stream(db, "select count(*) from users") as cursor:
        with db.write("test") as con:
            con.execute("insert into facts.users (user_id, ingested_at) values ('u1', timestamp '2024-01-01')")
        assert list(cursor.rows()) == [(0,)]
    assert sql(db, "select count(*) from users").item() == 1


def test_two_queries_at_once_have_an_instance_each(db):
    with db.read(query="") as first, db.read(query="") as second:
        assert db.instance_of(first) is not db.instance_of(second)


def test_queries_of_many_threads_have_their_own_answers(db):
    found = {}

    def ask(number):
        found[number] = [sql(db, "select $n", {"n": number}).item() for _ in range(5)]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: [number] * 5 for number in range(6)}


def test_what_one_query_creates_is_gone_for_the_next(db):
    with db.read(query="") as con:
        con.execute("create temp table mine as select 1 as a")
        con.execute("create temp macro secret() as 42")
        con.execute("begin")
    with db.read(query="") as con:
        assert db.instance_of(con) is not None
        for query in ("from mine", "select secret()"):
            with pytest.raises(duckdb.Error):
                con.execute(query)
    with pytest.raises(QueryError):
        sql(db, "from mine")


def test_an_instance_is_not_used_again_after_an_error(db):
    former = instance(db)
    with pytest.raises(QueryError):
        sql(db, "select nothing")
    assert instance(db) is not former


def test_a_smaller_memory_limit_is_that_of_its_query_alone(db):
    with db.read(memory_limit="50MB", query="") as con:
        (small,) = con.execute("select current_setting('memory_limit')").fetchone()
    with db.read(query="") as con:
        (full,) = con.execute("select current_setting('memory_limit')").fetchone()
    assert (small, full) == ("47.6 MiB", "476.8 MiB")


def test_cursors_have_locked_settings_and_the_time_of_utc(db):
    for _ in range(2):
        with db.read(query="") as con:
            assert con.execute("select current_setting('timezone')").fetchone() == ("UTC",)
            with pytest.raises(duckdb.InvalidInputException, match="locked"):
                con.execute("set memory_limit = '5GB'")


def test_closing_gives_back_the_file(db):
    def held():
        paths = (str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink())
        return sum(path.startswith(str(db.layout.snapshot)) for path in paths)

    for _ in range(5):
        sql(db, "select 1")
    assert held() == 1
    db.close()
    gc.collect()
    assert held() == 0


def test_show_tables_lists_each_relation_once_however_often_it_is_asked(db):
    first = sql(db, "show tables")["name"].to_list()
    assert first == sql(db, "show tables")["name"].to_list()
    assert len(first) == len(set(first))
    assert "swipes" in first


def test_a_fork_reads_and_writes_with_an_instance_of_its_own(db):
    kept = instance(db)
    child = os.fork()
    if not child:
        with db.write("test") as con:
            con.execute("insert into facts.users (user_id, ingested_at) values ('u1', timestamp '2024-01-01')")
        right = instance(db) is not kept and sql(db, "select count(*) from users").item() == 1
        db.close()
        os._exit(0 if right else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert sql(db, "select count(*) from users").item() == 1
