"""Tables of PostgreSQL: types, atomic replacement, what is not overwritten."""

import datetime as dt

import pyarrow as pa
import pytest

from photogenic.warehouse import InputError, StoreError
from photogenic.warehouse.export.options import ExportOptions
from photogenic.warehouse.export.postgres import PostgresWriter
from photogenic.warehouse.export.writer import Target
from tests.postgres_server import KEEPER

RATIOS = pa.table({"photo_id": ["a", "b'\\\"", None], "n": pa.array([1, 2, None], pa.int32())})


def target(table, name="ratios", digest="d1", n_rows=None):
    return Target(name, "like_ratios", digest, table.num_rows if n_rows is None else n_rows, {"version": "1"})


def write(address, table, name="ratios", digest="d1", *, append=False, n_rows=None):
    return PostgresWriter(address).write(
        table.to_reader(2), target(table, name, digest, n_rows), ExportOptions(append=append)
    )


def held(address, table, name="ratios", digest="d1", *, append=False):
    return PostgresWriter(address).held(target(table, name, digest), ExportOptions(append=append))


def test_types_are_those_that_users_of_postgresql_expect(postgres, database):
    moment = dt.datetime(2024, 5, 1, 12, 30, 0, 250)
    table = pa.table(
        {
            "flag": [True],
            "tiny": pa.array([-3], pa.int8()),
            "small": pa.array([255], pa.uint8()),
            "whole": pa.array([70000], pa.int32()),
            "big": pa.array([1 << 40], pa.int64()),
            "unsigned": pa.array([1 << 40], pa.uint64()),
            "single": pa.array([0.5], pa.float32()),
            "double": [0.1],
            "text": ["ä"],
            "large": pa.array(["x"], pa.large_string()),
            "word": pa.array(["w"]).dictionary_encode(),
            "instant": pa.array([moment], pa.timestamp("us")),
            "nanos": pa.array([moment], pa.timestamp("ns")),
            "zoned": pa.array([moment], pa.timestamp("us", "America/New_York")),
            "day": [dt.date(2024, 5, 1)],
            "bytes": [b"\0\xff"],
            "exact": pa.array([None], pa.decimal128(10, 2)),
            "vector": pa.array([[0.5, 1.5]], pa.list_(pa.float32(), 2)),
            "tags": [["a", None]],
            "box": [{"x": 1, "y": [2]}],
            "nested": [[[1], [2]]],
            "nothing": pa.nulls(1),
        }
    )
    write(postgres.address(database), table)
    found = postgres.psql(
        "select attname || ' ' || format_type(atttypid, atttypmod) from pg_attribute"
        " where attrelid = 'ratios'::regclass and attnum > 0 order by attnum",
        database,
    )
    assert dict(line.split(" ", 1) for line in found.splitlines()) == {
        **{"flag": "boolean", "tiny": "smallint", "small": "smallint", "whole": "integer", "big": "bigint"},
        **{"unsigned": "bigint", "single": "real", "double": "double precision", "text": "text", "large": "text"},
        **{"word": "text", "instant": "timestamp with time zone", "nanos": "timestamp with time zone"},
        **{"zoned": "timestamp with time zone", "day": "date", "bytes": "bytea", "exact": "numeric"},
        **{"vector": "real[]", "tags": "text[]", "box": "json", "nested": "json", "nothing": "text"},
    }
    row = postgres.psql("set timezone = 'UTC'; select * from ratios", database).split("|")
    assert row[:10] == ["t", "-3", "255", "70000", str(1 << 40), str(1 << 40), "0.5", "0.1", "ä", "x"]
    assert row[11:14] == ["2024-05-01 12:30:00.00025+00"] * 3
    assert row[14:] == ["2024-05-01", "\\x00ff", "", "{0.5,1.5}", "{a,NULL}", '{"x": 1, "y": [2]}', "[[1], [2]]", ""]


def test_a_table_is_replaced_in_place(postgres, database):
    address = postgres.address(database)
    assert held(address, RATIOS) is None
    done = write(address, RATIOS)
    assert (done.n_rows, done.state, done.address) == (3, "written", f"{address} ratios")
    postgres.psql(f"grant select on ratios to {KEEPER}; create view seen as select * from ratios", database)
    assert held(address, RATIOS).state == "unchanged"
    assert held(address, RATIOS, digest="d2") is None
    write(address, RATIOS.slice(1), digest="d2")
    assert postgres.psql("select photo_id from seen order by 1", database) == "b'\\\"\n"[:-1]
    assert postgres.psql(f"select has_table_privilege('{KEEPER}', 'ratios', 'select')", database) == "t"


