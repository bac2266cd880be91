"""Accepted and refused single values: one literal row each."""

import datetime as dt

import pytest

from photogenic.ingest.tabular.schemas import REASONS
from tests.ingest.ingest_store import NOW, StoreWithFiles


@pytest.fixture
def store(tmp_path):
    return StoreWithFiles(tmp_path)


def t(*parts):
    return dt.datetime(*parts)


TIMES = [
    ("2024-01-02", t(2024, 1, 2)),
    ("2024-1-2", t(2024, 1, 2)),
    ("2024/01/02", t(2024, 1, 2)),
    ("2024-01-02 03:04", t(2024, 1, 2, 3, 4)),
    ("2024-01-02 03:04:05", t(2024, 1, 2, 3, 4, 5)),
    ("2024-01-02T03:04:05", t(2024, 1, 2, 3, 4, 5)),
    ("2024-01-02T03:04:05Z", t(2024, 1, 2, 3, 4, 5)),
    ("2024-01-02T03:04:05.123456Z", t(2024, 1, 2, 3, 4, 5, 123456)),
    ("2024-01-02 03:04:05.123456789", t(2024, 1, 2, 3, 4, 5, 123456)),
    ("2024-01-02 03:04:05+02:00", t(2024, 1, 2, 1, 4, 5)),
    ("2024-01-02 03:04:05+02", t(2024, 1, 2, 1, 4, 5)),
    ("2024-01-02T03:04:05+0200", t(2024, 1, 2, 1, 4, 5)),
    ("2024-01-02 03:04:05 +0200", t(2024, 1, 2, 1, 4, 5)),
    ("2024-01-02 03:04:05.5-05:30", t(2024, 1, 2, 8, 34, 5, 500000)),
    ("2024-01-02 03:04:05 UTC", t(2024, 1, 2, 3, 4, 5)),
    # The two sides of a change of clocks: the same wall time, an hour apart.
    ("2023-10-29T02:30:00+02:00", t(2023, 10, 29, 0, 30)),
    ("2023-10-29T02:30:00+01:00", t(2023, 10, 29, 1, 30)),
    ("2024-03-31 01:30:00 Europe/Berlin", t(2024, 3, 31, 0, 30)),
    ("2024-03-31 03:30:00 Europe/Berlin", t(2024, 3, 31, 1, 30)),
    # Naive time inside an hour that Berlin skipped is UTC like any other.
    ("2024-03-31 02:30:00", t(2024, 3, 31, 2, 30)),
    ("1704164645", t(2024, 1, 2, 3, 4, 5)),
    ("1704164645.25", t(2024, 1, 2, 3, 4, 5, 250000)),
    ("1704164645123", t(2024, 1, 2, 3, 4, 5, 123000)),
    ("1704164645123456", t(2024, 1, 2, 3, 4, 5, 123456)),
    ("1704164645123456789", t(2024, 1, 2, 3, 4, 5, 123456)),
    ("  2024-01-02  ", t(2024, 1, 2)),
    ("1970-01-01", t(1970, 1, 1)),
    ("2024-06-02 11:00", t(2024, 6, 2, 11)),  # ahead by less than a day
    ("", "no_time"),
    ("   ", "no_time"),
    ("yesterday", "bad_time"),
    ("now", "bad_time"),
    ("epoch", "bad_time"),
    ("infinity", "bad_time"),
    ("2024", "bad_time"),
    ("2024-01", "bad_time"),
    ("20240102", "bad_time"),  # as seconds it would be 1970
    ("45293.5", "bad_time"),  # days of a spreadsheet
    ("0", "bad_time"),
    ("-1704164645", "bad_time"),
    ("01/02/2024", "bad_time"),  # January or February?
    ("2024-02-30", "bad_time"),
    ("2024-01-02 25:00", "bad_time"),
    ("2024-01-02 03:04:05 PM", "bad_time"),
    ("1899-12-31", "bad_time"),
    ("0001-01-01", "bad_time"),
    ("2024-06-03", "future_time"),
    ("9999-12-31", "future_time"),
    ("4102444800", "future_time"),
]


def test_times(store):
    rows = [f'a{n},b,1,"{text}"' for n, (text, _) in enumerate(TIMES)]
    account = store.take_text("swipes", "sender_id,recipient_id,liked,swiped_at\n" + "\n".join(rows))
    found = dict(store.rows("select sender_id, swiped_at from facts.swipes"))
    found |= dict(store.rows("select raw ->> 'sender_id', reason from facts.rejects"))
    assert {text: found[f"a{n}"] for n, (text, _) in enumerate(TIMES)} == dict(TIMES)
    assert account.n_read == len(TIMES) == account.n_new + account.n_refused


def test_times_are_native_in_parquet(store):
    path = store.parquet(
        "times.parquet",
        """
        select 'a' as sender_id, 'b' as recipient_id, true as liked, * from (values
            (timestamp '2024-01-02 03:04:05.123456', timestamp_ns '2024-01-02 03:04:05.123456789',
             timestamp_ms '2024-01-02 03:04:05.123', timestamptz '2024-01-02 03:04:05+02', date '2024-01-02',
             1704164645, 1704164645123, 1704164645.5::double)
        ) as t(micro, nano, milli, zoned, day, s, ms, real)
        """,
    )
    for name in ("micro", "nano", "milli", "zoned", "day", "s", "ms", "real"):
        store.take("swipes", path, mapping={"swiped_at": name})
    assert {at for *_, at in store.swipes()} == {
        t(2024, 1, 2, 3, 4, 5, 123456),
        t(2024, 1, 2, 3, 4, 5, 123000),
        t(2024, 1, 2, 1, 4, 5),
        t(2024, 1, 2),
        t(2024, 1, 2, 3, 4, 5),
        t(2024, 1, 2, 3, 4, 5, 500000),
    }


