"""Words for yes and no, words and units that the user maps, and UUIDs of 16 bytes."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import uuid
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from photogenic.warehouse import InputError
from tests.ingest.ingest_store import SWIPES, StoreWithFiles

YES = "true t 1 1.0 yes y like liked likes right superlike super_like super-like superliked superswipe love loved heart"
YES += " rose comment smash accept accepted approve approved interested thumbs_up swipe-right swiped_right upvote"
NO = "false f 0 0.0 no n ignore ignored pass passed left dislike disliked dislikes nope skip skipped reject rejected"
NO += " decline declined dismiss dismissed discard discarded thumbs_down swipe-left swiped_left not_interested nah hate"
EITHER = "x up match block unlike undo maybe -1 2 boost on view null"


@pytest.fixture
def store(tmp_path):
    return StoreWithFiles(tmp_path)


def swipe_lines(words):
    return "".join(f"s{at},r,{word},2024-01-01\n" for at, word in enumerate(words))


def liked(store):
    return [value for (value,) in store.rows("select liked from facts.swipes order by cast(sender_id[2:] as int)")]


@pytest.mark.parametrize("spell", [str, str.upper, str.capitalize, lambda word: f'"  {word.replace("_", " ")} "'])
def test_common_words_for_like_and_pass(store, spell):
    words = [*YES.split(), *NO.split()]
    text = SWIPES + swipe_lines(map(spell, words))
    account = store.take_text("swipes", gzip.compress(text.encode()))
    assert account.refused == {}
    assert liked(store) == [True] * len(YES.split()) + [False] * len(NO.split())


def test_words_that_may_mean_either_are_refused(store):
    account = store.take_text("swipes", SWIPES + swipe_lines(EITHER.split()))
    assert account.refused == {"bad_liked": len(EITHER.split())}


def test_mapped_words_precede_the_known_ones_and_the_exact_one_precedes_other_cases(store):
    words = {"boost": True, "LIKE": False, "Maybe": None, "2": True, "b": True, "B": False, "it's": True}
    lines = swipe_lines(["boost", "BOOST", "like", "maybe", "2", " b ", "B", '"boost"', "it's", "pass", ""])
    account = store.take_text("swipes", SWIPES + lines, mapping={"values": {"liked": words}})
    assert account.refused == {"bad_liked": 2}
    assert liked(store) == [True, True, False, True, True, False, True, True, False]
    assert [line for line, _ in store.rejects()] == [5, 12]


def test_two_meanings_of_one_word_count_for_their_spelling_only(store):
    words = {"Yo": True, "yO": False}
    account = store.take_text("swipes", SWIPES + swipe_lines(["Yo", "yO", "yo"]), mapping={"values": {"liked": words}})
    assert (liked(store), account.refused) == ([True, False], {"bad_liked": 1})


def test_a_missing_word_in_any_column_and_a_gender(store):
    values = {"user_id": {"?": None}, "gender": {"D": "other", "robot": None}, "followers": {"-1": ""}}
    values["created_at"] = {"0": None, "never": None}
    text = "user_id,gender,followers,created_at\na,D,-1,0\nb,robot,3,never\n?,f,1,2024-01-01\nc,f,1,2024-01-01\n"
    account = store.take_text("users", text, mapping={"values": values})
    assert account.refused == {"no_user_id": 1}
    assert store.rows("select user_id, gender, followers, created_at from facts.users order by 1") == [
        ("a", "other", None, None),
        ("b", None, 3, None),
        ("c", "female", 1, dt.datetime(2024, 1, 1)),
    ]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([2, 3, 1, None], pa.int64()),
        pa.array([2.0, 3.0, 1.0, None], pa.float64()),
        pa.array([Decimal("2.00"), Decimal("3.00"), Decimal("1.00"), None], pa.decimal128(6, 2)),
        pa.array(["2", " 3", "1", None], pa.string()),
        pa.array([b"2", b"3", b"1", None], pa.binary()),
        pa.array(["2", "3", "1", None], pa.string()).dictionary_encode(),
    ],
    ids=lambda column: str(column.type),
)
def test_mapped_words_of_every_type_of_parquet(store, column):
    n = len(column)
    table = pa.table(
        {
            "sender_id": [f"s{at}" for at in range(n)],
            "recipient_id": ["r"] * n,
            "liked": column,
            "swiped_at": [dt.datetime(2024, 1, 1)] * n,
        }
    )
    pq.write_table(table, store.folder / "swipes.parquet")
    mapping = {"values": {"liked": {2: True, 3: False}}}
    [account] = store.take("swipes", store.folder / "swipes.parquet", mapping=mapping)
    assert (liked(store), account.refused) == ([True, False, True], {"bad_liked": 1})


def test_mapped_words_of_booleans_and_of_json(store):
    path = store.parquet(
        "a.parquet", "select 's0' as sender_id, 'r' as recipient_id, true as liked, timestamp '2024-01-01' as swiped_at"
    )
    store.take("swipes", path, mapping={"values": {"liked": {"true": False}}})
    assert liked(store) == [False]
    rows = [
        {"sender_id": f"s{at}", "recipient_id": "r", "liked": word, "swiped_at": 1704067200}
        for at, word in enumerate([True, 7, "7", "boost", None], 1)
    ]
    values = {"liked": {"true": False, "7": True, "boost": True}}
    account = store.take_text("swipes", "\n".join(map(json.dumps, rows)), "a.ndjson", mapping={"values": values})
    assert (liked(store), account.refused) == ([False, False, True, True, True], {"bad_liked": 1})


def test_another_mapping_of_values_or_units_is_another_ingest(store):
    text = SWIPES + swipe_lines(["boost"])
    assert store.take_text("swipes", text).refused == {"bad_liked": 1}
    assert store.take_text("swipes", text).repeated
    mapping = {"values": {"liked": {"boost": True}}}
    assert store.take_text("swipes", text, mapping=mapping).n_new == 1
    assert store.take_text("swipes", text, mapping=mapping).repeated
    assert not store.take_text("swipes", text, mapping={**mapping, "units": {"swiped_at": "days"}}).repeated


INSTANT = dt.datetime(2024, 3, 1, 12, 0)
S = int(INSTANT.replace(tzinfo=dt.UTC).timestamp())


@pytest.mark.parametrize(
    ("unit", "number"),
    [
        ("days", S / 86400),
        ("hours", S // 3600),
        ("minutes", S // 60),
        ("s", S),
        ("ms", S * 1000),
        ("us", S * 1_000_000),
        ("ns", S * 1_000_000_000),
        ("excel", 45352.5),
    ],
)
def test_numbers_of_a_unit(store, unit, number):
    mapping = {"units": {"created_at": unit}}
    users = store.take_text("users", f"user_id,created_at\na,{number}\n", mapping=mapping)
    kept = [users.n_new]
    kept.append(
        store.take_text("users", f'{{"user_id": "b", "created_at": {number}}}', "b.ndjson", mapping=mapping).n_new
    )
    for name, type_ in {
        "c": "double",
        "d": "decimal(38, 3)",
        **({} if number % 1 else {"e": "bigint", "f": "hugeint"}),
    }.items():
        path = store.parquet(f"{name}.parquet", f"select '{name}' as user_id, {number}::{type_} as created_at")
        kept += [account.n_new for account in store.take("users", path, mapping=mapping)]
    assert set(kept) == {1}
    assert set(store.rows("select created_at from facts.users")) == {(INSTANT,)}


def test_small_numbers_of_a_unit_and_dates_beside_them(store):
    text = "user_id,created_at\na,0\nb,86400\nc,2024-03-01 12:00:00\nd,\ne,1.5\n"
    account = store.take_text("users", text, mapping={"units": {"created_at": "s"}})
    assert account.refused == {}
    assert store.rows("select created_at from facts.users order by user_id") == [
        (dt.datetime(1970, 1, 1),),
        (dt.datetime(1970, 1, 2),),
        (INSTANT,),
        (None,),
        (dt.datetime(1970, 1, 1, 0, 0, 1, 500_000),),
    ]


@pytest.mark.parametrize("unit", ["days", "hours", "minutes", "s", "ms", "us", "ns", "excel"])
def test_hostile_numbers_of_a_unit_are_refused(store, unit):
    numbers = ["inf", "-inf", "1e300", "-1", "-5.5", "1e18", "9" * 30, "0x1F", "1_000"]
    text = "user_id,created_at\n" + "".join(f"u,{number}\n" for number in numbers)
    mapping = {"units": {"created_at": unit}}
    account = store.take_text("users", text, mapping=mapping)
    assert account.refused == {"bad_time": len(numbers)}
    query = "select 'u' as user_id, unnest(['inf'::double, '-inf', 1e300, -1, -5.5, 9.9e18]) as created_at"
    [account] = store.take("users", store.parquet("a.parquet", query), mapping=mapping)
    assert account.refused == {"bad_time": 6}
    query = "select 'u' as user_id, unnest([-1, 170141183460469231731687303715884105727::hugeint]) as created_at"
    [account] = store.take("users", store.parquet("b.parquet", query), mapping=mapping)
    assert account.refused == {"bad_time": 2}


def test_uuids_of_16_bytes_are_those_of_text(store):
    ids = [uuid.UUID(int=number * 0x1F3D5B79_11335577_99BBDDFF_02468ACE % (1 << 128)) for number in range(1, 200)]
    for name, type_ in {"fixed": pa.binary(16), "bytes": pa.binary()}.items():
        values = pa.array([each.bytes for each in ids] + [None], type_)
        pq.write_table(pa.table({"user_id": values}), store.folder / f"{name}.parquet")
        [account] = store.take("users", store.folder / f"{name}.parquet")
        assert (account.n_new + account.n_known, account.refused) == (len(ids), {"no_user_id": 1})
    store.take_text("users", "user_id\n" + "".join(f"{each}\n" for each in ids))
    assert store.rows("select count(distinct user_id) from facts.users") == [(len(ids),)]
    assert {text for (text,) in store.rows("select user_id from facts.users")} == set(map(str, ids))


def test_bytes_that_may_be_text_are_text_unless_the_column_holds_uuids_only(store):
    text, odd = b"abcdefghijklmnop", bytes(range(16))
    cases = {
        "text": ([text, b"b"], ["abcdefghijklmnop", "b"]),
        "both": ([text, odd, b"b"], ["00010203-0405-0607-0809-0a0b0c0d0e0f", "abcdefghijklmnop", "b"]),
        "uuids": ([text, odd], ["00010203-0405-0607-0809-0a0b0c0d0e0f", "61626364-6566-6768-696a-6b6c6d6e6f70"]),
    }
    for name, (values, expected) in cases.items():
        pq.write_table(pa.table({"user_id": pa.array(values, pa.binary())}), store.folder / f"{name}.parquet")
        [account] = store.take("users", store.folder / f"{name}.parquet")
        assert account.refused == {}
        rows = store.rows(
            "select user_id from facts.users where ingested_at = (select max(ingested_at) from facts.users)"
        )
        # What was known before is not added again.
        assert {user for (user,) in store.rows("select user_id from facts.users")} >= set(expected)
        assert {user for (user,) in rows} <= set(expected)


def test_an_upper_case_uuid_stays_as_it_is(store):
    store.take_text("users", "user_id\nA1B2C3D4-0000-4000-8000-0123456789AB\n")
    assert store.rows("select user_id from facts.users") == [("A1B2C3D4-0000-4000-8000-0123456789AB",)]


def test_a_mapping_of_a_word_is_an_error_where_the_column_has_no_fixed_words(store):
    path = store.file("users.csv", "user_id\na\n")
    with pytest.raises(InputError, match="user_id"):
        store.take("users", path, mapping={"values": {"user_id": {"a": "b"}}})