def test_rows_that_somebody_removed_are_written_again(postgres, database):
    address = postgres.address(database)
    write(address, RATIOS)
    PostgresWriter(address).verify(target(RATIOS))
    postgres.psql("delete from ratios where n = 1", database)
    assert held(address, RATIOS) is None
    with pytest.raises(StoreError, match="has 2 rows, and not those of this export"):
        PostgresWriter(address).verify(target(RATIOS))


def test_rows_are_added_once(postgres, database):
    address = postgres.address(database)
    write(address, RATIOS, append=True)
    write(address, RATIOS, digest="d2", append=True)
    assert postgres.psql("select count(*) from ratios", database) == "6"
    assert held(address, RATIOS, append=True).n_rows == 6
    assert held(address, RATIOS, digest="d3", append=True) is None


def test_a_schema_is_created(postgres, database):
    write(postgres.address(database), RATIOS, name="reports.Like-ratios")
    assert postgres.psql('select count(*) from reports."Like-ratios"', database) == "3"


@pytest.mark.parametrize("name", ["", "a.b.c", "a.", "x" * 64, "a\0b"])
def test_a_name_that_is_none(postgres, database, name):
    with pytest.raises(InputError, match="A table cannot be named"):
        write(postgres.address(database), RATIOS, name=name)


def test_rows_of_somebody_else_are_not_replaced(postgres, database):
    address = postgres.address(database)
    postgres.psql("create table ratios (photo_id text, n integer); insert into ratios values ('theirs', 1)", database)
    for act in (held, write):
        with pytest.raises(InputError, match="has rows that no export has written"):
            act(address, RATIOS)
    assert postgres.psql("select photo_id from ratios", database) == "theirs"
    postgres.psql("delete from ratios", database)
    assert write(address, RATIOS).n_rows == 3


def test_other_columns_are_named(postgres, database):
    postgres.psql("create table ratios (photo_id varchar, n bigint, more text)", database)
    with pytest.raises(InputError, match="has a column more, which is not exported; it has n as bigint, not integer"):
        write(postgres.address(database), RATIOS)


def test_a_failure_leaves_the_table_as_it_was(postgres, database):
    address = postgres.address(database)
    write(address, RATIOS)

    def broken():
        yield RATIOS.to_batches()[0]
        raise StoreError("the snapshot was lost")

    reader = pa.RecordBatchReader.from_batches(RATIOS.schema, broken())
    with pytest.raises(StoreError, match="the snapshot was lost"):
        PostgresWriter(address).write(reader, target(RATIOS, digest="d2"), ExportOptions())
    with pytest.raises(StoreError, match="gave 3 rows, and 4 were counted"):
        write(address, RATIOS, digest="d2", n_rows=4)
    with pytest.raises(InputError, match="0x00"):
        write(address, pa.table({"photo_id": ["a\0b"], "n": pa.array([1], pa.int32())}), digest="d2")
    assert held(address, RATIOS).n_rows == 3


def test_a_user_without_the_right_to_create(postgres, database):
    address = postgres.address(database).replace("tester", KEEPER)
    with pytest.raises(InputError, match=r"cannot be opened: .*password") as error:
        write(address, RATIOS)
    assert "PGPASSWORD" in str(error.value)


def test_a_table_shared_with_others_is_not_replaced_and_gets_no_row_twice(postgres, database):
    address = postgres.address(database)
    postgres.psql("create table ratios (photo_id text, n int); insert into ratios values ('theirs', 7)", database)
    write(address, RATIOS, append=True)
    postgres.psql("insert into ratios values ('later', 8)", database)
    assert held(address, RATIOS, append=True).n_rows == 5
    PostgresWriter(address).verify(target(RATIOS))
    for refused in (held, write):
        with pytest.raises(InputError, match="has rows that no export has written"):
            refused(address, RATIOS, digest="d2")
    write(address, RATIOS, digest="d2", append=True)
    assert postgres.psql("select count(*) filter (where n > 6), count(*) from ratios", database) == "2|8"


def test_an_append_is_known_after_others_have_added_rows_to_our_table(postgres, database):
    address = postgres.address(database)
    write(address, RATIOS, append=True)
    postgres.psql("insert into ratios values ('later', 8)", database)
    assert held(address, RATIOS, append=True).n_rows == 4
    write(address, RATIOS, digest="d2", append=True)
    with pytest.raises(InputError, match="has rows that no export has written"):
        write(address, RATIOS, digest="d3")
