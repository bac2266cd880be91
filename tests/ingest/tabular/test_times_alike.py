"""Times with unambiguous zones are read, and Parquet timestamps in every unit."""

import datetime as dt
import itertools

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.ingest.ingest_store import SWIPES, StoreWithFiles


@pytest.fixture
def store(tmp_path):
    return StoreWithFiles(tmp_path)


ZONES = {
    **dict.fromkeys(
        ["", "Z", "z", " Z", " UTC", " utc", "UTC", " GMT", " UT", " Zulu", " Etc/UTC", "+00", " GMT+0"], 10
    ),
    **dict.fromkeys(["+02:00", " +02", " +0200", " UTC+2", " GMT+02:00", " Europe/Berlin", " europe/berlin"], 8),
    **dict.fromkeys([" America/New_York", " US/Eastern", " EST5EDT", " Etc/GMT+4", "-04", " GMT-4"], 14),
    " Japan": 1,
    " Asia/Calcutta": 4.5,
    " UTC+05:30": 4.5,
    " UTC-0330": 13.5,
    " NZ": -2,
    " GB": 9,
    **dict.fromkeys([" BST", " AST", " CST", " SST", " EST", " IST", " est", " Bst", " CET", " MST", " NST", " EDT"]),
    **dict.fromkeys([" PDT", " CEST", " AEST", " MSK", " XYZ", " PST8", " CST+8", "BST", " +02:00 BST", " BST "]),
    **dict.fromkeys([" GMT+99", "+99", " Factory", " Etc/Unknown", " Europe/Nowhere", " A", " PM"]),
}


def test_zones(store):
    rows = [f'a,r{n},1,"2024-07-15 10:00:00{zone}"\n' for n, zone in enumerate(ZONES)]
    store.now = dt.datetime(2025, 1, 1)
    store.take_text("swipes", SWIPES + "".join(rows))
    found = dict(store.rows("select recipient_id, swiped_at from facts.swipes"))
    midnight = dt.datetime(2024, 7, 15)
    hours = {zone: hour if hour is None else midnight + dt.timedelta(hours=hour) for zone, hour in ZONES.items()}
    assert {zone: found.get(f"r{n}") for n, zone in enumerate(ZONES)} == hours
    assert {reason for _, reason in store.rejects()} == {"bad_time"}


CLOCKS = {
    "2024-10-27 01:59:59 Europe/Zurich": dt.datetime(2024, 10, 26, 23, 59, 59),
    "2024-10-27 02:00:00 Europe/Zurich": None,
    "2024-10-27 02:30:00 europe/zurich": None,
    "2024-10-27 03:00:00 Europe/Zurich": dt.datetime(2024, 10, 27, 2),
    "2024-03-31 01:59:59 Europe/Zurich": dt.datetime(2024, 3, 31, 0, 59, 59),
    "2024-03-31 02:30:00 Europe/Zurich": None,
    "2024-03-31 03:00:00 Europe/Zurich": dt.datetime(2024, 3, 31, 1),
    "2024-11-03 01:30:00 US/Eastern": None,
    "2024-11-03 01:30:00 America/Phoenix": dt.datetime(2024, 11, 3, 8, 30),
    "2024-04-07 01:45:00 Australia/Lord_Howe": None,
    "2024-04-07 01:15:00 Australia/Lord_Howe": dt.datetime(2024, 4, 6, 14, 15),
    "2024-10-27 02:30:00+02:00": dt.datetime(2024, 10, 27, 0, 30),
}


def test_an_hour_that_clocks_show_twice_or_never_is_not_guessed(store):
    store.now = dt.datetime(2025, 1, 1)
    store.take_text("swipes", SWIPES + "".join(f"a,r{n},1,{text}\n" for n, text in enumerate(CLOCKS)))
    found = dict(store.rows("select recipient_id, swiped_at from facts.swipes"))
    assert {text: found.get(f"r{n}") for n, text in enumerate(CLOCKS)} == CLOCKS
    for (detail,) in store.rows("select detail from facts.rejects"):
        assert "twice or never; write an offset" in detail


def test_a_refused_zone_names_the_remedy(store):
    times = ["2024-01-15 10:00:00 BST", "2024-02-30 10:00:00 UTC", "1899-01-01 10:00:00 Asia/Tokyo", "soon"]
    store.take_text("swipes", SWIPES + "".join(f"a,b,1,{text}\n" for text in times))
    details = [detail for (detail,) in store.rows("select detail from facts.rejects order by line")]
    assert "zone BST is ambiguous" in details[0]
    assert "offset" in details[0]
    assert details[1:] == times[1:]


UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
JDBC_INFINITY, JDBC_MINUS_INFINITY = 9223372036825200000, -9223372036832400000


def test_a_timestamp_out_of_range_rejects_only_its_row(store):
    paths = []
    for unit, zone, statistics in itertools.product(UNITS, (None, "Europe/Berlin"), (True, False)):
        if not statistics and unit != "ms":
            continue
        far = [2**63 - 1, -(2**63) + 1, JDBC_INFINITY, JDBC_MINUS_INFINITY]
        if unit == "s":
            far = [number // 1001 for number in far]  # Parquet has no seconds: they become milliseconds.
        if unit == "ns":
            far[2:] = far[:2]  # The others are instants of 1677 and 2262.
        good = 1704164645 * UNITS[unit]
        values = pa.array([good, *far, None, good + UNITS[unit]], pa.int64())
        times = pa.Array.from_buffers(pa.timestamp(unit, zone), len(values), values.buffers())
        name = f"{unit} {zone} {statistics}"
        paths.append(store.folder / f"{len(paths):02}.parquet")
        ours = {"sender_id": [name] * 7, "recipient_id": ["r"] * 7, "liked": [True] * 7}
        # A column that is not ours is shown in the rejects.
        pq.write_table(pa.table(ours | {"swiped_at": times, "other": times}), paths[-1], write_statistics=statistics)
    for account in store.take("swipes", *paths):
        assert (account.n_new, account.refused) == (2, {"bad_time": 2, "future_time": 2, "no_time": 1})
    assert {at for *_, at in store.swipes()} == {dt.datetime(2024, 1, 2, 3, 4, 5), dt.datetime(2024, 1, 2, 3, 4, 6)}
    lines = [(2, "future_time"), (3, "bad_time"), (4, "future_time"), (5, "bad_time"), (6, "no_time")]
    assert store.rows("select distinct line, reason from facts.rejects order by all") == lines


TYPES = {
    "date32": pa.array([19724], pa.int32()).cast(pa.date32()),
    "date64": pa.array([19724 * 86_400_000]).cast(pa.date64()),
    **{f"{unit} {zone}": pa.array([1704153600 * n], pa.int64()).cast(pa.timestamp(unit, zone))
       for unit, n in UNITS.items() for zone in (None, "UTC", "America/New_York")},
    "decimal": pa.array([1704153600]).cast(pa.decimal128(38, 0)),
    "decimal of nanoseconds": pa.array([1704153600 * 10**9]).cast(pa.decimal128(38, 0)),
    "double": pa.array([1704153600.0]),
    "unsigned": pa.array([1704153600], pa.uint32()),
}  # fmt: skip


def test_every_type_of_time(store):
    paths = []
    for (name, times), int96 in itertools.product(TYPES.items(), (False, True)):
        if int96 and name != "us None":
            continue
        paths.append(store.folder / f"{len(paths):02}.parquet")
        table = pa.table({"sender_id": [f"{name} {int96}"], "recipient_id": ["b"], "liked": [True], "swiped_at": times})
        pq.write_table(table, paths[-1], use_deprecated_int96_timestamps=int96)
    store.take("swipes", *paths)
    assert [at for *_, at in store.swipes()] == [dt.datetime(2024, 1, 2)] * len(paths)


def test_dates_out_of_range_reject_only_their_row(store):
    days = pa.array([2**31 - 1, -(2**31), 2_000_000_000, 19724], pa.int32()).cast(pa.date32())
    path = store.folder / "given.parquet"
    pq.write_table(
        pa.table({"sender_id": ["s"] * 4, "recipient_id": ["r"] * 4, "liked": [True] * 4, "swiped_at": days}), path
    )
    store.take("swipes", path)
    assert [at for *_, at in store.swipes()] == [dt.datetime(2024, 1, 2)]
    assert store.rejects() == [(1, "future_time"), (2, "bad_time"), (3, "future_time")]


def test_timestamps_out_of_range_inside_lists_do_not_stop_a_file(store):
    far = pa.array([[JDBC_INFINITY], None], pa.list_(pa.int64())).cast(pa.list_(pa.timestamp("ms")))
    first = pa.array([[-(2**63)], None], pa.list_(pa.int64())).cast(pa.list_(pa.timestamp("us")))
    path = store.folder / "users.parquet"
    pq.write_table(pa.table({"user_id": ["a", "b"], "gender": ["?!", "f"], "far": far, "first": first}), path)
    store.take("users", path)
    assert store.rejects() == [(1, "bad_gender")]
