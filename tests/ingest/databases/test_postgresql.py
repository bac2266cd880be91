"""Rows from PostgreSQL: types, what a query may do, secrets, encodings, connections that end."""

import contextlib
import datetime as dt
import socket
import threading
import time
from pathlib import Path
from urllib.parse import quote

import pyarrow.parquet as pq
import pytest

from photogenic.ingest.databases import database as sources
from photogenic.ingest.options import SourceOptions
from photogenic.ingest.readers.input_files import Spool
from photogenic.warehouse import InputError
from tests.ingest.ingest_store import StoreWithFiles
from tests.postgres_server import KEEPER, PASSWORD

SWIPES = """
    create table swipes (id serial, sender uuid, recipient varchar(40), liked bool, swiped_at timestamptz, extra jsonb);
    insert into swipes (sender, recipient, liked, swiped_at, extra)
    select md5((i % 3)::text)::uuid, 'r' || i, i % 2 = 0, timestamptz '2024-05-01 00:00Z' + i * interval '1 s',
        jsonb_build_object('event', jsonb_build_object('id', 'e' || i))
    from generate_series(1, 10) i;
"""
MAPPING = {"sender_id": "sender", "recipient_id": "recipient"}


@pytest.fixture
def store(tmp_path):
    return StoreWithFiles(tmp_path)


def take(store, kind, address, query, **options):
    [report] = store.take(kind, address, options=SourceOptions(query=query), **options)
    return report


def read(address, query, spool):
    """The rows of a query as they are copied, as a table of Arrow."""
    [file] = sources.open_source(address, spool, SourceOptions(query=query))
    return pq.ParquetFile(file.path).read()


@pytest.fixture
def spool(tmp_path):
    with Spool(tmp_path / "spool") as opened:
        yield opened


def test_swipes_come_in_once(store, postgres, database):
    postgres.psql(SWIPES, database)
    address = postgres.address(database)
    report = take(store, "swipes", address, "swipes", mapping={**MAPPING, "event_id": "extra.event.id"})
    assert (report.n_read, report.n_new, report.n_refused) == (10, 10, 0)
    assert report.source == f"{address} swipes"
    assert store.rows("select event_id, sender_id from facts.swipes where recipient_id = 'r3'") == [
        ("e3", "cfcd2084-95d5-65ef-66e7-dff9f98764da")
    ]
    query = "select * from swipes order by id -- all\n;"
    assert take(store, "swipes", address, query, mapping={**MAPPING, "event_id": "extra.event.id"}).n_new == 0


def test_a_value_inside_json_may_not_be_an_object(store, postgres, database):
    postgres.psql(SWIPES, database)
    report = take(store, "swipes", postgres.address(database), "swipes", mapping={**MAPPING, "event_id": "extra.event"})
    assert report.refused == {"nested_value": 10}


def test_every_type_arrives(postgres, database, spool):
    postgres.psql(
        "create type mood as enum ('good'); create domain code as text; create type pair as (a int, b text)", database
    )
    table = read(
        postgres.address(database),
        """select true, 1::int2, 2::int4, 3::int8, 0.5::float4, 0.1::float8, 12.50::numeric, 'NaN'::numeric,
            'a'::text, 'b'::varchar(5), 'c'::char(5), 'd'::name, '6f1ed002-ab5c-4d2e-9e0c-1a0b0d0e0f00'::uuid,
            timestamptz '2024-05-01 02:00+02', timestamp '2024-05-01', date '2024-05-01', '1 day 2 hours'::interval,
            '12:00+02'::timetz, '24:00'::time, '{"a": 1}'::json, '{"a":1}'::jsonb, array['x', null], array[1.5],
            'good'::mood, array['good'::mood], 'e'::code, '\\x00ff'::bytea, 12.5::money, '10.0.0.1'::inet,
            row(1, 'x')::pair, row(1, 2), int4range(1, 3), point(1, 2), '101'::bit(3), null, null::int4, 'f'::"char",
            array[[1, 2], [3, 4]]""",
        spool,
    )
    [row] = zip(*(column.to_pylist() for column in table.columns), strict=True)
    utc = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)
    assert list(row[:7]) == [True, 1, 2, 3, 0.5, 0.1, "12.50"]
    assert row[7].lower() == "nan"
    assert list(row[8:13]) == ["a", "b", "c", "d", row[12]]
    assert str(row[12]) == "6f1ed002-ab5c-4d2e-9e0c-1a0b0d0e0f00"
    assert list(row[13:16]) == [utc, utc.replace(tzinfo=None), utc.date()]
    assert list(row[16:19]) == ["1 day 02:00:00", "12:00:00+02", "24:00:00"]
    assert list(row[19:27]) == ['{"a": 1}', '{"a": 1}', ["x", None], ["1.5"], "good", ["good"], "e", b"\0\xff"]
    assert list(row[27:34]) == ["12.50", "10.0.0.1/32", "(1,x)", "(1,2)", "[1,3)", "(1,2)", "101"]
    assert list(row[34:]) == [None, None, "f", [1, 2, 3, 4]]


