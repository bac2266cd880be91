"""Frames, Arrow and dictionaries as sources: odd types and names, identity, errors in the middle, mixtures."""

import datetime as dt
import decimal
import io
import sys
import uuid

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from PIL import Image

from photogenic.ingest.options import SourceOptions
from photogenic.ingest.readers.input_files import Spool
from photogenic.ingest.sources.content_digest import ContentDigest
from photogenic.ingest.sources.opening import open_sources
from photogenic.warehouse import InputError
from tests.ingest.ingest_store import StoreWithFiles

IDS = ["a", "b", "c"]
TIME = dt.datetime(2024, 5, 1, 10, 0)


@pytest.fixture
def store(tmp_path):
    return StoreWithFiles(tmp_path)


def users(store):
    return store.rows("select user_id, gender, followers, created_at from facts.users order by all")


def test_names_say_the_library_and_the_number_of_rows(store):
    frame = pl.DataFrame({"user_id": [f"u{n}" for n in range(1200)]})
    given = [frame, frame.lazy(), frame.to_arrow().to_reader(), frame[:1].to_pandas(), frame[:2].to_dicts()]
    assert [report.source for report in store.take("users", *given)] == [
        "polars.DataFrame (1,200 rows)",
        "polars.LazyFrame (1,200 rows)",
        "pyarrow.RecordBatchReader (1,200 rows)",
        "pandas.DataFrame (1 row)",
        "list (2 rows)",
    ]
    # The lazy frame and the reader hold the rows of the first frame.
    assert len(store.rows("select * from facts.ingests")) == 3


def test_frames_and_files_in_one_call_keep_their_order(store):
    file = store.file("u.csv", "user_id,gender\na,f\n")
    reports = store.take(
        "users", pl.DataFrame({"user_id": ["a"], "gender": ["m"]}), file, [{"user_id": "a", "gender": "x"}]
    )
    assert [report.source.partition(" ")[0] for report in reports] == ["polars.DataFrame", str(file), "list"]
    assert [report.n_new for report in reports] == [1, 0, 0]
    assert [report.n_corrected for report in reports[:2]] == [0, 1]
    assert store.rows("select gender from facts.users order by ingested_at") == [("male",), ("female",), ("other",)]


STORED = {
    "large": pa.array(IDS, pa.large_string()),
    "view": pa.array(IDS, pa.string_view()),
    "dictionary": pa.array(IDS).dictionary_encode(),
    "bytes": pa.array([text.encode() for text in IDS]),
    "views of bytes": pa.array([text.encode() for text in IDS], pa.binary_view()),
    "uuids": pa.array([uuid.UUID(int=n << 70).bytes for n in (1, 2, 3)], pa.binary(16)),
    "uuid type": pa.array([uuid.UUID(int=n << 70).bytes for n in (1, 2, 3)], pa.uuid()),
    "whole": pa.array([2**63, 2, 3], pa.uint64()),
    "half": pa.array([1.0, 2.0, float("nan")], pa.float16()),
    "decimal": pa.array([decimal.Decimal("17.00"), None, decimal.Decimal("1.5")], pa.decimal128(20, 2)),
    "decimal256": pa.array([decimal.Decimal("17"), None, decimal.Decimal("18")], pa.decimal256(30, 0)),
}


@pytest.mark.parametrize("name", STORED)
def test_ids_of_every_type_are_those_of_parquet(store, tmp_path, name):
    table = pa.table({"user_id": STORED[name], "followers": [1, 2, 3]})
    pq.write_table(table, tmp_path / "u.parquet")
    found = StoreWithFiles(tmp_path / "file")
    [expected] = found.take("users", tmp_path / "u.parquet")
    [report] = store.take("users", table)
    assert (report.n_new, report.refused) == (expected.n_new, expected.refused)
    assert users(store) == users(found)
    assert store.rows("select line, reason, detail, raw from facts.rejects order by all") == found.rows(
        "select line, reason, detail, raw from facts.rejects order by all"
    )


FAR = 9_223_372_036_854_775_000
TIMES = {
    "s": pa.array([1_714_557_600, None, 9_000_000_000_000_000], pa.timestamp("s")),
    "ms": pa.array([1_714_557_600_000, -FAR, FAR], pa.timestamp("ms")),
    "us": pa.array([1_714_557_600_000_000, None, FAR], pa.timestamp("us")),
    "ns": pa.array([1_714_557_600_000_000_000, None, FAR], pa.timestamp("ns")),
    "ms zone": pa.array([1_714_557_600_000, None, FAR], pa.timestamp("ms", "America/New_York")),
    "ns zone": pa.array([1_714_557_600_000_000_000, None, 1], pa.timestamp("ns", "Asia/Tokyo")),
    "day": pa.array([dt.date(2024, 5, 1), None, dt.date(1800, 1, 1)]),
    "number": pa.array([1_714_557_600, None, 5]),
}


