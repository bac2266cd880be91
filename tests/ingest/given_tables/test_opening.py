"""Frames and files that a query joins: every kind gives the same rows, and what is no table is refused."""

import datetime as dt
import gzip
import os
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from photogenic import FeatureStore
from photogenic.ingest.given_tables.opening import opened_tables, table_files
from photogenic.warehouse import InputError
from tests.warehouse.small import SETTINGS, swipes_store

FRAME = pl.DataFrame({"key": ["a", "ü", None], "n": [1, 2, 3], "seen": [dt.datetime(2024, 1, 1)] * 3})


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    db = swipes_store(tmp_path_factory.mktemp("frames"))
    with FeatureStore(db.layout.root) as store:
        yield store


def rows(opened, given):
    return opened.sql(
        "select key, n::int as n, seen::timestamp as seen from meta order by n", frames={"meta": given}
    ).rows()


@pytest.mark.parametrize(
    "given",
    [
        FRAME,
        FRAME.to_arrow(),
        FRAME.to_arrow().to_reader(),
        FRAME.to_arrow().to_batches()[0],
        pyarrow.dataset.dataset(FRAME.to_arrow()),
        FRAME.lazy(),
        FRAME.to_pandas(),
        FRAME.to_pandas().set_index("key"),
        FRAME.to_pandas().set_index(np.array([5, 5, 5])),
        FRAME.to_dicts(),
        tuple(FRAME.to_dicts()),
    ],
    ids=lambda given: type(given).__name__,
)
def test_every_kind_of_frame_has_the_same_rows(opened, given):
    assert rows(opened, given) == FRAME.rows()


def test_every_format_of_file_has_the_same_rows(opened, tmp_path):
    writers = {
        "a b[1]*.parquet": FRAME.write_parquet,
        "a.csv": FRAME.write_csv,
        "a.tsv": lambda path: FRAME.write_csv(path, separator="\t"),
        "a.ndjson": FRAME.write_ndjson,
        "a.arrow": FRAME.write_ipc,
        "a.arrows": FRAME.write_ipc_stream,
        "a.csv.gz": lambda path: path.write_bytes(gzip.compress(FRAME.write_csv().encode())),
    }
    for name, write in writers.items():
        path = tmp_path / name
        write(path)
        assert rows(opened, path) == FRAME.rows(), name
        assert rows(opened, str(path)) == FRAME.rows(), name
    relative = Path(os.path.relpath(tmp_path / "a.csv"))
    assert rows(opened, relative) == FRAME.rows()


def test_a_pattern_is_one_table(opened, tmp_path):
    FRAME.head(2).write_parquet(tmp_path / "part-1.parquet")
    FRAME.tail(1).with_columns(pl.col("n").cast(pl.Int16), more=pl.lit(1)).write_parquet(tmp_path / "part-2.parquet")
    assert rows(opened, tmp_path / "part-*.parquet") == FRAME.rows()
    found = opened.sql("select count(more) as n from meta", frames={"meta": tmp_path / "part-*.parquet"})
    assert found.item() == 1


def test_a_file_of_parquet_is_read_where_it_lies(opened, tmp_path):
    path = tmp_path / "wide.parquet"
    pq.write_table(pa.table({"a": [1, 2], "text": ["x" * 10, "y"]}), path)
    with opened_tables({"meta": path}, SETTINGS) as (table,):
        assert isinstance(table.data, pyarrow.dataset.Dataset)
        assert table.data.files == [str(path)]


def test_odd_values_pass(opened):
    frame = pl.DataFrame(
        {
            "text": ["a\0b", "'; drop table x --", "\U0001f600"],
            "huge": [2**63 - 1, -(2**63), 0],
            "float": [float("nan"), float("inf"), -0.0],
            "day": [dt.date(1, 1, 1), dt.date(9999, 12, 31), None],
            "list": [[1], [], None],
            "struct": [{"a": 1}, {"a": None}, None],
            "bytes": [b"\xff\0", b"", None],
            "category": pl.Series(["x", "y", "x"], dtype=pl.Categorical),
            "empty": [None, None, None],
            'a "quoted" name': [1, 2, 3],
            "": [1, 2, 3],
        }
    )
    found = opened.sql("from meta", frames={"meta": frame})
    for name in ("text", "huge", "day", "list", "bytes", 'a "quoted" name'):
        assert found[name].to_list() == frame[name].to_list(), name
    assert str(found["float"].to_list()) == str(frame["float"].to_list())
    assert found["category"].cast(pl.String).to_list() == ["x", "y", "x"]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (3, "meta is a builtins.int"),
        (None, "meta is a builtins.NoneType"),
        ([], "without a column"),
        ([1, 2], "other things than dictionaries"),
        ([{"a": 1}, {"a": "x"}], "cannot be read as a table"),
        (pl.DataFrame({"a": [object()]}), "a column of Python objects"),
        (pd.DataFrame({"a": [1, "x", {}]}), "column 'a' holds dict"),
        (pl.DataFrame(), "has no columns"),
        (pa.table({"a": [1]}).select([]), "has no columns"),
        (pa.table({"a": pa.array([b"\xff\xfe"], pa.binary()).view(pa.string())}), "cannot be read as a table"),
    ],
    ids=range(10),
)
def test_what_is_no_table_is_refused(opened, given, why):
    with pytest.raises(InputError, match=f"(?s){why}"):
        opened.sql("from meta", frames={"meta": given})


def test_a_file_that_cannot_be_read_is_named(opened, tmp_path):
    cut = tmp_path / "cut.parquet"
    FRAME.write_parquet(cut)
    cut.write_bytes(cut.read_bytes()[:-20])
    unknown = tmp_path / "unknown.bin"
    unknown.write_bytes(b"\x01\x02\x03")
    for path in (cut, unknown, tmp_path / "none.csv"):
        with pytest.raises(InputError, match=path.stem):
            opened.sql("from meta", frames={"meta": path})


def test_a_file_that_shrinks_while_it_is_read_gives_an_error_or_its_rows(opened, tmp_path):
    path = tmp_path / "late.parquet"
    pq.write_table(pa.table({"a": range(200_000)}), path, row_group_size=10_000)
    with opened.joined({"meta": path}) as db:
        from photogenic.warehouse import QueryError
        from photogenic.warehouse.duckdb_store.query import sql

        path.write_bytes(path.read_bytes()[:1_000])
        with pytest.raises(QueryError):
            sql(db, "select sum(a) as a from meta")


def test_names_of_files_on_the_command_line():
    assert table_files(["meta=a=b.csv", "x=/tmp/a.csv"]) == {"meta": "a=b.csv", "x": "/tmp/a.csv"}
    for given in ("meta.csv", "=a.csv", "a/b=c.csv", "meta="):
        with pytest.raises(InputError, match="NAME=FILE"):
            table_files([given])
    with pytest.raises(InputError, match="Two tables"):
        table_files(["a=1.csv", "a=2.csv"])


def test_a_large_frame_is_scanned_without_a_copy(opened):
    n = 10_000_000
    frame = pl.DataFrame({"recipient_id": pl.Series("", np.arange(n, dtype=np.int64)), "x": np.ones(n, np.float32)})
    before = pa.total_allocated_bytes()
    with opened.joined({"meta": frame}) as db:
        from photogenic.warehouse.duckdb_store.query import sql

        assert pa.total_allocated_bytes() - before < 1_000_000
        found = sql(
            db, "select count(*) as n, sum(x)::bigint as x from swipes, meta where x > 2 or meta.recipient_id = 7"
        )
        assert found.row(0) == (5_000, 5_000)
