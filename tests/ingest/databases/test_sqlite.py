"""Rows from a file of SQLite: values of any type in any column, what a query may do, damaged and locked files."""

import contextlib
import sqlite3

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from photogenic.ingest.databases import database as sources
from photogenic.ingest.options import SourceOptions
from photogenic.ingest.readers.input_files import Spool
from photogenic.warehouse import InputError
from tests.ingest.ingest_store import StoreWithFiles


@pytest.fixture
def store(tmp_path):
    return StoreWithFiles(tmp_path)


def fill(path, *statements):
    with contextlib.closing(sqlite3.connect(path)) as con:
        for statement in statements:
            con.execute(statement)
        con.commit()
    return f"sqlite:{path}"


def read(address, query, folder):
    with Spool(folder / "spool") as spool:
        [file] = sources.open_source(address, spool, SourceOptions(query=query))
        return pq.ParquetFile(file.path).read(), file.notes


def test_swipes_come_in_once(store):
    address = fill(
        store.folder / "app #1?.db",
        "create table swipes (sender_id, recipient_id, liked int, swiped_at text)",
        "insert into swipes values ('a', 7, 1, '2024-05-01'), ('b', 8, 0, 1714521600), ('c', 9, null, '2024-05-01')",
    )
    [report] = store.take("swipes", address, options=SourceOptions(query="swipes"))
    assert (report.n_read, report.n_new, report.refused) == (3, 2, {"bad_liked": 1})
    assert report.source == f"{address} swipes"
    assert [row[:3] for row in store.swipes()] == [("a", "7", True), ("b", "8", False)]
    [report] = store.take("swipes", address, options=SourceOptions(query="select * from swipes;"))
    assert report.repeated


def test_a_column_has_the_type_of_its_values(tmp_path):
    address = fill(
        tmp_path / "a.db",
        "create table t (whole, real, text, blob, mixed, number, empty)",
        "insert into t values (null, null, null, null, 1, 1, null)",
        "insert into t values (9007199254740993, 0.1, 'ä', x'00ff', 'x', 0.1, null)",
    )
    table, notes = read(address, "t", tmp_path)
    assert table.schema.types == [
        pa.int64(),
        pa.float64(),
        pa.string(),
        pa.binary(),
        pa.string(),
        pa.string(),
        pa.string(),
    ]
    assert [column.to_pylist() for column in table.columns] == [
        *([None, 9007199254740993], [None, 0.1], [None, "ä"], [None, b"\0\xff"]),
        *(["1", "x"], ["1", "0.1"], [None, None]),
    ]
    assert notes == ()


def test_a_type_that_comes_late(tmp_path):
    address = fill(
        tmp_path / "a.db",
        "create table t (a)",
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 200000)"
        " insert into t select case when i < 150000 then null when i < 199999 then i else 'end' end from n",
    )
    table, _ = read(address, "select a from t order by rowid", tmp_path)
    assert table.num_rows == 200000
    assert table.column("a")[149998].as_py() is None
    assert table.column("a")[149999].as_py() == "150000"
    assert table.column("a")[199999].as_py() == "end"


def test_texts_that_are_not_utf8(tmp_path):
    address = fill(tmp_path / "a.db", "create table t as select cast(x'e9' as text) as a union all select 'é'")
    table, notes = read(address, "select a from t order by a", tmp_path)
    assert sorted(table.column("a").to_pylist()) == ["é", "é"]
    assert notes == ("1 texts are not UTF-8: read as Latin-1",)


def test_columns_of_one_name(tmp_path):
    table, _ = read(fill(tmp_path / "a.db"), "select 1 as a, 'x' as a, 2 as 'b c'", tmp_path)
    assert table.column_names == ["a", "a:1", "b c"]  # SQLite itself renames the second one


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("select 1; select 2", "has several statements"),
        ("delete from t", r"refuses the query: .*syntax error"),
        ("pragma journal_mode = wal", r"refuses the query: .*syntax error"),
        ("attach 'other.db' as other", r"refuses the query: .*syntax error"),
        ("select 1) union select (2", r"refuses the query: .*syntax error"),
        ("nosuch", "no such table: nosuch"),
        ("select nosuch from t", "no such column: nosuch"),
        ("select abs(-9223372036854775808) as a", "integer overflow"),
        ("select ?", "refuses the query"),
        (None, "There is no query"),
    ],
)
def test_a_query_that_is_not_one_reading_select(tmp_path, query, what):
    address = fill(tmp_path / "a.db", "create table t (a)", "insert into t values (1)")
    before = (tmp_path / "a.db").read_bytes()
    with pytest.raises(InputError, match=what):
        read(address, query, tmp_path)
    assert (tmp_path / "a.db").read_bytes() == before
    assert sorted(path.name for path in tmp_path.glob("*.db*")) == ["a.db"]


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "text.db").write_text("user_id\na\n" * 100)
    fill(
        tmp_path / "cut.db",
        "create table t as select hex(randomblob(1000)) as a",
        *["insert into t select a from t"] * 6,
    )
    (tmp_path / "cut.db").write_bytes((tmp_path / "cut.db").read_bytes()[:20000])
    for name, what in (
        ("text.db", "not a database"),
        ("cut.db", "malformed|disk I/O"),
        ("nosuch.db", "There is no file"),
    ):
        with pytest.raises(InputError, match=what):
            read(f"sqlite:{tmp_path / name}", "t", tmp_path)
    assert not (tmp_path / "nosuch.db").exists()


@pytest.mark.parametrize("address", ["sqlite:", "sqlite://a.db", "sqlite:.", "sqlite:///nosuch.db"])
def test_an_address_without_a_file(tmp_path, address, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="There is no file"):
        read(address, "t", tmp_path)


def test_paths_after_two_slashes_are_those_of_sqlalchemy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "a.db", "create table t as select 1 as a")
    for address in ("sqlite:a.db", "sqlite:///a.db", f"sqlite:///{tmp_path}/a.db", f"sqlite:{tmp_path}/a.db"):
        assert read(address, "t", tmp_path)[0].num_rows == 1


def test_a_locked_file(tmp_path, monkeypatch):
    from photogenic.ingest.databases import sqlite

    monkeypatch.setattr(sqlite, "_WAIT_S", 0.1)
    address = fill(tmp_path / "a.db", "create table t as select 1 as a")
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db")) as con:
        con.execute("begin exclusive")
        with pytest.raises(InputError, match="is locked by another program"):
            read(address, "t", tmp_path)


def test_mysql_is_refused_with_the_way_that_works(tmp_path):
    with pytest.raises(InputError, match="MySQL and MariaDB are not read directly") as caught:
        read("mysql://u:hush@localhost/app", "t", tmp_path)
    assert "features ingest KIND -" in caught.value.remedy
    assert "hush" not in str(caught.value)
