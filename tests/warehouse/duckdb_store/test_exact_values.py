"""Values that readers of SQL results cannot hold: each reader returns the value, or DuckDB's text of it."""

import datetime as dt
import io
import json

import duckdb
import polars as pl
import pytest

from photogenic.app.terminal.output import Table, print_table, write_parquet
from photogenic.warehouse.duckdb_store.exact_values import Rows, project
from photogenic.warehouse.duckdb_store.query import sql, stream
from tests.warehouse.small import add_facts, store

DIGITS = 170141183460469231731687303715884105727


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    db = store(tmp_path_factory.mktemp("exact"))
    add_facts(db, users=[("ann", "female")], main_photos=[], swipes=[])
    return db


def read(db, expression):
    with stream(db, f"select {expression} as v; -- a comment") as cursor:
        ((value,),) = cursor.rows()
    return value


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("timestamp 'infinity'", "infinity"),
        ("timestamp '-infinity'", "-infinity"),
        ("date 'infinity'", "infinity"),
        ("timestamptz 'infinity'", "infinity"),
        ("cast('-infinity' as timestamp_s)", "-infinity"),
        ("cast('infinity' as timestamp_ns)", "infinity"),
        ("timestamp '9999-12-31 23:59:59.999999'", dt.datetime(9999, 12, 31, 23, 59, 59, 999999)),
        ("date '9999-12-31'", dt.date(9999, 12, 31)),
        ("timestamp '0001-01-01'", dt.datetime(1, 1, 1)),
        ("timestamp '0044-03-15 (BC) 00:00:00'", "0044-03-15 (BC) 00:00:00"),
        ("timestamp '2024-01-01 00:00:00.5'", dt.datetime(2024, 1, 1, 0, 0, 0, 500_000)),
        ("timestamptz '2024-01-01 00:00:00+02'", dt.datetime(2023, 12, 31, 22)),
        ("timestamp_ns '2024-01-01 00:00:00.000001'", dt.datetime(2024, 1, 1, 0, 0, 0, 1)),
        ("timestamp_ns '2024-01-01 00:00:00.000000001'", "2024-01-01T00:00:00.000000001Z"),
        ("timestamptz_ns '2024-01-01 00:00:00.000000001+02'", "2023-12-31T22:00:00.000000001Z"),
        ("interval 1 year", "1 year"),
        ("age(timestamp '2024-03-01', timestamp '2023-01-31')", "1 year 1 month 1 day"),
        ("timestamp '2024-01-02' - timestamp '2024-01-01'", "1 day"),
        ("timetz '10:00:00+02'", "10:00:00+02"),
        ("time '24:00:00'", "24:00:00"),
        ("[interval 1 year, null]", ["1 year", None]),
        ("{'a': interval 1 year, 'b''c': timestamp 'infinity'}", {"a": "1 year", "b'c": "infinity"}),
        ("cast(null as struct(a interval))", None),
        ("map {'k': interval 1 month}", {"k": "1 month"}),
        ("[timestamp '2024-01-01 00:00:00.5', null]", ["2024-01-01T00:00:00.500000Z", None]),
        ("[timestamptz '2024-01-01 12:00:00+02']", ["2024-01-01T10:00:00Z"]),
        ("[{'x': [date '-infinity', date '2024-02-29']}]", [{"x": ["-infinity", "2024-02-29"]}]),
        ("union_value(k := interval 1 year)", "1 year"),
        ("union_value(k := 1)", 1),
        (f"{DIGITS}::hugeint", DIGITS),
        ("340282366920938463463374607431768211455::uhugeint", 340282366920938463463374607431768211455),
        ("'101'::bit", "101"),
    ],
)
def test_a_row_has_the_value_or_its_text(db, expression, value):
    assert read(db, expression) == value


def test_rows_keep_their_order_and_columns_of_one_name(db):
    columns = "date '2024-01-01' + cast(i as integer) as d, timestamp 'infinity' as d, i"
    query = f"select {columns} from range(300) as t(i) order by i desc"
    with stream(db, query) as cursor:
        assert cursor.columns == ("d", "d", "i")
        rows = list(cursor.rows())
    assert [row[2] for row in rows] == list(range(299, -1, -1))
    assert rows[-1] == (dt.date(2024, 1, 1), "infinity", 0)


