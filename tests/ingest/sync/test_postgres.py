"""PostgreSQL: types of watermarks, transactions that commit late, and a server that is killed."""

import subprocess

import pytest

from photogenic.ingest.sync import queries
from tests.ingest.sync.sync_store import SyncStore, outcomes
from tests.postgres_server import program

TABLE = """
create table swipes (
    sender_id text, recipient_id text, liked bool, swiped_at timestamp default '2024-01-01',
    at timestamptz default now(), naive timestamp default localtimestamp, n bigserial, small int default 1,
    day date default current_date, word text, id uuid
);
"""


@pytest.fixture
def store(tmp_path, postgres, database):
    postgres.psql(TABLE, database)
    made = SyncStore(tmp_path, query="select * from swipes", given=(postgres.address(database),))
    made.psql = lambda statements: postgres.psql(statements, database)
    return made


@pytest.mark.parametrize("column", ["at", "naive", "n", "small", "day", "word", "id"])
def test_every_type_of_a_watermark_goes_on_from_its_position(store, column):
    store.changed(watermark=column)
    insert = "insert into swipes (sender_id, recipient_id, liked, word, id) values "
    store.psql(insert + "('a', 'b', true, 'it''s 1', '018f3c2e-8d50-7000-8000-000000000001')")
    first = store.sync()
    assert outcomes(first)[:2] == (1, 1)
    store.psql(insert + "('a', 'c', true, 'it''s 2', '018f3c2e-8d50-7000-8000-000000000002')")
    second = store.sync()
    assert outcomes(second)[1] == 1
    assert second.old_position == first.new_position
    assert outcomes(store.sync())[1:] in {(0, 0, 0, 2, 0), (0, 0, 0, 1, 0)}


@pytest.mark.parametrize("column", ["at", "n"])
def test_a_transaction_that_commits_after_a_later_row_was_read_is_taken_in(store, postgres, column):
    store.changed(watermark=column)
    command = [program("psql"), "-X", "-q", "-A", "-t", store.source.given[0]]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as slow:
        slow.stdin.write("begin; insert into swipes (sender_id, recipient_id, liked) values ('late', 'b', true);")
        slow.stdin.write("select 'open';\n")
        slow.stdin.flush()
        assert slow.stdout.readline() == "open\n"
        store.psql("insert into swipes (sender_id, recipient_id, liked) values ('quick', 'b', true)")
        assert outcomes(store.sync())[1] == 1
        slow.stdin.write("commit;\n")
        slow.stdin.close()
    assert outcomes(store.sync()) == (2, 1, 0, 0, 1, 0)


def test_infinite_times_and_missing_ones(store):
    store.psql(
        "insert into swipes (sender_id, recipient_id, liked, at) values"
        " ('a', 'b', true, '-infinity'), ('c', 'b', true, 'infinity'), ('d', 'b', true, null)"
    )
    store.changed(watermark="at")
    report = store.sync()
    assert outcomes(report)[:2] == (2, 2)
    assert report.new_position == "2024-06-01 00:00:00+00:00"
    assert any("1 rows without a at" in note for note in report.notes)


def test_a_server_that_is_killed_keeps_the_pieces_before_and_the_next_sync_goes_on(store, postgres, monkeypatch):
    monkeypatch.setattr(queries, "PIECE_ROWS", 1)
    store.psql(
        "insert into swipes (sender_id, recipient_id, liked, word)"
        " select 's' || i, 'b', true, repeat('x', 200) from generate_series(1, 400000) as t(i)"
    )
    store.changed(watermark="n", query="select sender_id, recipient_id, liked, swiped_at, n, word from swipes")
    whole = queries.QueryReader.pieces

    def cut(self, spill):
        for number, piece in enumerate(whole(self, spill)):
            if number == 1:
                store.psql("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()")
            yield piece

    monkeypatch.setattr(queries.QueryReader, "pieces", cut)
    report = store.try_sync()
    assert "was lost" in report.error
    assert report.new_position is not None
    monkeypatch.setattr(queries.QueryReader, "pieces", whole)
    assert 0 < store.sync().count("new") < 400_000
    assert store.rows("select count(*), count(distinct sender_id) from swipes") == [(400_000, 400_000)]


def test_a_query_cannot_write_and_the_password_is_in_no_message(store, postgres, database):
    store.changed(given=(postgres.address(database, "keeper", "wrong-s3cret"),))
    assert "wrong-s3cret" not in str(store.try_sync())
    store.changed(given=(postgres.address(database),), query="delete from swipes returning *")
    assert store.try_sync().error
    store.psql("insert into swipes (sender_id, recipient_id, liked) values ('a', 'b', true)")
    store.changed(query="select * from swipes) as s; drop table swipes; select * from (select 1")
    assert store.try_sync().error
    assert store.psql("select count(*) from swipes") == "1"