def test_times_that_no_store_holds_are_refused_one_by_one(store, postgres, database):
    times = ("infinity", "-infinity", "0044-03-15 BC", "294276-01-01", "2024-05-01", "20000-01-01")
    values = ", ".join(f"('s', 'r{at}', true, '{time}'::timestamptz)" for at, time in enumerate(times))
    report = take(
        store,
        "swipes",
        postgres.address(database),
        f"select * from (values {values}) as x (sender_id, recipient_id, liked, swiped_at)",
    )
    assert (report.n_new, report.refused) == (1, {"bad_time": 2, "future_time": 3})
    details = [detail for (detail,) in store.rows("select detail from facts.rejects order by line")]
    assert details[:2] == ["infinity", "-infinity"]
    days = ", ".join(
        f"('s', 'r{at}', true, '{day}'::date)" for at, day in enumerate(["infinity", "-infinity", "0044-03-15 BC"])
    )
    report = take(
        store,
        "swipes",
        postgres.address(database),
        f"select * from (values {days}) as x (sender_id, recipient_id, liked, swiped_at)",
    )
    assert report.n_refused == 3


def test_columns_of_one_name(postgres, database, spool):
    table = read(postgres.address(database), 'select 1 as a, \'x\' as a, 2 as "b"""', spool)
    assert table.column_names == ["a", "a", 'b"']
    assert [column.to_pylist() for column in table.columns] == [[1], ["x"], [2]]


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("select 1; select 2", "The query has several statements"),
        ("delete from kept", "The query is not a select"),
        ("copy kept to program 'id'", "The query is not a select"),
        ("with gone as (delete from kept returning *) select * from gone", "data-modifying statement"),
        ("select 1) as a; drop table kept; select (1", "syntax error"),
        ("select * into other from kept", "The query has no columns"),
        ("select spoil()", "The query writes: cannot execute DELETE"),
        ("select set_config('transaction_read_only', 'off', false), spoil()", "The query writes"),
        ("select nextval('numbers')", "The query writes: cannot execute nextval"),
        ("nosuch", 'relation "nosuch" does not exist'),
        ("select nosuch from kept", 'column "nosuch" does not exist'),
        ("select 1 / (user_id = 'a')::int from kept", "division by zero"),
        ("select from kept", "has no columns"),
        ("select $1::int", "there is no parameter"),
        (None, "There is no query"),
        (" ; ", "There is no query"),
    ],
)
def test_a_query_that_is_not_one_reading_select(postgres, writable, query, what, spool):
    with pytest.raises(InputError, match=what):
        read(writable, query, spool)
    assert postgres.psql("select count(*) from kept", writable.rpartition("/")[2]) == "2"


@pytest.fixture(scope="module")
def writable(postgres):
    """Address of a database with a table and a function that empties it."""
    name = postgres.new_database()
    postgres.psql(
        """create table kept (user_id text); insert into kept values ('a'), ('b'); create sequence numbers;
        create function spoil() returns int language sql as 'delete from kept returning 1'""",
        name,
    )
    return postgres.address(name)


