"""What is exported in each format is what readers that are not this program find."""

from __future__ import annotations

import datetime as dt
import json
import math
import shutil
from decimal import Decimal

import hypothesis.strategies as st
import lance
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from photogenic.warehouse.errors import InputError
from tests.warehouse.export.exporting import FORMATS, files, listed, opened, read, read_csv, with_duckdb, write

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8) | st.sampled_from(
    [
        "",
        '"',
        "a,b",
        "line\nfeed",
        "\r\n",
        "NULL",
        "nan",
        "é\N{SNOWMAN}",
        "\N{COMBINING ACUTE ACCENT}",
        "\ufeffbom",
        " ",
    ]
)
INSTANTS = st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31))
KINDS = {
    "text": (pa.string(), TEXTS),
    "small": (pa.uint8(), st.integers(0, 255)),
    "whole": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "huge": (pa.decimal128(38, 0), st.integers(1 - 10**38, 10**38 - 1).map(Decimal)),
    "unsigned": (pa.uint64(), st.integers(0, 2**64 - 1)),
    "number": (pa.float64(), st.floats()),
    "single": (pa.float32(), st.floats(width=32)),
    "flag": (pa.bool_(), st.booleans()),
    "at": (pa.timestamp("us"), INSTANTS),
    "day": (pa.date32(), st.dates()),
    "raw": (pa.binary(), st.binary(max_size=5)),
    "vector": (pa.list_(pa.float32(), 2), st.lists(st.floats(width=32), min_size=2, max_size=2)),
    "several": (pa.list_(pa.string()), st.lists(TEXTS | st.none(), max_size=3)),
    "both": (
        pa.struct([("a", pa.int32()), ("b", pa.string())]),
        st.fixed_dictionaries({"a": st.integers(0, 9), "b": TEXTS}),
    ),
    "enum": (pa.dictionary(pa.uint8(), pa.string()), st.sampled_from(["yes", "no"])),
}


@st.composite
def tables(draw):
    names = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=2, max_size=6, unique=True))
    n_rows = draw(st.integers(0, 20))
    columns = {}
    for name in names:
        kind, values = KINDS[name]
        columns[name] = pa.array(draw(st.lists(st.none() | values, min_size=n_rows, max_size=n_rows)), kind)
    return pa.table(columns)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with_store = opened(tmp_path_factory.mktemp("exported"), n=4)
    yield with_store
    with_store.close()


def plain(value):
    """A value without what formats differ in: zones, kinds of numbers and lists, and NaN, which is not itself."""
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=None)
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value


def values(table):
    return [{name: plain(value) for name, value in row.items()} for row in table.to_pylist()]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=tables())
@pytest.mark.parametrize("form", ["parquet", "delta", "lance"])
def test_random_tables_come_back_row_by_row(store, tmp_path, form, table):
    folder = tmp_path / "out"
    shutil.rmtree(folder, ignore_errors=True)
    done = write(store, table, folder, format=form, verify=True)
    assert (done.n_rows, done.n_written, done.state) == (len(table), len(table), "written")
    found, expected = values(read(folder, "rows", form)), values(table)
    if form == "delta":  # whose rows have no order
        found, expected = sorted(found, key=repr), sorted(expected, key=repr)
    assert found == expected
    if form != "delta":
        assert [str(kind) for kind in read(folder, "rows", form).schema.types] == [
            str(kind).replace("item:", "element:") if form == "parquet" else str(kind) for kind in table.schema.types
        ]


def as_text(value):
    """The text of a value in CSV."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case dt.datetime():
            return f"{value.isoformat()}Z"
        case bytes():
            return value.hex()
        case _:
            return str(value)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=tables())
def test_random_tables_come_back_from_csv(store, tmp_path, table):
    folder = tmp_path / "out"
    shutil.rmtree(folder, ignore_errors=True)
    write(store, table, folder, format="csv", verify=True)
    header, *rows = read_csv(folder, "rows")
    assert header == table.schema.names
    assert len(rows) == len(table)
    for name, texts in zip(header, zip(*rows, strict=True), strict=False):
        for value, text in zip(table[name].to_pylist(), texts, strict=True):
            if value is None:
                assert text == ""
            elif isinstance(value, float):
                number = np.float32(text) if name == "single" else float(text)
                assert plain(float(number)) == plain(value)
            elif isinstance(value, list | dict):
                assert json.dumps(json.loads(text)) == json.dumps(plain_json(value))
            else:
                assert text == as_text(value)


def plain_json(value):
    if isinstance(value, dict):
        return {key: plain_json(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain_json(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def test_csv_tells_null_from_the_empty_text_and_keeps_a_single_column_of_nulls(store, tmp_path):
    write(store, pa.table({"a": ["", None, "x"], "b": [1, 2, None]}), tmp_path, "two", format="csv")
    (file,) = files(tmp_path, "two")
    query = f"select a, a is null, b from read_csv('{file}', allow_quoted_nulls = false)"
    assert with_duckdb(query) == [("", False, 1), (None, True, 2), ("x", False, None)]
    write(store, pa.table({"a": pa.array([None, "x", None])}), tmp_path, "one", format="csv")
    assert listed(tmp_path)["one"]["files"][0]["rows"] == 3


def test_text_with_nul_and_infinite_instants_come_back(store, tmp_path):
    query = "select 'a' || chr(0) || 'b' as odd, timestamp 'infinity' as forever, 'nan'::double as no_number"
    store.export(to=tmp_path, query=query)
    store.export(to=tmp_path / "csv", query=query, format="csv")
    assert with_duckdb(f"select odd, isinf(forever), isnan(no_number) from '{files(tmp_path, 'query')[0]}'") == [
        ("a\0b", True, True)
    ]
    assert "infinity" in files(tmp_path / "csv", "query")[0].read_text()


@pytest.mark.parametrize("form", FORMATS)
def test_a_number_of_39_digits_is_refused_and_nothing_is_left(store, tmp_path, form):
    with pytest.raises(InputError, match="big has a whole number of 39 digits"):
        store.export(to=tmp_path, query="select 170141183460469231731687303715884105727::hugeint as big", format=form)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix in (".parquet", ".csv")]


def test_nanoseconds_that_delta_lacks_are_an_error(store, tmp_path):
    with pytest.raises(InputError, match="Delta Lake cannot hold"):
        store.export(to=tmp_path, query="select timestamp_ns '2024-01-01 00:00:00.000000001' as t", format="delta")


def test_vectors_and_types_of_sql_keep_their_form(store, tmp_path):
    query = "select [1, 2]::float[2] as v, {'a': 1} as s, 'x'::enum('x', 'y') as e, uuid() as u, interval 1 month as i"
    store.export(to=tmp_path, query=query)
    schema = pq.read_schema(files(tmp_path, "query")[0])
    assert [str(kind) for kind in schema.types] == [
        "fixed_size_list<element: float>[2]",
        "struct<a: int32>",
        "dictionary<values=string, indices=uint8, ordered=0>",
        "string",
        "string",
    ]
    assert schema.metadata[b"photogenic.item"] == b"query"
    assert schema.metadata[b"photogenic.rows"] == b"1"


def test_lance_finds_the_neighbors_of_a_vector(store, tmp_path):
    query = "select range as n, [range, 0]::float[2] as embedding from range(20)"
    store.export(to=tmp_path, query=query, format="lance", table="vectors")
    found = lance.dataset(tmp_path / "vectors.lance").to_table(
        nearest={"column": "embedding", "q": pa.array([7.2, 0.0], pa.float32()), "k": 2}
    )
    assert found["n"].to_pylist() == [7, 8]