@pytest.mark.parametrize("name", TIMES)
def test_times_of_every_type_are_those_of_parquet(store, tmp_path, name):
    table = pa.table({"user_id": IDS, "created_at": TIMES[name]})
    pq.write_table(table, tmp_path / "u.parquet")
    found = StoreWithFiles(tmp_path / "file")
    [expected] = found.take("users", tmp_path / "u.parquet")
    for given in (table, table.to_reader()):
        here = StoreWithFiles(tmp_path / type(given).__name__)
        [report] = here.take("users", given)
        assert (report.n_new, report.refused) == (expected.n_new, expected.refused)
        assert users(here) == users(found)


def test_far_times_inside_a_structure_refuse_their_row_only(store):
    inside = pa.StructArray.from_arrays([pa.array([1_714_557_600, FAR, None], pa.timestamp("s"))], ["at"])
    [report] = store.take("users", pa.table({"user_id": IDS, "x": inside}), mapping={"created_at": "x.at"})
    assert (report.n_new, report.refused) == (2, {"future_time": 1})
    assert users(store)[0] == ("a", None, None, TIME)


def test_a_value_inside_an_object_is_mapped(store):
    frame = pl.DataFrame({"photo": [{"id": "p1", "owner": {"id": "a"}}, None]})
    mapping = {"photo_id": "photo.id", "user_id": "photo.owner.id"}
    [report] = store.take("photos", frame, mapping=mapping)
    [same] = StoreWithFiles(store.folder / "rows").take("photos", frame.to_dicts(), mapping=mapping)
    assert (report.n_new, report.refused) == (same.n_new, same.refused) == (1, {"no_photo_id": 1})


def test_types_that_duckdb_does_not_have_are_refused_only_where_they_are_needed(store):
    nothing = pa.array([{}, {}, {}], pa.struct([]))
    [report] = store.take("users", pa.table({"user_id": IDS, "x": nothing}))
    assert (report.n_new, report.ignored) == (3, ("x",))
    with pytest.raises(InputError, match=r"column 'user_id' is struct<>, not id for user_id"):
        store.take("users", pa.table({"user_id": nothing, "x": [1, 2, 3]}))


def test_numbers_that_made_the_database_fail_are_text(store):
    scaled = pa.array([decimal.Decimal("1500"), None, decimal.Decimal("100")], pa.decimal128(5, -2))
    [report] = store.take("users", pa.table({"user_id": IDS, "followers": scaled}))
    assert report.n_new == 3
    [report] = store.take("users", pl.DataFrame({"user_id": pl.Series([2**100, 5], dtype=pl.Int128)}))
    assert report.n_new == 2
    assert (str(2**100),) in store.rows("select user_id from facts.users")


def test_categories_enums_and_columns_of_only_null(store):
    frame = pl.DataFrame(
        {
            "user_id": pl.Series(IDS, dtype=pl.Categorical),
            "gender": pl.Series(["female", None, "male"], dtype=pl.Enum(["male", "female"])),
            "followers": pl.Series([None] * 3),
        }
    )
    for given in (frame, frame.lazy(), frame.to_arrow(), frame.to_pandas()):
        here = StoreWithFiles(store.folder / str(id(given)))
        here.take("users", given)
        assert users(here) == [("a", "female", None, None), ("b", None, None, None), ("c", "male", None, None)]


def test_empty_and_repeated_names(store):
    table = pa.table([pa.array(IDS), pa.array([1, 2, 3]), pa.array(IDS)], names=["user_id", "", "f0"])
    [report] = store.take("users", table)
    assert (report.n_new, report.ignored) == (3, ("", "f0"))
    twice = pa.table([pa.array(IDS), pa.array(IDS)], names=["user_id", "USER_ID"])
    pq.write_table(twice, store.folder / "t.parquet")
    [of_file], [of_frame] = store.take("users", store.folder / "t.parquet"), store.take("users", twice)
    assert (of_frame.n_known, of_frame.ignored) == (of_file.n_known, of_file.ignored) == (3, ("USER_ID",))