def test_a_query_may_name_a_table_with_its_schema(postgres, database, spool):
    postgres.psql('create schema "Big one"; create table "Big one".users as select 1 as user_id', database)
    assert read(postgres.address(database), '"Big one".users', spool).num_rows == 1


def test_secrets_are_in_no_message(store, postgres, database, monkeypatch):
    monkeypatch.delenv("PGPASSWORD", raising=False)
    right = postgres.address(database, KEEPER, quote(PASSWORD, safe=""))
    report = take(store, "users", right + "?application_name=hush", "select 'u1' as user_id")
    assert report.source == f"postgresql://{KEEPER}@127.0.0.1:{postgres.port}/{database}"
    for wrong in (
        postgres.address(database, KEEPER, "hush-hush"),
        postgres.address("nosuch", KEEPER, "hush-hush"),
        f"postgresql://{KEEPER}:hush-hush@127.0.0.1:1/x",
        f"postgresql://{KEEPER}:hush-hush@hush@127.0.0.1:1/x",
        f"postgresql://{KEEPER}:hush-h/ush@127.0.0.1:1/x",
        f"postgresql://{KEEPER}:hush-h?ush@127.0.0.1:1/x",
        f"postgresql://{KEEPER}@127.0.0.1:1/x?password=hush-hush",
        f"postgresql://{KEEPER}@127.0.0.1:1/x?sslpassword=hush-hush&nosuch=hush-hush",
        f"postgresql://{KEEPER}:hush%zz@127.0.0.1:1/x",
    ):
        with pytest.raises(InputError) as caught:
            take(store, "users", wrong, "select 'hush' as user_id")
        assert "hush" not in str(caught.value)
        assert caught.value.remedy
    assert not any("hush" in str(row) for row in store.rows("from facts.ingests"))


def test_a_password_may_come_from_the_environment_or_a_file(postgres, database, spool, monkeypatch, tmp_path):
    address = postgres.address(database, KEEPER)
    with pytest.raises(InputError, match="password"):
        read(address, "select 1 as a", spool)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    assert read(address, "select 1 as a", spool).num_rows == 1
    monkeypatch.delenv("PGPASSWORD")
    passwords = tmp_path / "pgpass"
    escaped = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
    passwords.write_text(f"127.0.0.1:{postgres.port}:*:{KEEPER}:{escaped}\n")
    passwords.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    assert read(address, "select 1 as a", spool).num_rows == 1
    services = tmp_path / "services.conf"
    services.write_text(f"[app]\nhost={postgres.folder}\nport={postgres.port}\nuser={KEEPER}\ndbname={database}\n")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    assert read("postgresql://?service=app", "select 1 as a", spool).num_rows == 1


@pytest.mark.parametrize(
    ("change", "what", "remedy"),
    [
        (lambda address: address.replace("/test", "/nosuch"), "does not exist", "psql -l"),
        (lambda address: address.replace("tester", "nobody"), 'role "nobody" does not exist', "psql -l"),
        (lambda address: address.replace("127.0.0.1", "host.invalid"), "host.invalid", "pg_isready"),
        (lambda address: address + "?nosuch=1", "invalid URI query parameter", "postgresql://me@localhost/app"),
        (lambda address: address.replace("//", "/"), "cannot be read", "postgresql://me@localhost/app"),
    ],
)
def test_a_database_that_is_not_there(postgres, database, spool, change, what, remedy):
    with pytest.raises(InputError, match=what) as caught:
        sources.open_source(change(postgres.address(database)), spool, SourceOptions(query="select 1 as a"))
    assert remedy in caught.value.remedy


def test_the_time_outs_of_the_server_are_named(postgres, database, spool, monkeypatch):
    address = postgres.address(database)
    monkeypatch.setenv("PGOPTIONS", "-c statement_timeout=100")
    with pytest.raises(InputError, match="statement timeout") as caught:
        read(address, "select pg_sleep(30)::text as a", spool)
    assert "PGOPTIONS" in caught.value.remedy
    monkeypatch.setenv("PGOPTIONS", "-c lock_timeout=100")
    postgres.psql("create table locked (a int)", database)
    import adbc_driver_postgresql.dbapi as driver

    with driver.connect(address) as other, other.cursor() as cursor:
        cursor.execute("lock table locked")
        with pytest.raises(InputError, match="lock timeout"):
            read(address, "locked", spool)


