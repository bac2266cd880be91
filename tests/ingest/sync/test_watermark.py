"""Watermarks: what a column's newest value becomes, and where the next sync begins."""

import datetime as dt
import uuid

import pyarrow as pa
import pytest

from photogenic.ingest.sync.lookback import is_lookback, lookback_time
from photogenic.ingest.sync.watermark import Watermark, rows_since
from photogenic.warehouse import InputError

NOW = dt.datetime(2024, 5, 1, 12)
TEN, UTC = dt.datetime(2024, 5, 1, 10), dt.UTC
UUID_7 = "018f3c2e-8d50-7000-8000-000000000001"


def mark(value, type_=None):
    return Watermark.of(pa.array([value], type_)[0], "w", NOW)


@pytest.mark.parametrize(
    ("value", "type_", "expected", "lookback", "since"),
    [
        (TEN.replace(microsecond=7), pa.timestamp("us"), f"{TEN}.000007", None, "2024-05-01 09:50:00.000007"),
        (TEN.replace(tzinfo=UTC), pa.timestamp("us", "UTC"), f"{TEN}+00:00", "1 h", "2024-05-01 09:00:00+00:00"),
        (dt.datetime(2024, 5, 1, 10), pa.timestamp("s"), "2024-05-01 10:00:00", "0 s", "2024-05-01 10:00:00"),
        (dt.date(2024, 4, 30), pa.date32(), "2024-04-30", "10 minutes", "2024-04-29"),
        (12_345_678, pa.int64(), "12345678", None, "12335678"),
        (-5, pa.int16(), "-5", 0, "-5"),
        ("2024-05-01T10:00:00.9Z", pa.string(), "2024-05-01T10:00:00", "10 min", "2024-05-01T09:50:00"),
        ("2024-05-01 10:00:00", pa.large_string(), "2024-05-01 10:00:00", None, "2024-05-01 09:50:00"),
        ("000123", pa.string(), "000123", None, "000123"),
        ("o'k", pa.string(), "o'k", None, "o'k"),
        (UUID_7, pa.string(), UUID_7, None, UUID_7),
    ],
)  # fmt: skip
def test_each_type_has_a_value_and_a_beginning_and_survives_the_store(value, type_, expected, lookback, since):
    found = mark(value, type_)
    assert (found.value, found.since(lookback).value) == (expected, since)
    assert Watermark.from_json(found.to_json()) == found
    assert found.type == "text" or isinstance(found.to_json()["value"], int)


def test_a_time_never_leads_beyond_now():
    far = dt.datetime(9999, 12, 31)
    assert mark(far, pa.timestamp("us")).value == mark(far, pa.timestamp("s")).value == "2024-05-01 12:00:00"
    assert mark((1 << 63) - 1, pa.int64()).value == str((1 << 63) - 1)
    infinite = pa.array([(1 << 63) - 1], pa.int64()).view(pa.timestamp("us", "UTC"))[0]
    assert Watermark.of(infinite, "w", NOW).value == "2024-05-01 12:00:00+00:00"
    minus = pa.array([-(1 << 63) + 1], pa.int64()).view(pa.timestamp("us"))[0]
    assert Watermark.of(minus, "w", NOW).since("100 d").value == "0001-01-01 00:00:00"
    assert mark(dt.date(2999, 1, 1), pa.date32()).value == "2024-05-01"
    assert mark("9999-12-31 00:00:00").value == "2024-05-01 12:00:00"


@pytest.mark.parametrize(
    ("value", "type_", "message"),
    [
        (1.5, pa.float64(), "is of the type double"),
        (True, pa.bool_(), "is of the type bool"),
        ("a\0b", pa.string(), "a text with a byte 0"),
        (str(uuid.UUID(int=1, version=4)), pa.string(), "random UUIDs"),
        (uuid.UUID(int=1, version=4).bytes, pa.binary(16), "random UUIDs"),
    ],
)
def test_values_that_do_not_grow_are_refused(value, type_, message):
    with pytest.raises(InputError, match=message):
        mark(value, type_)


@pytest.mark.parametrize(
    ("value", "lookback"), [(5, "10 minutes"), ("abc", "10 minutes"), (dt.datetime(2024, 1, 1), 5)]
)
def test_a_lookback_of_another_type_is_refused(value, lookback):
    with pytest.raises(InputError, match="lookback is"):
        mark(value).since(lookback)


@pytest.mark.parametrize(
    "held", [None, 3, {}, {"type": "text", "value": "a (erased)"}, {"type": "(erased)", "value": 1}]
)
def test_a_position_of_which_an_erase_removed_a_part_is_none(held):
    assert Watermark.from_json(held) is None


def test_the_bound_is_one_literal_and_the_query_ends_before_it():
    query = rows_since("select * from t -- all", 'a"b', Watermark("text", "x' or 1=1 --"))
    assert query.endswith("""\n) as source where "a""b" >= 'x'' or 1=1 --' order by "a""b\"""")
    assert rows_since("q", "n", Watermark("number", "7")).endswith('"n" >= 7 order by "n"')
    with pytest.raises(ValueError, match="invalid literal"):
        rows_since("q", "n", Watermark("number", "7; drop table t"))


@pytest.mark.parametrize(("text", "seconds"), [("10 minutes", 600), ("90s", 90), ("2 H", 7200), ("1 day", 86_400)])
def test_a_lookback_has_a_unit(text, seconds):
    assert lookback_time(text) == dt.timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value", ["", "10", "ten minutes", "1 month", "-1 h", "999999999 d", -1, True, 1.5, 10**16, None]
)
def test_what_is_no_lookback(value):
    assert not is_lookback(value)
