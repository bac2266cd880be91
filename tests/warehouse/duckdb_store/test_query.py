"""SQL queries and their errors."""

import polars as pl
import pytest

from photogenic.sql import NAMES
from photogenic.warehouse import QueryError, Store, StoreError
from photogenic.warehouse.catalog import relation
from photogenic.warehouse.duckdb_store.query import sql, stream
from photogenic.warehouse.labels.build import build_labels
from tests.warehouse.small import add_facts, store


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    db = store(tmp_path_factory.mktemp("query"))
    add_facts(
        db,
        users=[("ann", "female"), ("bob", None)],
        main_photos=[("ann", "p", 1)],
        swipes=[("bob", "ann", True, 2)],
    )
    build_labels(Store(db))
    return db


def test_an_answer_is_a_typed_frame(db):
    frame = sql(db, "select photo_id, like_ratio, n_swipes from like_ratios where time_window = 'latest'")
    assert frame.schema == {"photo_id": pl.String, "like_ratio": pl.Float64, "n_swipes": pl.Int64}
    assert frame.rows() == [("p", 1.0, 1)]


def test_the_limit_cuts(db):
    assert sql(db, "select * from users", limit=1).height == 1


def test_a_pivot_is_computed_no_further_than_the_limit(db):
    """DuckDB's client would hold the whole result of a PIVOT that looks up its values: here 10^9 rows."""
    query = "with p as (pivot users on gender using count(*)) select r from p, range(1000000000) as t(r)"
    assert sql(db, query, limit=3)["r"].to_list() == [0, 1, 2]
    with stream(db, query, limit=3) as cursor:
        assert len(list(cursor.rows())) == 3


def test_rows_and_batches_of_a_stream_are_the_same(db):
    query = "select i, 'x' || i as name from range(250) as t(i)"
    with stream(db, query) as cursor:
        assert cursor.columns == ("i", "name")
        rows = list(cursor.rows())
    with stream(db, query) as cursor:
        assert [row for batch in cursor.batches(100) for row in zip(*batch.to_pydict().values(), strict=True)] == rows


@pytest.mark.parametrize("take", [lambda cursor: list(cursor.rows()), lambda cursor: list(cursor.batches())])
@pytest.mark.parametrize("kind", ["integer", "timestamptz"])
def test_a_query_that_fails_half_way_through_its_rows_says_why(db, take, kind):
    query = f"select cast(case when i < 9000 then null else 'forty' end as {kind}) from range(10000) as t(i)"
    with pytest.raises(QueryError, match="forty"), stream(db, query) as cursor:
        take(cursor)


@pytest.mark.parametrize(
    ("query", "fact", "expected", "remedy"),
    [
        ("select lik_ratio from like_ratios", "no column lik_ratio", "like_ratio", "features sql --show like_ratios"),
        ("select l.foo from like_ratios l", "no column foo", "photo_id", "--show like_ratios"),
        ("select x.y from photo_labels x", "no column y", "photo_id", "--show photo_labels"),
        (
            "select s.photo_id from swipes s, photo_periods p",
            "in s (swipes)",
            "photo_periods has a column",
            "show swipes",
        ),
        ("select swipes.photo_id from swipes, photos p", "in swipes:", "of sender_id", "show swipes"),
        ("select user_id from photos, users", "More than one", "one of photos.user_id, users.user_id", "--show photos"),
        ("select * from photo_label", "no relation photo_label", "photo_labels", "--show photo_labels"),
        ("select * from zzz", "no relation zzz", "one of the relations", "show tables"),
        ("select * from a.b", "a.b", "one of the relations", "show tables"),
        ("selct 1", "syntax error", "^", "show tables"),
        ("select * from users where user_id = 'x", "unterminated", "^", "--show users"),
        ("select flor(1.5)", "flor", "floor", "show tables"),
        ("create table x as select 1", "CREATE", "read-only", "features ingest"),
        ("update users set gender = null", "UPDATE", "read-only", "features ingest"),
        ("delete from facts.swipes", "DELETE", "read-only", "features ingest"),
        ("from read_csv('/etc/passwd')", "/etc/passwd", "cannot be accessed", "show tables"),
        ("copy (select 1) to '/nowhere.csv'", "/nowhere.csv", "cannot be accessed", "show tables"),
        ("set threads = 1", "threads", "cannot be accessed", "show tables"),
        ("insert into photos select * from photos", "would change data", "read-only", "features ingest"),
        ("with x as (insert into photos values (1)) from x", "INSERT", "read-only", "features ingest"),
        ("select sourc from photo_labels", "no column sourc", "perhaps source", "--show photo_labels"),
        ("with x as (select 1 as source) select sourc from x", "no column sourc", "perhaps source", "show tables"),
        ("select 1; select 2", "2 statements", "a statement", "one by one"),
        ("", "no rows", "SELECT", "show tables"),
        ("select cast('x' as integer)", "'x'", "^", "show tables"),
    ],
)
def test_a_refusal_says_what_happened_what_would_do_and_what_to_type(db, query, fact, expected, remedy):
    with pytest.raises(QueryError) as caught:
        sql(db, query)
    error = caught.value
    assert fact in error.what
    assert expected in error.expected
    assert remedy in error.remedy


