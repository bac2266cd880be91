"""Hostile values of what names, times and takes back rows: each is counted, or the file is refused in three beats."""

import datetime as dt
import json
import os

import pytest

from photogenic.warehouse import InputError
from tests.ingest.ingest_store import NOW, SWIPES, StoreWithFiles

DAY = "2024-01-01"
IDS = ["e" * 2_000, "", " ", "NULL", "n/a", 17, 17.0, 2**53]
HELD = [("1", None), ("2", None), ("3", None), ("4", None), ("5", "17"), ("7", str(2**53))]
"""Sender and id of the swipes with those ids: 17.0 names the event 17, and corrects its sender."""


@pytest.fixture
def store(tmp_path):
    return StoreWithFiles(tmp_path)


def outcome(report):
    """Return the counts that are not 0, which add up to the rows read."""
    counts = {name: getattr(report, f"n_{name}") for name in ("new", "corrected", "retracted", "known")}
    counts |= report.refused
    assert report.n_read == sum(counts.values())
    return {name: n for name, n in counts.items() if n}


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_ids_that_are_long_blank_or_numbers(store, form):
    rows = [[given, str(no), "b", 1, DAY] for no, given in enumerate(IDS)]
    names = f"event_id,{SWIPES.strip()}".split(",")
    if form == "csv":
        lines = [",".join(map(str, row)) for row in [names, *rows]]
    else:
        lines = [json.dumps(dict(zip(names, row, strict=True))) for row in rows]
    assert outcome(store.take_text("swipes", "\n".join(lines), f"given.{form}")) == {
        "new": 6,
        "corrected": 1,
        "too_long": 1,
    }
    held = [("6" if sender == "5" else sender, name) for sender, name in HELD]
    assert store.rows("select sender_id, event_id from facts.swipes order by 1") == sorted(held)


def test_ids_that_are_objects_or_lists(store):
    swipe = {"recipient_id": "b", "liked": True, "swiped_at": DAY}
    ids = ["a", {"id": {"x": 1}}, [1, 2], True, None]
    lines = [json.dumps({"event_id": given, "sender_id": f"s{no}", **swipe}) for no, given in enumerate(ids)]
    assert outcome(store.take_text("swipes", "\n".join(lines), "given.ndjson")) == {"new": 3, "nested_value": 2}
    assert store.rows("select event_id from facts.swipes order by 1") == [("a",), ("true",), (None,)]


def test_words_of_deletion_and_times_of_arrival(store):
    odd = {
        **{("maybe", ""): "bad_deleted", ("2", ""): "bad_deleted", ("{}", ""): "bad_deleted", ("NULL", ""): None},
        **{("no", "2199-01-01"): "future_arrival", ("no", "1700-01-01"): "bad_time", ("no", "yesterday"): "bad_time"},
        **{("no", "0"): "bad_time", ("", "1970-01-01"): None},
    }
    rows = [f"{deleted},{at},s{no},b,1,{DAY}\n" for no, (deleted, at) in enumerate(odd)]
    report = store.take_text("swipes", f"deleted,ingested_at,{SWIPES}{''.join(rows)}")
    assert outcome(report) == {"new": 2, "bad_deleted": 3, "bad_time": 3, "future_arrival": 1}
    assert store.rejects() == [(no, reason) for no, reason in enumerate(odd.values(), 2) if reason is not None]
    assert store.rows("select ingested_at from facts.swipes order by 1") == [(dt.datetime(1970, 1, 1),), (store.now,)]


@pytest.mark.parametrize(("kind", "ids"), [("users", "user_id"), ("photos", "photo_id,user_id")])
def test_times_of_versions_and_of_deletions(store, kind, ids):
    cells = ["2199-01-01", "1700-01-01", "never", "0", "", "[]"]
    rows = [(cell, "") for cell in cells] + [("", cell) for cell in cells]
    key = ["a{}", "a{},u"][kind == "photos"]
    lines = [f"{key.format(no)},{updated},{deleted}\n" for no, (updated, deleted) in enumerate(rows)]
    report = store.take_text(kind, f"{ids},updated_at,deleted_at\n{''.join(lines)}")
    assert outcome(report) == {"new": 2, "future_time": 2, "bad_time": 8}
    assert store.rows(f"select count(*) from {kind}") == [(2,)]


@pytest.mark.parametrize(
    ("arrived_at", "message"),
    [
        ("absent", "no column 'absent'"),
        ("yesterday", "no column 'yesterday'"),
        ("2199-01-01", "is later than now"),
        ("1700-01-01", "is before 1900"),
        (" ", "The arrival is ' '"),
        (17, "The arrival is 17"),
        ("liked", None),
    ],
)
def test_arrivals_named_with_the_file(store, arrived_at, message):
    file = store.file("given.csv", f"{SWIPES}a,b,1,{DAY}\n")
    if message is None:  # a column, of which no value is a time
        assert outcome(store.take("swipes", file, arrived_at=arrived_at)[0]) == {"bad_time": 1}
        return
    with pytest.raises(InputError, match=message) as caught:
        store.take("swipes", file, arrived_at=arrived_at)
    assert caught.value.expected
    assert caught.value.remedy
    assert "known" not in str(caught.value)


def test_an_arrival_named_with_the_file_counts_for_all_its_rows(store):
    text = f"ingested_at,{SWIPES}2024-01-03,a,b,1,{DAY}\n,c,b,1,{DAY}\nnever,d,b,1,{DAY}\n"
    report = store.take_text("swipes", text, arrived_at="2024-01-02")
    assert outcome(report) == {"new": 3}
    assert report.ignored == ("ingested_at",)
    assert store.rows("select distinct ingested_at from facts.swipes") == [(dt.datetime(2024, 1, 2),)]


@pytest.mark.parametrize("kind", ["users", "photos", "main_photos", "swipes"])
def test_a_file_without_a_key_takes_back_nothing(store, kind):
    with pytest.raises(InputError, match="has no column") as caught:
        store.take_text(kind, "liked\n1\n", retract=True)
    assert "--map" in caught.value.remedy


def test_the_file_that_was_loaded_takes_back_its_rows(store):
    file = store.file("given.csv", f"{SWIPES}a,b,1,{DAY}\na,b,1,{DAY}\na,b,?,{DAY}\n")
    assert outcome(store.take("swipes", file)[0]) == {"new": 1, "known": 1, "bad_liked": 1}
    [report] = store.take("swipes", file, retract=True)
    assert (report.repeated, outcome(report)) == (False, {"retracted": 1, "known": 2})
    assert store.swipes() == []
    assert store.take("swipes", file, retract=True)[0].repeated


def test_processes_that_take_back_the_same_rows_at_once_take_turns(store):
    rows = "".join(f"a,b{no},1,{DAY}\n" for no in range(30))
    store.take_text("swipes", SWIPES + rows)
    children = []
    for no in range(2):
        file = store.file(f"back-{no}.csv", SWIPES + rows + f"z,z{no},1,{DAY}\n")
        child = os.fork()
        if not child:
            store.now = NOW + dt.timedelta(hours=5)
            [report] = store.take("swipes", file, retract=True)
            os._exit(report.n_retracted)
        children.append(child)
    done = sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
    assert done == [1, 31]
    assert store.swipes() == []
    assert store.rows("select count(*) from facts.retracted_swipes") == [(32,)]
    assert store.rows("select count(distinct ingested_at) from facts.ingests") == [(3,)]
