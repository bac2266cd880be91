"""The same rows are taken in alike from a frame, a stream, dictionaries, Parquet, NDJSON and CSV."""

import csv
import datetime as dt
import json

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.ingest.ingest_store import StoreWithFiles

TIME = dt.datetime(2024, 5, 1, 10, 0)
ODD = dt.datetime(1850, 1, 1)
FAR = dt.datetime(2262, 1, 1)
TABLES = {
    "swipes": pa.table(
        {
            "sender_id": pa.array(["a", "b", None, " ", "c", "d", "a", "e", "ü'\",", "f" * 1025]),
            "recipient_id": pa.array(["b", "a", "c", "d", "NULL", "e", "b", "f", "g", "a"]),
            "liked": pa.array([True, False, True, None, False, True, True, None, True, False]),
            "swiped_at": pa.array([TIME, TIME, TIME, TIME, TIME, ODD, TIME, TIME, TIME, TIME], pa.timestamp("us")),
            "unused": pa.array(range(10)),
        }
    ),
    "users": pa.table(
        {
            "user_id": ["a", "b", "b", "c", None, "d", "e"],
            "gender": ["female", "m", "m", "nonsense", "male", None, "other"],
            "followers": pa.array([1, 2, 3, 4, 5, -6, None], pa.int64()),
            "created_at": pa.array([TIME, TIME, TIME, TIME, None, None, FAR], pa.timestamp("us")),
            "deleted": pa.array([None, False, False, False, False, False, True]),
        }
    ),
    "photos": pa.table(
        {
            "photo_id": ["p1", "p2", None, "p3", "p4"],
            "user_id": ["a", "b", "c", None, "a"],
            "url": ["https://x.org/1", None, "https://x.org/3", "https://x.org/4", " "],
            "posted_at": pa.array([TIME, None, TIME, TIME, FAR], pa.timestamp("us")),
            "likes": pa.array([1, None, 3, 4, -5], pa.int64()),
            "set_at": pa.array([TIME, None, TIME, TIME, None], pa.timestamp("us")),
        }
    ),
    "main_photos": pa.table(
        {
            "user_id": ["a", "b", None, "a", "c"],
            "photo_id": ["p1", None, "p3", "p1", "p9"],
            "set_at": pa.array([TIME, TIME, TIME, TIME, None], pa.timestamp("us")),
        }
    ),
}


class Capsule:
    """An object of another library: rows by the PyCapsule interface only."""

    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


def in_chunks(table):
    return pa.concat_tables([table.slice(at, 3) for at in range(0, len(table), 3)])


COLUMNAR = {
    "polars": pl.from_arrow,
    "chunks of polars": lambda table: pl.concat([pl.from_arrow(table)[:2], pl.from_arrow(table)[2:]], rechunk=False),
    "lazy": lambda table: pl.from_arrow(table).lazy(),
    "table": lambda table: table,
    "chunks": in_chunks,
    "batch": lambda table: table.combine_chunks().to_batches()[0],
    "reader": lambda table: in_chunks(table).to_reader(),
    "dataset": pyarrow.dataset.dataset,
    "scanner": lambda table: pyarrow.dataset.dataset(table).scanner(),
    "relation": lambda table: duckdb.connect().from_arrow(table),
    "capsule": Capsule,
}
ROWS = {
    "list": lambda table: table.to_pylist(),
    "generator": lambda table: (row for row in table.to_pylist()),
}


def written(table, folder, form):
    path = folder / f"given.{form}"
    if form == "parquet":
        pq.write_table(table, path)
    elif form == "csv":
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(table.column_names)
            writer.writerows([["" if v is None else v for v in row.values()] for row in table.to_pylist()])
    else:
        path.write_text("".join(json.dumps(row, default=str) + "\n" for row in table.to_pylist()))
    return path


