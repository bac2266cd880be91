"""Frames and attached DuckDB files in a query: what they may hold, do and leave behind."""

import gc
import hashlib
import os
import shutil
import subprocess
import sys
import weakref

import duckdb
import polars as pl
import pyarrow as pa
import pytest

from photogenic import FeatureStore
from photogenic.warehouse import InputError, LockedError, QueryError
from tests.warehouse.small import add_facts, store, swipes_store

META = pl.DataFrame({"recipient_id": ["recipient-0", "recipient-3", "nobody"], "price": [1, 20, 300]})
JOIN = "select count(*) as n, sum(price)::int as total from swipes join meta using (recipient_id)"


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    db = swipes_store(tmp_path_factory.mktemp("given"))
    with FeatureStore(db.layout.root) as store:
        yield store


@pytest.fixture
def other(tmp_path):
    """A DuckDB file with a table, one with any text as name, and objects that read files and write."""
    path = tmp_path / "other.duckdb"
    with duckdb.connect(path) as con:
        con.execute("create table prices as select 'recipient-' || range as recipient_id, range as price from range(3)")
        con.execute("create table \"My 'odd' table.csv\" as select 7 as a")
        con.execute("create schema inner_part; create table inner_part.deep as select 8 as a")
        con.execute("create view passwords as select * from read_text('/etc/passwd')")
        con.execute("create macro count_if(a) as 'from a stranger'")
        con.execute("create macro stolen() as table select * from read_text('/etc/passwd')")
    return path


def test_a_frame_joins_the_relations(opened):
    assert opened.sql(JOIN, frames={"meta": META}).row(0) == (715 + 714, 715 + 714 * 20)
    with opened.stream(JOIN, frames={"meta": META}) as cursor:
        assert list(cursor.rows()) == [(1429, 14995)]


def test_the_next_query_sees_no_frame_and_the_frame_is_free(opened):
    class Frame:
        """A frame whose end can be seen."""

        def __init__(self):
            self.table = META.to_arrow()

        def __arrow_c_stream__(self, requested_schema=None):
            return self.table.__arrow_c_stream__(requested_schema)

    frame = Frame()
    seen = weakref.ref(frame)
    before = pa.total_allocated_bytes()
    assert opened.sql(JOIN, frames={"meta": frame}).row(0) == (1429, 14995)
    kept = opened.database._kept
    assert kept is not None
    assert opened.sql("select count(*) as n from meta", frames={"meta": [{"a": 1}]}).item() == 1
    assert opened.database._kept is kept, "a frame makes no instance of its own"
    with pytest.raises(QueryError, match="There is no relation meta"):
        opened.sql(JOIN)
    with pytest.raises(QueryError, match="There is no relation meta"):
        opened.sql("describe meta")
    assert "meta" not in opened.sql("show tables")["name"].to_list()
    del frame
    gc.collect()
    assert seen() is None
    assert pa.total_allocated_bytes() <= before


def test_two_queries_at_once_have_their_own_frames(opened):
    with (
        opened.stream("from meta", frames={"meta": [{"a": 1}]}) as first,
        opened.stream("from meta", frames={"meta": [{"a": 2}]}) as second,
    ):
        assert (list(first.rows()), list(second.rows())) == ([(1,)], [(2,)])


def test_what_lists_and_describes_names_the_frame(opened):
    frames = {"Meta": META}
    assert "Meta" in opened.sql("show tables", frames=frames)["name"].to_list()
    assert opened.sql("describe meta", frames=frames)["column_name"].to_list() == ["recipient_id", "price"]
    assert opened.sql("summarize meta", frames=frames).height == 2
    assert opened.sql("explain from meta", frames=frames).height == 1
    with pytest.raises(QueryError, match="similar names: meta") as refused:
        opened.sql("from metaa", frames={"meta": META})
    assert refused.value.remedy == "describe meta"
    with pytest.raises(QueryError, match="perhaps price"):
        opened.sql("select prise from meta", frames={"meta": META})


def test_a_frame_works_in_pivots_samples_and_limits(opened):
    frames = {"meta": META}
    assert opened.sql("pivot meta on recipient_id using sum(price)", frames=frames, limit=5).width >= 3
    assert opened.sql("from meta order by price", frames=frames, limit=2).height == 2
    assert opened.sql("from meta where price > $least", {"least": 10}, frames=frames).height == 2


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("swipes", "a relation of the store"),
        ("Swipes", "a relation of the store"),
        ("like_ratios", "a relation of the store"),
        ("similar", "a meaning in SQL"),
        ("store", "a meaning in SQL"),
        ("TEMP", "a meaning in SQL"),
        ("facts", "a meaning in SQL"),
        ("duckdb_tables", "a meaning in SQL"),
        ("select", "is called 'select'"),
        ("_photogenic_query", "is called '_photogenic"),
        ("", "is called ''"),
        ('a"; attach', "is called"),
        ("a.b", "is called"),
        ("x" * 64, "x\\.\\.\\."),
    ],
)
def test_a_name_that_hides_or_breaks_something_is_refused(opened, name, why):
    with pytest.raises(InputError, match=why):
        opened.sql("select 1", frames={name: META})