def test_columns_named_as_ours_inside(store):
    [report] = store.take("users", pl.DataFrame({"line": [1], "file_row_number": [2], "user_id": ["a"]}))
    assert (report.n_new, report.ignored) == (1, ("line", "file_row_number"))


def test_no_rows_are_no_error_and_no_columns_are(store):
    [report] = store.take("users", pl.DataFrame(schema={"user_id": pl.String}))
    assert report.n_read == 0
    for given in (pl.DataFrame(), pd.DataFrame(), pa.table({}), pa.table({}).to_reader(), pl.LazyFrame()):
        with pytest.raises(InputError, match="holds no columns"):
            store.take("users", given)
    with pytest.raises(InputError, match="list holds no rows"):
        store.take("users", [])


def test_a_missing_column_has_the_message_of_files(store):
    with pytest.raises(InputError, match=r"polars.DataFrame \(1 row\) has no column 'user_id'"):
        store.take("users", pl.DataFrame({"member": ["a"]}))


def digest_of(given, folder):
    with Spool(folder) as spool:
        [file] = open_sources([given], spool, SourceOptions())
        return file.frame.digest() if file.frame else file.digest


def test_the_digest_depends_on_the_content_only(tmp_path):
    n = 300_000  # several blocks
    table = pa.table(
        {
            "s": pa.array([None if at % 7 == 0 else f"text {at % 100} that is long" for at in range(n)]),
            "b": pa.array([None if at % 5 == 0 else at % 2 == 0 for at in range(n)]),
            "x": pa.array(np.arange(n, dtype=np.int32)),
            "l": pa.array([[at, None] if at % 3 else None for at in range(n)], pa.list_(pa.int64())),
            "o": pa.array(
                [{"a": at, "b": None} if at % 4 else None for at in range(n)], pa.struct({"a": "i8", "b": "f8"})
            ),
        }
    )
    schema = pa.schema(
        [
            ("s", pa.string_view()),
            ("b", pa.bool_()),
            ("x", pa.int32()),
            ("l", pa.large_list(pa.int64())),
            table.schema.field("o"),
        ]
    )
    coded = table.set_column(0, "s", table["s"].dictionary_encode())
    sliced = pa.concat_tables([table.slice(at, 70_001) for at in range(0, n, 70_001)])
    same = [table, sliced, sliced.to_reader(), table.cast(schema), coded, table.replace_schema_metadata({"a": "b"})]
    digests = {digest_of(given, tmp_path) for given in same}
    assert len(digests) == 1
    others = [
        table.slice(0, n - 1),
        table.select(["b", "s", "x", "l", "o"]),
        table.rename_columns(["t", "b", "x", "l", "o"]),
        table.set_column(2, "x", table["x"].cast(pa.int64())),
        table.set_column(0, "s", table["s"].fill_null("")),
        pa.concat_tables([table.slice(1), table.slice(0, 1)]),
        table.set_column(4, "o", table["o"].combine_chunks().fill_null({"a": None, "b": None})),
    ]
    digests |= {digest_of(given, tmp_path) for given in others}
    assert len(digests) == 1 + len(others)


def test_what_lies_under_null_does_not_count():
    values = pa.array(np.array([1, 2, 3]))
    hidden = pa.Array.from_buffers(pa.int64(), 3, [pa.py_buffer(b"\x05"), values.buffers()[1]])
    plain = pa.array([1, None, 3])
    found = set()
    for array in (hidden, plain):
        batch = pa.record_batch([array], names=["x"])
        digest = ContentDigest(batch.schema)
        digest.add(batch)
        found.add(digest.hexdigest())
    assert len(found) == 1


def test_other_types_have_a_digest(tmp_path):
    table = pa.table(
        {
            "m": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())),
            "n": pa.nulls(2),
            "d": pa.array([decimal.Decimal("1.5"), None]),
            "u": pa.array([uuid.UUID(int=5).bytes, None], pa.uuid()),
        }
    )
    assert digest_of(table, tmp_path) == digest_of(table.to_reader(), tmp_path)
    assert digest_of(table, tmp_path) != digest_of(table.slice(0, 1), tmp_path)


def test_the_same_frame_again_is_known_and_another_is_not(store):
    rows = {"sender_id": ["a"], "recipient_id": ["b"], "liked": [True], "swiped_at": [TIME]}
    frame = pl.DataFrame(rows)
    store.take("swipes", frame)
    [again] = store.take("swipes", frame.clone())
    assert again.repeated
    [other] = store.take("swipes", frame.with_columns(liked=False))
    assert (other.repeated, other.n_corrected) == (False, 1)