def test_every_type_of_duckdb_is_printed_and_exported():
    """New types of a later DuckDB are tested with the same readers."""
    con = duckdb.connect()
    kinds = con.sql("from test_all_types()")
    for name, kind in zip(kinds.columns, kinds.types, strict=True):
        query = f'select "{name}" as v from test_all_types()'
        how = Rows.of([kind])
        rows = con.execute(query if how is None else project(query, 1, how.expressions)).fetchall()
        values = [row[0] for row in (rows if how is None else how.restore(rows))]
        for form in ("csv", "json", "table"):
            print_table(Table(("v",), [(value,) for value in values]), form, file=io.StringIO())
        assert values[-1] is None, name


@pytest.mark.parametrize(
    "expression",
    [
        "interval 1 day",
        "[interval 1 day]",
        "union_value(k := 1)",
        "timetz '10:00:00+02'",
        "'101'::bit",
        "340282366920938463463374607431768211455::uhugeint",
        "{'x': 1}::variant",
        "map {'k': interval 1 month}",
        "map {'k': timestamp 'infinity'}",
        "[timestamp 'infinity']",
        "{'t': [date '-infinity']}",
        "null",
        "timestamp 'infinity'",
    ],
)
def test_parquet_and_frames_take_any_value(db, expression):
    query = f"select {expression} as v, 7 as n;"
    target = io.BytesIO()
    with stream(db, query) as cursor:
        assert write_parquet(cursor.batches(), target) == 1
    target.seek(0)
    assert pl.read_parquet(target)["n"].to_list() == [7]
    frame = sql(db, query)
    assert str(frame)
    with stream(db, f"select cast({expression} as varchar)") as cursor:
        ((text,),) = cursor.rows()
    if frame["v"].dtype == pl.String:
        assert frame["v"][0] == text
    else:
        assert frame["v"][0] is None


def test_a_frame_holds_maps_arrays_and_structures(db):
    frame = sql(db, "select histogram(user_id) as h, [1, 2]::integer[2] as a, {'x': [1]} as s from users")
    assert frame["h"].to_list() in ([{"ann": 1}], [[{"key": "ann", "value": 1}]])  # a map, or its entries
    assert (frame["a"].to_list(), frame["s"].to_list()) == ([[1, 2]], [{"x": [1]}])


def test_every_type_of_duckdb_is_a_frame(db, monkeypatch):
    monkeypatch.setattr(
        "photogenic.warehouse.sql_guard.guard.parse_read_only", lambda con, query: con.extract_statements(query)[0]
    )
    con = duckdb.connect()
    for name in con.sql("from test_all_types()").columns:
        frame = sql(db, f'select "{name}" as v from test_all_types()')
        assert frame.height == 3, name
        assert str(frame)


def test_a_frame_keeps_its_types_where_it_can(db):
    frame = sql(
        db, "select timestamp '2024-01-01' as t, 1::hugeint as h, date '2024-01-01' as d, [date '2024-01-01'] as l"
    )
    assert frame.schema == {"t": pl.Datetime("us"), "h": pl.Decimal(38, 0), "d": pl.Date, "l": pl.List(pl.Date)}


def test_the_zone_of_the_machine_changes_no_answer(db, monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    assert read(db, "cast(timestamptz '2024-01-01 00:00:00+00' as varchar)") == "2024-01-01 00:00:00+00"


def test_json_holds_what_sql_answered(db):
    with stream(
        db, "select 'nan'::double a, '-inf'::double b, null c, 9007199254740993 d, 0.1::decimal(3, 1) e"
    ) as cursor:
        out = io.StringIO()
        print_table(Table(cursor.columns, cursor.rows()), "json", file=out)
    assert json.loads(out.getvalue()) == [{"a": "NaN", "b": "-Infinity", "c": None, "d": 9007199254740993, "e": 0.1}]