def test_names_are_unique_among_frames_files_and_moments(opened, other):
    with pytest.raises(InputError, match="Two tables are called"):
        opened.sql("select 1", frames={"a": META, "A": META})
    with pytest.raises(InputError, match="Two tables are called other"):
        opened.sql("select 1", frames={"other": META}, attach=other)
    with pytest.raises(InputError, match="a moment are called jan"):
        opened.sql("select 1", frames={"jan": META}, as_of={"jan": "2024-01-31"})


def test_frames_and_files_beside_another_moment(opened, other):
    query = "select count(*) as n from swipes join meta using (recipient_id)"
    at = {"as_of": "2024-01-01T00:01:00"}
    assert opened.sql(query, frames={"meta": META}, **at).item() == 18
    assert opened.sql(query.replace("meta", "other.prices"), attach=other, **at).item() == 27
    named = {"as_of": {"early": "2024-01-01T00:01:00"}}
    assert opened.sql("select count(*) as n from early.swipes, meta", frames={"meta": META}, **named).item() == 180
    assert opened.sql(query.replace("meta", "other.prices"), attach=other).item() == 2144
    with pytest.raises(QueryError, match="There is no relation meta"):
        opened.sql(query, **at)


def test_an_attached_file_is_read_and_never_written(opened, other):
    digest, stat = hashlib.sha256(other.read_bytes()).hexdigest(), other.stat()
    query = "select sum(price)::int as total from swipes join other.prices using (recipient_id)"
    assert opened.sql(query, attach=other).item() == 715 + 2 * 714
    assert opened.sql("from other.\"My 'odd' table.csv\"", attach=str(other)).item() == 7
    assert opened.sql("from other.inner_part.deep", attach=[other]).item() == 8
    assert opened.sql("from mine.prices", attach={"mine": other}).height == 3
    assert opened.sql("from mine.prices", attach=[f"mine={other}"]).height == 3
    assert hashlib.sha256(other.read_bytes()).hexdigest() == digest
    assert other.stat().st_mtime_ns == stat.st_mtime_ns
    assert [path.name for path in other.parent.iterdir()] == ["other.duckdb"]
    with duckdb.connect(other) as con:  # nobody holds it any longer
        con.execute("insert into prices values ('recipient-9', 9)")
    with pytest.raises(QueryError, match=r"There is no relation other\.prices"):
        opened.sql("from other.prices")


def test_an_attached_file_is_listed_and_suggested(opened, other):
    found = opened.sql("show all tables", attach=other).filter(database="other")["name"].to_list()
    assert {"prices", "deep"} <= set(found)
    assert opened.sql("show tables", attach=other)["name"].to_list() == opened.sql("show tables")["name"].to_list()
    assert "facts" not in opened.sql("show all tables", attach=other)["schema"].to_list()
    assert opened.sql("describe other.prices", attach=other).height == 2
    with pytest.raises(QueryError, match=r"similar names: other\.prices"):
        opened.sql("from other.price", attach=other)


@pytest.mark.parametrize(
    "query",
    [
        "from other.passwords",
        "from other.stolen()",
        "from read_text('/etc/passwd')",
        "from '/etc/passwd'",
        "attach '{path}' as again",
        "detach other",
        "copy (select 1) to '{path}'",
        "insert into other.prices values ('a', 1)",
        "drop table other.prices",
        "create table other.made as select 1",
        "checkpoint other",
        "load httpfs",
        "set enable_external_access = true",
        "from duckdb_databases()",
        'from other."/etc/passwd"',
    ],
)
def test_neither_the_text_nor_the_file_reaches_the_disk(opened, other, query):
    digest = hashlib.sha256(other.read_bytes()).hexdigest()
    with pytest.raises(QueryError):
        opened.sql(query.replace("{path}", str(other)), attach=other)
    assert hashlib.sha256(other.read_bytes()).hexdigest() == digest


def test_a_macro_of_an_attached_file_changes_nothing_of_the_store(opened, other):
    query = "select count_if(liked) as n from swipes"
    assert opened.sql(query, attach=other).item() == opened.sql(query).item() == 1667