def taken(folder, kind, make, **options):
    """What the store has after the rows: facts, rejects and the account, and the report of a second time."""
    store = StoreWithFiles(folder)
    [report] = store.take(kind, make(), **options)
    facts = store.rows(f"select columns(* exclude (ingested_at, batch)) from facts.{kind} order by all")
    events = store.rows("select user_id, photo_id, set_at from facts.main_photos order by all")
    rejects = store.rows("select line, reason, detail, raw from facts.rejects order by all")
    told = ("n_read", "n_new", "n_corrected", "n_retracted", "n_known", "refused", "ignored", "n_main_photos")
    [again] = store.take(kind, make(), **options)
    return [facts, events, rejects, {name: getattr(report, name) for name in told}], again


def without_texts(found):
    """The same without the text of refused rows, which shows times and numbers as the file has them."""
    facts, events, rejects, told = found
    return [facts, events, [row[:2] for row in rejects], told]


@pytest.mark.parametrize("kind", TABLES)
def test_every_source_gives_the_same(tmp_path, kind):
    table = TABLES[kind]
    parquet = written(table, tmp_path, "parquet")
    found, again = taken(tmp_path / "files", kind, lambda: parquet)
    assert found[2], "no row is refused, so that the comparison says less than it could"
    assert again.repeated
    few = ("polars", "reader", "capsule")
    for name, source in COLUMNAR.items() if kind == "swipes" else ((name, COLUMNAR[name]) for name in few):
        ours, again = taken(tmp_path / name, kind, lambda source=source: source(table))
        assert ours == found, name
        assert again.repeated, name
    for name, source in ROWS.items():
        ours, again = taken(tmp_path / name, kind, lambda source=source: source(table))
        assert without_texts(ours) == without_texts(found), name
        assert again.repeated, name
    for form in ("csv", "ndjson"):
        path = written(table, tmp_path, form)
        ours, _ = taken(tmp_path / form, kind, lambda path=path: path)
        ours[2] = [(line - (form == "csv"), *rest) for line, *rest in ours[2]]  # the header is a line
        assert without_texts(ours) == without_texts(found), form


def test_pandas_gives_the_same_as_its_own_parquet(tmp_path):
    for number, (kind, table) in enumerate(TABLES.items()):
        frame = table.to_pandas()
        path = tmp_path / f"{kind}.parquet"
        frame.to_parquet(path)
        found, _ = taken(tmp_path / f"file{number}", kind, lambda path=path: path)
        for name, same in {"objects": frame, "types": frame.convert_dtypes(dtype_backend="pyarrow")}.items():
            ours, again = taken(tmp_path / f"{name}{number}", kind, lambda same=same: same)
            assert without_texts(ours) == without_texts(found), (kind, name)
            assert again.repeated


TEXTS = st.one_of(st.none(), st.sampled_from(["a", "b", "", " a ", "NULL", "\\N", "17.0", "é", "x" * 1025, "\0"]))
TIMES = st.one_of(st.none(), st.datetimes(dt.datetime(1800, 1, 1), dt.datetime(2300, 1, 1)))
SWIPE = st.fixed_dictionaries(
    {"sender_id": TEXTS, "recipient_id": TEXTS, "liked": st.one_of(st.none(), st.booleans()), "swiped_at": TIMES}
)
SCHEMA = TABLES["swipes"].drop_columns(["unused"]).schema


@pytest.mark.thorough
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(SWIPE, min_size=1, max_size=12))
def test_any_rows_are_taken_in_alike(tmp_path_factory, rows):
    table, folder = pa.Table.from_pylist(rows, schema=SCHEMA), tmp_path_factory.mktemp("alike")
    parquet = written(table, folder, "parquet")
    found, _ = taken(folder / "file", "swipes", lambda: parquet)
    for name in ("polars", "chunks", "reader"):
        ours, _ = taken(folder / name, "swipes", lambda name=name: COLUMNAR[name](table))
        assert ours == found, name
    ours, _ = taken(folder / "list", "swipes", lambda: rows)
    assert without_texts(ours) == without_texts(found)