FLAGS = {
    **dict.fromkeys(["true", "True", "T", "1", "1.0", "yes", "Y", "like", "LIKED", " right "], True),
    **dict.fromkeys(["false", "F", "0", "0.0", "no", "n", "ignore", "ignored", "pass", "Left"], False),
    **dict.fromkeys(["", "2", "maybe", "-1", "rightly"], "bad_liked"),
}


def test_flags(store):
    rows = [f"a{n},b,{text},2024-01-01" for n, text in enumerate(FLAGS)]
    store.take_text("swipes", "sender_id,recipient_id,liked,swiped_at\n" + "\n".join(rows))
    found = dict(store.rows("select sender_id, liked from facts.swipes"))
    found |= dict(store.rows("select raw ->> 'sender_id', reason from facts.rejects"))
    assert {text: found[f"a{n}"] for n, text in enumerate(FLAGS)} == FLAGS


GENDERS = {
    **dict.fromkeys(["F", "f", "female", "Female", "WOMAN", "w", " F "], "female"),
    **dict.fromkeys(["M", "male", "man"], "male"),
    **dict.fromkeys(["other", "non-binary", "Nonbinary", "nb", "x", "d"], "other"),
    **dict.fromkeys(["", "unknown", "N/A", "null", "?"], None),
    **dict.fromkeys(["fem", "1", "girl", "mf"], "bad_gender"),
}


def test_genders(store):
    store.take_text("users", "user_id,gender\n" + "\n".join(f"u{n},{text}" for n, text in enumerate(GENDERS)))
    found = dict(store.rows("select user_id, gender from facts.users"))
    found |= dict(store.rows("select raw ->> 'user_id', reason from facts.rejects"))
    assert {text: found[f"u{n}"] for n, text in enumerate(GENDERS)} == GENDERS


COUNTS = {
    "0": 0,
    "12": 12,
    "12.0": 12,
    "1e3": 1000,
    " 7 ": 7,
    "9007199254740992": 9007199254740992,
    "": None,
    "nan": None,
    **dict.fromkeys(["-1", "1.5", "1,000", "0x10", "inf", "many", "1e300"], "bad_number"),
}


def test_counts(store):
    store.take_text("users", "user_id,followers\n" + "\n".join(f'u{n},"{text}"' for n, text in enumerate(COUNTS)))
    found = dict(store.rows("select user_id, followers from facts.users"))
    found |= dict(store.rows("select raw ->> 'user_id', reason from facts.rejects"))
    assert {text: found[f"u{n}"] for n, text in enumerate(COUNTS)} == COUNTS


def test_ids_and_texts(store):
    text = (
        "photo_id;user_id;path;hashtags\n"
        "  p1 ;007;a b.jpg;#Me, #love  #me\n"
        " ;u;;\n"
        "p2;;;\n"
        f"{'p' * 1025};u;;\n"
        f"p3;u;{'x' * 65537};\n"
        "p4;Ünïcode 🙂;;\n"
    )
    account = store.take_text("photos", text)
    assert store.rows("select photo_id, user_id, path, hashtags from facts.photos order by 1") == [
        ("p1", "007", "a b.jpg", ["love", "me"]),
        ("p4", "Ünïcode 🙂", None, None),
    ]
    assert account.refused == {"no_photo_id": 1, "no_user_id": 1, "too_long": 2}


def test_numbers_are_ids_in_parquet(store):
    path = store.parquet(
        "swipes.parquet",
        "select 7 as sender_id, 8.0::double as recipient_id, 1 as liked, date '2024-01-01' as swiped_at"
        " union all select 9, 'nan'::double, 0, date '2024-01-01'",
    )
    [account] = store.take("swipes", path)
    assert store.swipes() == [("7", "8", True, t(2024, 1, 1))]
    assert account.refused == {"no_recipient_id": 1}


def test_a_column_of_only_null_is_null_for_every_type(store):
    path = store.parquet(
        "users.parquet",
        "select 'u' as user_id, null::integer as gender, 'nan'::double as followers, null::integer as created_at",
    )
    store.take("users", path)
    assert store.rows("select user_id, gender, followers, created_at from facts.users") == [("u", None, None, None)]


def test_every_reason_has_a_sentence_and_a_row_says_what_is_wrong(store):
    assert all(sentence.endswith(".") for sentence in REASONS.values())
    store.take_text("users", "user_id,gender,extra\nu1,fem,hello\n")
    [(source, line, reason, detail, raw, at)] = store.rows(
        "select source, line, reason, detail, raw, ingested_at from facts.rejects"
    )
    assert (line, reason, detail) == (2, "bad_gender", "fem")
    assert raw == '{"user_id":"u1","gender":"fem","extra":"hello"}'
    assert source.endswith("given.csv")
    assert at > NOW