def test_a_file_with_changes_in_its_log_is_read_as_it_is(opened, tmp_path):
    writer = (
        "import duckdb, os; con = duckdb.connect('log.duckdb'); con.execute('create table a as select 1 as x');"
        "con.execute('checkpoint'); con.execute('insert into a values (2)'); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", writer], cwd=tmp_path, check=True)
    path, log = tmp_path / "log.duckdb", tmp_path / "log.duckdb.wal"
    assert log.exists()
    before = path.read_bytes(), log.read_bytes()
    assert opened.sql("select sum(x)::int as x from log.a", attach=path).item() == 3
    assert (path.read_bytes(), log.read_bytes()) == before


def test_a_file_that_cannot_be_attached_says_why(opened, other, tmp_path):
    text = tmp_path / "text.duckdb"
    text.write_text("no database" * 1_000)
    damaged = tmp_path / "damaged.duckdb"
    damaged.write_bytes(other.read_bytes()[:5_000])
    (tmp_path / "around.duckdb").symlink_to(tmp_path / "around.duckdb")
    cases = {
        tmp_path / "none.duckdb": "No such file",
        tmp_path: "no regular file",
        text: "no file of DuckDB",
        damaged: "cannot be attached",
        tmp_path / "around.duckdb": "cannot be read",
        tmp_path / "\0": "cannot be read",
    }
    for path, why in cases.items():
        with pytest.raises(InputError, match=why):
            opened.sql("select 1", attach={"other": path})
    with pytest.raises(InputError, match="is called 'my-file'"):
        opened.sql("select 1", attach=shutil.copy(other, tmp_path / "my-file.duckdb"))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="no regular file"):
        opened.sql("select 1", attach={"other": tmp_path / "pipe"})


def test_errors_of_versions_and_keys_are_told_apart(other):
    from photogenic.warehouse.given_tables.attached import AttachedFile, _explained

    newer = (
        "IO Error: Trying to read a database file with version number 999, but we can only read versions between"
        " 64 and 68."
    )
    locked = 'IO Error: Cannot open encrypted database "x" without a key'
    file = AttachedFile("other", other)
    assert "storage has version 999" in str(_explained(file, duckdb.Error(newer)))
    assert "between 64 and 68" in str(_explained(file, duckdb.Error(newer)))
    assert "is encrypted" in str(_explained(file, duckdb.Error(locked)))


def test_a_file_that_a_program_writes_is_refused(opened, other):
    held = "import duckdb, sys; con = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", held, str(other)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout.readline() == b"held\n"
        with pytest.raises(LockedError, match=r"open for writing in .*python"):
            opened.sql("from other.prices", attach=other)
        writer.stdin.close()
    with duckdb.connect(other) as con, pytest.raises(LockedError, match="open for writing in this process"):
        con.execute("select 1")
        opened.sql("from other.prices", attach=other)
    assert opened.sql("from other.prices", attach=other).height == 3


def test_a_link_is_followed_once(opened, other, tmp_path, monkeypatch):
    from photogenic.warehouse.given_tables import attached

    second = tmp_path / "second.duckdb"
    with duckdb.connect(second) as con:
        con.execute("create table prices as select 'second' as recipient_id")
    link = tmp_path / "link.duckdb"
    link.symlink_to(other)
    found = attached.attached_files({"linked": link})
    link.unlink()
    link.symlink_to(second)
    assert found[0].path == other.resolve()

    class Swapping:
        """A connection during whose ATTACH another file takes the place of the first."""

        def __init__(self, con):
            self._con = con

        def execute(self, text, *values):
            done = self._con.execute(text, *values)
            if text.startswith("attach"):
                second.replace(other)
            return done

    database = attached.AttachedDatabase(opened.database, found)
    with duckdb.connect() as con, pytest.raises(InputError, match="was replaced while it was opened"):
        database.attach_others(Swapping(con))


def test_a_store_with_tables_beside_it_cannot_be_written(opened):
    with opened.joined({"meta": META}) as db, pytest.raises(InputError, match="cannot write"):
        db.write("test")


def test_an_absent_store_is_named_first(tmp_path):
    from photogenic.warehouse import StoreError

    with FeatureStore(tmp_path / "none") as empty, pytest.raises(StoreError, match="There is no store"):
        empty.sql("from meta", frames={"meta": META})


def test_an_own_relation_is_not_hidden(tmp_path):
    db = store(tmp_path)
    add_facts(db, users=[("ann", "female")])
    with FeatureStore(db.layout.root) as opened:
        assert opened.sql("select * from users join meta using (user_id)", frames={"meta": [{"user_id": "ann"}]}).height
        assert opened.snapshot_path == db.layout.snapshot.absolute()