def test_a_hint_names_no_column_that_was_refused(db):
    with pytest.raises(QueryError) as caught:
        sql(db, "select s.photo_id from swipes s join photo_periods p on p.user_id = s.recipient_id")
    of_swipes, _, elsewhere = caught.value.expected.partition("; ")
    assert "photo_id" not in of_swipes
    assert elsewhere == "photo_periods has a column photo_id"


@pytest.mark.parametrize(
    "source",
    ["information_schema.columns", "duckdb_columns()", "duckdb_columns", "system.information_schema.columns"],
)
def test_each_column_of_a_relation_is_listed_once(db, source):
    listed = sql(db, f"select table_name, column_name from {source} where column_name = 'photo_id'")
    assert listed.height == listed.n_unique()
    expected = {name for name in NAMES if any(column.name == "photo_id" for column in relation(name).columns)}
    assert set(listed["table_name"]) == expected


def test_relations_are_listed_once_and_no_table_of_facts(db):
    for source in ("information_schema.tables", "(show all tables) as t(a, table_schema, table_name, d, e, f)"):
        listed = sql(db, f"select table_name from {source}")["table_name"].to_list()
        assert sorted(listed) == sorted(NAMES)
    assert sorted(sql(db, "show tables")["name"].to_list()) == sorted(NAMES)
    described = [column.name for column in relation("photo_swipes").columns]
    assert sql(db, "describe photo_swipes")["column_name"].to_list() == described


def test_facts_can_still_be_read_by_name(db):
    assert sql(db, "select count(*) from facts.swipes").item() == 1


@pytest.mark.parametrize(
    "query",
    [
        "create or replace temp macro duckdb_columns() as table select 1",
        "drop macro duckdb_columns",
        "from system.main.duckdb_settings()",
        "from system.main.duckdb_secrets()",
    ],
)
def test_what_lists_relations_cannot_be_replaced_nor_gone_around(db, query):
    with pytest.raises(QueryError):
        sql(db, query)


def test_a_long_query_is_not_repeated_in_full(db):
    with pytest.raises(QueryError) as caught:
        sql(db, f"select lik_ratio from like_ratios where {' and '.join(['true'] * 200)}")
    assert len(caught.value.what) < 300


def test_before_the_first_build_the_way_out_is_to_build(tmp_path):
    db = store(tmp_path)
    add_facts(db, users=[("ann", None)])
    assert sql(db, "select count(*) from users").item() == 1
    with pytest.raises(QueryError, match=r"not been computed yet[\s\S]*features build"):
        sql(db, "select * from photo_labels")


def test_without_a_store_the_way_out_is_to_ingest(tmp_path):
    with pytest.raises(StoreError, match="features ingest"):
        sql(store(tmp_path), "select 1")


@pytest.mark.parametrize("take", [lambda cursor: list(cursor.rows()), lambda cursor: list(cursor.batches())])
def test_a_damaged_snapshot_is_not_blamed_on_the_query(tmp_path, take):
    db = store(tmp_path)
    add_facts(db, users=[("ann", None), ("bob", None)], swipes=[("bob", "ann", True, n) for n in range(1000)])
    data = bytearray(db.layout.snapshot.read_bytes())
    first_block = 3 * 4096  # after the three headers
    for block in range(first_block, len(data), 1 << 18):
        data[block + 5000] ^= 255
    db.layout.snapshot.write_bytes(data)
    with pytest.raises(StoreError, match="damaged"), stream(db, "from swipes") as cursor:
        take(cursor)