def breaking(rows, n):
    yield from rows[:n]
    raise ValueError("the source broke")


def test_an_error_in_the_middle_keeps_nothing(store):
    rows = [{"user_id": f"u{n}"} for n in range(5)]
    with pytest.raises(ValueError, match="the source broke"):
        store.take("users", breaking(rows, 3))
    batches = pa.Table.from_pylist(rows).to_batches(max_chunksize=1)
    reader = pa.RecordBatchReader.from_batches(batches[0].schema, breaking(batches, 3))
    with pytest.raises((InputError, ValueError), match="the source broke"):
        store.take("users", reader)
    lazy = pl.LazyFrame({"user_id": ["1", "x"]}).with_columns(pl.col("user_id").cast(pl.Int64))
    with pytest.raises(InputError, match=r"polars.LazyFrame cannot be read: .*conversion"):
        store.take("users", lazy)
    with pytest.raises(InputError, match=r"polars.LazyFrame cannot be read: .*(No such file|not found)"):
        store.take("users", pl.scan_parquet(store.folder / "missing.parquet"))
    assert not (store.folder / "store" / "facts.duckdb").exists() or users(store) == []
    assert not list(store.db.layout.spill.glob("*"))
    [report] = store.take("users", rows)
    assert report.n_new == 5


def test_a_frame_of_pandas_that_changes_while_it_is_read_is_refused(store, monkeypatch):
    frame = pd.DataFrame({"user_id": np.arange(10), "followers": np.arange(10)})
    from photogenic.ingest.tabular import load

    def add_users(*given):
        frame.iloc[3, 1] = 99
        return real(*given)

    real = load.add_users
    monkeypatch.setattr(load, "add_users", add_users)
    with pytest.raises(InputError, match=r"pandas.DataFrame \(10 rows\) changed while it was read"):
        store.take("users", frame)
    assert users(store) == []


def test_later_changes_of_a_frame_of_polars_do_not_reach_its_rows(tmp_path):
    frame = pl.DataFrame({"user_id": ["a", "b"]})
    with Spool(tmp_path) as spool:
        [file] = open_sources([frame], spool, SourceOptions())
        frame[0, "user_id"] = "x"
        assert pa.RecordBatchReader.from_stream(file.frame).read_all()["f0"].to_pylist() == ["a", "b"]


def test_objects_of_pandas(store):
    frame = pd.DataFrame(
        {
            "user_id": [1, "b", b"c", uuid.UUID(int=7), decimal.Decimal("5"), np.int64(6), None, float("nan")],
            "gender": ["f", None, pd.NA, "m", np.nan, "x", "f", "f"],
            "created_at": [TIME, "2024-05-01", dt.date(2024, 5, 1), pd.Timestamp(TIME), None, pd.NaT, None, None],
            "likes": pd.arrays.SparseArray([0] * 8),
        }
    )
    [report] = store.take("users", frame)
    assert (report.n_new, report.refused) == (6, {"no_user_id": 2})
    assert report.notes[:2] == tuple(
        f"values of several types, read as text: {name}" for name in ("user_id", "created_at")
    )
    ids = {row[0] for row in users(store)}
    assert ids == {"1", "b", "c", "5", "6", str(uuid.UUID(int=7))}
    day = dt.datetime(2024, 5, 1)
    assert {row[0]: row[3] for row in users(store)} | {"1": TIME, "b": day, "c": day} == {
        row[0]: row[3] for row in users(store)
    }
    with pytest.raises(InputError, match=r"pandas.DataFrame: column 'user_id' holds (list|dict)"):
        store.take("users", pd.DataFrame({"user_id": [[1], {"a": 1}]}))
    with pytest.raises(InputError, match=r"polars.DataFrame: column 'user_id' holds object"):
        store.take("users", pl.DataFrame({"user_id": pl.Series([object()], dtype=pl.Object)}))


def test_the_named_index_of_pandas_is_a_column(store):
    frame = pd.DataFrame({"user_id": IDS, "followers": [1, 2, 3]})
    for given in (frame.set_index("user_id"), frame[frame["followers"] > 1], frame.set_index(["user_id", "followers"])):
        here = StoreWithFiles(store.folder / str(id(given)))
        [report] = here.take("users", given)
        assert (report.n_new, report.ignored) == (len(given), ())