def test_a_server_that_hangs_is_left(spool, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(InputError, match=r"cannot be opened: .*timeout"):
            read(f"postgresql://u@127.0.0.1:{port}/x?connect_timeout=2", "select 1", spool)
        monkeypatch.setattr(sources, "_SILENCE_S", 0.2)
        started = time.monotonic()
        with pytest.raises(InputError, match="sent nothing for 0 s"):
            read(f"postgresql://u@127.0.0.1:{port}/x?connect_timeout=2", "select 1", spool)
        assert time.monotonic() - started < 2


def test_an_error_after_many_rows_takes_in_nothing(store, postgres, database):
    query = "select 'u' || i as user_id, 1 / (400000 - i) as followers from generate_series(1, 500000) i"
    with pytest.raises(InputError, match="division by zero"):
        take(store, "users", postgres.address(database), query)
    assert not (store.folder / "store" / "warehouse.duckdb").exists()


def test_a_connection_that_is_cut_takes_in_nothing(store, postgres, database):
    with (
        CutAfter(postgres.port, 3_000_000) as port,
        pytest.raises(InputError, match=r"was lost after .* rows") as caught,
    ):
        address = postgres.address(database).replace(str(postgres.port), str(port))
        take(store, "users", address, "select 'user' || i as user_id from generate_series(1, 3000000) i")
    assert "nothing of it was taken in" in str(caught.value)
    assert not (store.folder / "store" / "warehouse.duckdb").exists()


def test_a_server_that_crashes_takes_in_nothing(store, postgres, database):
    failure = []

    def ingest():
        try:
            query = "select 'user' || i as user_id, pg_sleep(0.001)::text from generate_series(1, 3000000) i"
            take(store, "users", postgres.address(database), query)
        except InputError as error:
            failure.append(error)

    thread = threading.Thread(target=ingest)
    thread.start()
    active = "select count(*) from pg_stat_activity where query like 'COPY%generate_series%' and state = 'active'"
    while thread.is_alive() and postgres.psql(active, database) != "1":
        pass
    postgres.kill()
    thread.join(30)
    postgres.start()
    assert "was lost" in str(failure[0])


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_texts_in_other_encodings(store, postgres, encoding):
    name = postgres.new_database(f"encoding '{encoding}' template template0")
    bytes_ = "convert_from('\\xe9', 'LATIN1')" if encoding == "LATIN1" else "E'\\xe9'"
    postgres.psql(f"create table t as select {bytes_}::text as user_id", name)
    report = take(store, "users", postgres.address(name), "t")
    assert store.rows("select user_id from facts.users") == [("é",)]
    assert report.notes == (("1 texts are not UTF-8: read as Latin-1",) if encoding == "SQL_ASCII" else ())


def test_paths_of_pictures_start_from_the_working_folder(store, postgres, database, monkeypatch):
    monkeypatch.chdir(store.folder)
    Path("p.jpg").write_bytes(b"no picture")
    report = take(
        store, "photos", postgres.address(database), "select 'p' as photo_id, 'u' as user_id, 'p.jpg' as path"
    )
    assert report.n_new == 1
    assert report.pictures


class CutAfter:
    """A proxy on loopback that closes the connections after some bytes of the server; yields its port."""

    def __init__(self, port, n_bytes):
        self._target, self._left = port, n_bytes
        self._server = socket.create_server(("127.0.0.1", 0))

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self._server.getsockname()[1]

    def __exit__(self, *_):
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near):
        with near, socket.create_connection(("127.0.0.1", self._target)) as far:
            threading.Thread(target=self._copy, args=(near, far), daemon=True).start()
            with contextlib.suppress(OSError):
                while self._left > 0 and (data := far.recv(65536)):
                    self._left -= len(data)
                    near.sendall(data)
            for end in (near, far):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _copy(near, far):
        with contextlib.suppress(OSError):
            while data := near.recv(65536):
                far.sendall(data)
            far.shutdown(socket.SHUT_RDWR)
