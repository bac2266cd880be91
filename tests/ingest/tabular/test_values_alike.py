"""One value has one meaning in every column and format: stored, or refused with its reason."""

import datetime as dt
import gzip
import itertools
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.ingest.ingest_store import StoreWithFiles

MISSING = [
    "NULL",
    "null",
    "\\N",
    "nan",
    "NaN",
    "-nan",
    "None",
    "NA",
    "N/A",
    "n/a",
    "<NA>",
    "NaT",
    "#N/A",
    "",
    "  ",
    " NULL ",
]
IDS = {
    **dict.fromkeys(MISSING, "no_sender_id"),
    # A surname, and other words that programs do not write for what is missing.
    **{name: name for name in ("Null", "none", "nano", "N", "Nan Goldin")},
    **{"17": "17", "17.0": "17", "17.00": "17", "-17.0": "-17", "-0.0": "0", "0.0": "0"},
    **{
        text: text
        for text in ("17.5", "1.10", "1.0.0", "v1.0", "007", "007.0", "12e5", "a+b", "anna.0", "5e1000", "1+1")
    },
    "9007199254740991.0": "9007199254740991",
    "1577134800018226901": "1577134800018226901",
    **dict.fromkeys(
        ["9007199254740992.0", "1577134800018226901.0", "1.577134800018227e+18", "1.57713E+18", "1e+05", "1.5e17"],
        "inexact_id",
    ),
}


def lines(values, head, form):
    """A file of some rows in text, and its name."""
    if form == "csv":
        return "given.csv", head + "\n" + "".join(",".join(f'"{v}"' for v in row) + "\n" for row in values)
    names = head.split(",")
    return "given.ndjson", "".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in values)


def put(store, values, head, form):
    """A file of some rows of text."""
    if form == "parquet":
        table = pa.table(dict(zip(head.split(","), map(list, zip(*values, strict=True)), strict=True)))
        pq.write_table(table, store.folder / "given.parquet")
        return store.folder / "given.parquet"
    name, text = lines(values, head, form.removesuffix(".gz"))
    return store.file(name + ".gz", gzip.compress(text.encode())) if form.endswith(".gz") else store.file(name, text)


FORMS = pytest.mark.parametrize("form", ["csv", "ndjson.gz", "parquet"])


@pytest.fixture
def store(tmp_path):
    return StoreWithFiles(tmp_path)


def outcome(store, key):
    """The value stored, or the reason, by the recipient."""
    found = dict(store.rows(f"select recipient_id, {key} from facts.swipes"))
    return found | dict(store.rows("select raw ->> 'recipient_id', reason from facts.rejects"))


@FORMS
def test_ids(store, form):
    rows = [(text, f"r{n}", "1", "2024-01-01") for n, text in enumerate(IDS)]
    [account] = store.take("swipes", put(store, rows, "sender_id,recipient_id,liked,swiped_at", form))
    found = outcome(store, "sender_id")
    assert {text: found[f"r{n}"] for n, text in enumerate(IDS)} == IDS
    assert account.n_read == len(IDS) == account.n_new + account.n_refused


@FORMS
def test_a_missing_word_is_blank_in_every_column(store, form):
    users = [(f"u{n}", word, word, word) for n, word in enumerate(MISSING)]
    store.take("users", put(store, users, "user_id,gender,followers,created_at", form))
    assert store.rows("select distinct gender, followers, created_at from facts.users") == [(None, None, None)]
    photos = [(f"p{n}", f"u{n}", *[word] * 6) for n, word in enumerate(MISSING)]
    store.take("photos", put(store, photos, "photo_id,user_id,path,url,posted_at,likes,hashtags,set_at", form))
    assert store.rows("select distinct path, url, posted_at, likes, hashtags from facts.photos") == [(None,) * 5]
    removals = [(f"u{n}", word, "2024-01-02") for n, word in enumerate(MISSING)]
    store.take("main_photos", put(store, removals, "user_id,photo_id,set_at", form))
    assert store.rows("select distinct photo_id from facts.main_photos") == [(None,)]
    assert store.rejects() == []
    swipes = [("u1", "u2", word, "2024-01-02") for word in MISSING] + [("u1", "u2", "1", word) for word in MISSING]
    store.take("swipes", put(store, swipes, "sender_id,recipient_id,liked,swiped_at", form))
    reasons = store.rows("select reason, count(*) from facts.rejects group by all order by all")
    assert reasons == [("bad_liked", len(MISSING)), ("no_time", len(MISSING))]


