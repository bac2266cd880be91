"""Swipes and main-photo events: equal ones are one, for any order and number of files."""

import contextlib
import datetime as dt
import itertools
import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from photogenic.ingest.tabular import deduplicate
from tests.ingest.ingest_store import SWIPES, StoreWithFiles


@pytest.fixture
def store(tmp_path):
    return StoreWithFiles(tmp_path)


def test_an_equal_swipe_is_known_and_another_value_corrects_it_within_a_file_and_across_files(store):
    first = SWIPES + "a,b,1,2024-01-01\na,b,1,2024-01-01\na,b,0,2024-01-01\nb,a,1,2024-01-01\na,b,0,2024-01-01T00:00Z\n"
    account = store.take_text("swipes", first, "first.csv")
    assert (account.n_new, account.n_corrected, account.n_known, account.refused) == (2, 1, 2, {})
    account = store.take_text("swipes", SWIPES + "c,d,1,2024-01-01\na,b,false,2024-01-01 00:00:00\n", "second.csv")
    assert (account.n_read, account.n_new, account.n_known, account.refused) == (2, 1, 1, {})
    assert [row[:3] for row in store.swipes()] == [("a", "b", False), ("b", "a", True), ("c", "d", True)]
    assert store.rejects() == []


def test_main_photos_of_one_instant_are_one_statement(store):
    text = "user_id,photo_id,set_at\nu,p,2024-01-01\nu,,2024-01-02\nu,,2024-01-02\nu,p,2024-01-01\n,p,2024-01-01\n"
    account = store.take_text("main_photos", text)
    assert (account.n_new, account.n_known, account.refused) == (2, 2, {"no_user_id": 1})
    assert store.rejects() == [(6, "no_user_id")]
    assert store.rows("select user_id, photo_id, set_at from facts.main_photos order by set_at") == [
        ("u", "p", dt.datetime(2024, 1, 1)),
        ("u", None, dt.datetime(2024, 1, 2)),
    ]


def test_the_same_file_again_does_nothing_and_reports_it(store):
    text = SWIPES + "a,b,1,2024-01-01\na,b,bad,2024-01-01\n"
    assert not store.take_text("swipes", text, "one.csv").repeated
    before = store.rows("select * from facts.rejects")
    again = store.take_text("swipes", text, "same bytes, another name.csv")
    assert again.repeated
    assert again.n_read == 0
    assert "taken in before" in str(again)
    assert store.rows("select * from facts.rejects") == before
    mapped = store.take_text(
        "swipes", text, "one.csv", mapping={"sender_id": "recipient_id", "recipient_id": "sender_id"}
    )
    assert mapped.n_new == 1


def test_every_file_is_stamped_later_than_all_before(store):
    for name in "abc":
        store.now = dt.datetime(2024, 6, 1)  # the clock stands still
        store.take_text("swipes", SWIPES + f"{name},b,1,2024-01-01\n")
    stamps = [at for (at,) in store.rows("select ingested_at from facts.swipes order by sender_id")]
    assert stamps == sorted(set(stamps))


def test_more_rows_than_fit_one_part_of_the_hashes(store, monkeypatch):
    monkeypatch.setattr(deduplicate, "_PART", 100)
    rows = [f"u{n % 700},v,1,2024-01-01\n" for n in range(1000)]
    assert store.take_text("swipes", SWIPES + "".join(rows)).n_known == 300
    assert store.take_text("swipes", SWIPES + "".join(rows[300:])).n_known == 700
    assert len(store.swipes()) == 700


def test_equal_hashes_of_other_events_change_nothing(store, monkeypatch):
    """Every row is a candidate, so only the comparison by value decides."""
    read = deduplicate._sorted

    def all_alike(*given):
        numbers, first, last = read(*given)
        return numbers.repeat(2), first, last

    monkeypatch.setattr(deduplicate, "_sorted", all_alike)
    account = store.take_text("swipes", SWIPES + "a,b,1,2024-01-01\na,c,0,2024-01-01\na,b,1,2024-01-01\n")
    assert (account.n_new, account.n_known) == (2, 1)


ROWS = st.tuples(
    st.sampled_from(["a", "b", " a ", ""]),
    st.sampled_from(["a", "b", 'q"uo,te']),
    st.sampled_from(["1", "yes", "?"]),
    st.sampled_from(["2024-01-01", "2024-01-01 00:00:00", "2024-01-02T01:00+01:00", "2024-01-02", "never"]),
)


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(rows=st.lists(ROWS, max_size=25), cuts=st.lists(st.integers(0, 25), max_size=2), seed=st.integers(0, 9))
def test_the_order_and_the_cut_of_files_do_not_matter(tmp_path_factory, rows, cuts, seed):
    whole, cut = (StoreWithFiles(tmp_path_factory.mktemp(name)) for name in ("whole", "cut"))
    bounds = [0, *sorted(min(at, len(rows)) for at in cuts), len(rows)]
    pieces = [rows[a:b] for a, b in itertools.pairwise(bounds)]
    random.Random(seed).shuffle(pieces)
    names = ["sender_id", "recipient_id", "liked", "swiped_at"]
    formats = (
        lambda piece: SWIPES + "".join(",".join('"' + v.replace('"', '""') + '"' for v in row) + "\n" for row in piece),
        lambda piece: "".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in piece),
    )
    one = whole.take_text("swipes", formats[0](rows), "all.csv")
    accounts = [
        cut.take_text("swipes", formats[number % 2](piece), f"{number}.{('csv', 'ndjson')[number % 2]}")
        for number, piece in enumerate(pieces)
        if piece
    ]
    assert all(a.n_read == a.n_new + a.n_known + a.n_refused for a in (one, *accounts) if not a.repeated)
    assert one.n_read == len(rows)
    if accounts:
        assert cut.swipes() == whole.swipes()
    n_good = len({tuple(row) for row in whole.swipes()})
    assert one.n_new == n_good


class Listener:
    def __init__(self):
        self.stages = {}

    @contextlib.contextmanager
    def stage(self, name, total=None, unit=""):
        told = self.stages.setdefault((name, total, unit), [])
        yield told.append

    def note(self, text):
        raise AssertionError(text)


def test_progress_counts_the_rows_once(store):
    text = store.file("text.csv", SWIPES + "".join(f"a{n},b,{n % 3},2024-01-01\n" for n in range(3000)))
    table = store.parquet(
        "table.parquet",
        "select 'p' || i as sender_id, 'b' as recipient_id, i % 3 as liked, date '2024-01-01' as swiped_at"
        " from range(3000) as t(i)",
    )
    listener = Listener()
    store.store = store.store.reporting_to(listener)
    accounts = store.take("swipes", text, table)
    assert [account.n_refused for account in accounts] == [1000, 1000]
    assert {stage: sum(told) for stage, told in listener.stages.items()} == {
        ("swipes", None, "rows"): 3000,
        ("swipes", 3000, "rows"): 3000,
    }