def test_dictionaries_hold_what_python_holds(store):
    rows = [
        {"user_id": 2**70, "followers": float("inf")},
        {"user_id": uuid.UUID(int=9), "created_at": TIME, "unused": {"a": {1, 2}}},
        {"user_id": b"bytes", "created_at": np.datetime64("2024-05-01T10:00:00"), "followers": np.int32(3)},
        {"user_id": decimal.Decimal("17.0"), "followers": float("nan")},
        {"user_id": "sur\ud800rogate"},
        {},
        {"gender": "f"},
    ]
    [report] = store.take("users", rows)
    assert report.n_read == 7
    assert report.refused == {"bad_json": 1, "bad_number": 1, "no_user_id": 2}
    assert {row[0] for row in users(store)} == {str(uuid.UUID(int=9)), "bytes", "17"}
    assert store.rows("select line from facts.rejects order by 1") == [(1,), (5,), (6,), (7,)]


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ([{"user_id": "a"}, ("b",)], r"list: row 2 is a tuple"),
        ([{"user_id": object()}], r"list: row 1 holds a value that cannot be read: object"),
        ([{"user_id": b"\xff\xfe"}], r"list: row 1 holds .* bytes that are no text"),
        (["a.csv", "b.csv"], r"list holds str, which are no rows"),
        ({"user_id": ["a"]}, r"A source is a dict"),
        (b"x", r"A source is a bytes"),
        (7, r"A source is a int"),
        (None, r"A source is a NoneType"),
        (pl.Series("user_id", ["a"]), r"polars.Series cannot be read"),
        (pa.array(["a"]), r"pyarrow.StringArray cannot be read"),
        (np.zeros((2, 2)), r"numpy.ndarray: row 1 is a ndarray"),
    ],
)
def test_what_is_no_source_is_refused(store, given, what):
    with pytest.raises(InputError, match=what):
        store.take("users", given)


def test_a_dictionary_that_holds_itself(store):
    row = {"user_id": "a"}
    row["x"] = row
    with pytest.raises(InputError, match="a value inside itself"):
        store.take("users", [row])


def test_pictures_of_a_frame_start_from_the_working_folder_or_images(store, monkeypatch):
    for folder in ("here", "there"):
        (store.folder / folder).mkdir()
        Image.effect_noise((40, 40), 80).convert("RGB").save(store.folder / folder / "p.jpg")
    monkeypatch.chdir(store.folder / "here")
    frame = pl.DataFrame({"photo_id": ["p"], "user_id": ["a"], "path": ["p.jpg"]})
    [report] = store.take("photos", frame)
    assert report.n_found == 1
    monkeypatch.chdir(store.folder)
    [report] = store.take("photos", frame.with_columns(photo_id=pl.lit("q")), images=store.folder / "there")
    assert report.n_found == 1


def test_text_that_is_not_utf8_is_refused(store):
    wrong = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(np.array([0, 2], np.int32)), pa.py_buffer(b"\xff\xfe")]
    )
    for given in (pa.table({"user_id": wrong}), pa.table({"user_id": wrong}).to_reader()):
        with pytest.raises(InputError, match="cannot be read"):
            store.take("users", given)
    [report] = store.take("users", [{"user_id": "a"}])
    assert report.n_new == 1


def stream_of(table, form):
    sink = io.BytesIO()
    if form == "csv":
        pl.from_arrow(table).write_csv(sink)
    elif form == "ndjson":
        pl.from_arrow(table).write_ndjson(sink)
    elif form == "parquet":
        pq.write_table(table, sink)
    else:
        with (pa.ipc.new_stream if form == "arrows" else pa.ipc.new_file)(sink, table.schema) as writer:
            writer.write_table(table)
    return sink.getvalue()


KINDS = {
    "users": {"user_id": ["a"], "gender": ["f"]},
    "photos": {"photo_id": ["p"], "user_id": ["a"]},
    "main_photos": {"user_id": ["a"], "photo_id": ["p"], "set_at": [TIME]},
    "swipes": {"sender_id": ["a"], "recipient_id": ["b"], "liked": [True], "swiped_at": [TIME]},
}


@pytest.mark.parametrize("kind", KINDS)
def test_standard_input_in_every_format_is_ingested_and_retracted(store, monkeypatch, kind):
    table = pa.table(KINDS[kind])
    for form in ("csv", "ndjson", "parquet", "arrows", "arrow"):
        data, here = stream_of(table, form), StoreWithFiles(store.folder / form)
        for retract in (False, True):
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
            [report] = here.take(kind, "-", retract=retract)
            assert (report.source, report.n_read, report.n_refused) == ("stdin", 1, 0)
            assert (report.n_new, report.n_retracted) == (int(not retract), int(retract)), form