NAN, INF, BIG = float("nan"), float("inf"), 1577134800018226901
NUMBERS = {
    "int64": (pa.array([BIG, -5, None]), [str(BIG), "-5", "no_sender_id"]),
    "uint64": (pa.array([2**64 - 1], pa.uint64()), [str(2**64 - 1)]),
    "decimal(38,0)": (
        pa.array([10**37 + 1, BIG, None], pa.decimal128(38, 0)),
        [str(10**37 + 1), str(BIG), "no_sender_id"],
    ),
    "decimal(38,4)": (
        pa.array([f"{BIG}.0000", "17.5", "100", "-0.5", "0"], pa.string()).cast(pa.decimal128(38, 4)),
        [str(BIG), "17.5", "100", "-0.5", "0"],
    ),
    "double": (
        pa.array([17.0, 17.5, -0.0, None, NAN, INF, -INF, 2.0**53 - 1, 2.0**53, float(BIG)]),
        ["17", "17.5", "0", "no_sender_id", "no_sender_id", "inexact_id", "inexact_id", str(2**53 - 1)]
        + ["inexact_id"] * 2,
    ),
    "double of NaN": (pa.array([NAN, NAN]), ["no_sender_id"] * 2),
    "double beside NaN": (pa.array([3.0, NAN]), ["3", "no_sender_id"]),
    "float": (
        pa.array([17, 2**24 - 1, 2**24, NAN], pa.float32()),
        ["17", str(2**24 - 1), "inexact_id", "no_sender_id"],
    ),
}


def test_numbers_as_ids(store):
    paths, expected = [], {}
    for (name, (values, outcomes)), statistics in itertools.product(NUMBERS.items(), (True, False)):
        paths.append(store.folder / f"{len(paths):02}.parquet")
        keys = [f"{name} {statistics} {n}" for n in range(len(values))]
        n = len(values)
        table = pa.table({
            "sender_id": values, "recipient_id": keys, "liked": [True] * n, "swiped_at": [dt.datetime(2024, 1, 1)] * n,
        })  # fmt: skip
        pq.write_table(table, paths[-1], write_statistics=statistics)
        expected |= dict(zip(keys, outcomes, strict=True))
    store.take("swipes", *paths)
    assert outcome(store, "sender_id") == expected


def test_nan_is_missing_in_every_column_of_numbers(store):
    numbers = pa.array([5.0, NAN, None, 1.5, INF, -1.0])
    path = store.folder / "users.parquet"
    pq.write_table(pa.table({"user_id": list("abcdef"), "followers": numbers}), path)
    store.take("users", path)
    assert store.rows("select user_id, followers from facts.users order by 1") == [("a", 5), ("b", None), ("c", None)]
    assert store.rejects() == [(4, "bad_number"), (5, "bad_number"), (6, "bad_number")]
    path = store.folder / "swipes.parquet"
    swipes = {"sender_id": list("abcd"), "recipient_id": list("abcd"), "liked": [1.0, 0.0, 1.0, NAN]}
    pq.write_table(pa.table(swipes | {"swiped_at": [1704067200.0, NAN, INF, 1704067200.0]}), path)
    store.take("swipes", path)
    found = {key: value for key, value in outcome(store, "swiped_at").items() if key}
    assert found == {"a": dt.datetime(2024, 1, 1), "b": "no_time", "c": "bad_time", "d": "bad_liked"}


def test_counts_at_the_limit_are_exact(store):
    texts = {"9007199254740992": 2**53, "9007199254740993": None, "9223372036854775808": None, "1" * 60: None}
    store.take_text("users", "user_id,followers\n" + "".join(f"u{n},{text}\n" for n, text in enumerate(texts)))
    assert store.rows("select user_id, followers from facts.users") == [("u0", 2**53)]
    for type_ in (pa.decimal128(38, 0), pa.decimal128(38, 2), pa.uint64()):
        path = store.folder / "users.parquet"
        pq.write_table(pa.table({"user_id": ["v0", "v1"], "followers": pa.array([2**53, 2**53 + 1]).cast(type_)}), path)
        store.take("users", path)
    assert store.rows("select distinct user_id, followers from facts.users order by 1")[1:] == [("v0", 2**53)]


def test_gaps_in_a_column_of_ids_do_not_change_the_ids(store):
    store.take_text("photos", "photo_id,user_id\n17,a\n18,a\n")
    text = "user_id,photo_id,set_at\na,17.0,2024-01-01\na,,2024-01-02\na,18.0,2024-01-03\n"
    store.take_text("main_photos", text)
    assert store.take_text("main_photos", text).repeated
    [again] = store.take(
        "main_photos", store.file("m.ndjson", '{"user_id":"a","photo_id":17.0,"set_at":"2024-01-01"}\n')
    )
    assert (again.n_known, again.refused) == (1, {})
    assert store.rows("select photo_id from facts.main_photos order by set_at") == [("17",), (None,), ("18",)]
