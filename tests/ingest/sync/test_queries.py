"""Rows above a watermark: what is read, what is refused, and where the position stands afterwards."""

import sqlite3

import pytest

from photogenic.ingest.sync import queries
from photogenic.ingest.sync.sync import sync
from photogenic.warehouse import LockedError
from photogenic.warehouse.storage.lock import locked
from tests.ingest.sync.sync_store import NOW, SWIPES, SyncStore, outcomes


def at(minute, second=0):
    return f"2024-05-01 10:{minute:02}:{second:02}"


@pytest.fixture
def store(tmp_path):
    made = SyncStore(tmp_path)
    made.swipe(("a", "b", 1, at(0)), ("a", "c", 0, at(30)))
    return made


def test_only_what_came_since_is_new_and_the_overlap_is_known(store):
    first = store.sync()
    assert outcomes(first) == (2, 2, 0, 0, 0, 0)
    assert (first.old_position, first.new_position) == (None, at(30))
    assert outcomes(store.sync()) == (1, 0, 0, 0, 1, 0)
    store.swipe(("a", "d", 1, at(45)))
    second = store.sync()
    assert outcomes(second) == (2, 1, 0, 0, 1, 0)
    assert (second.old_position, second.new_position) == (at(30), at(45))


def test_a_row_that_was_committed_late_within_the_lookback_is_taken_in(store):
    store.sync()
    store.swipe(("late", "b", 1, at(21)), ("too late", "b", 1, at(19)))
    assert outcomes(store.sync()) == (2, 1, 0, 0, 1, 0)
    store.changed(lookback="1 hour")
    assert outcomes(store.sync()) == (4, 1, 0, 0, 3, 0)


def test_rows_with_the_newest_watermark_that_come_later_are_not_missed_without_a_lookback(store):
    store.changed(lookback="0 s")
    store.sync()
    store.swipe(("tie", "b", 1, at(30)))
    assert outcomes(store.sync()) == (2, 1, 0, 0, 1, 0)


def test_an_update_is_a_correction(store):
    store.sync()
    store.execute(f"update swipes set liked = 1 - liked, changed_at = '{at(31)}' where recipient_id = 'c'")
    assert outcomes(store.sync()) == (1, 0, 1, 0, 0, 0)
    assert store.rows("select liked from swipes where recipient_id = 'c'") == [(True,)]
    store.execute(f"update swipes set liked = 1 - liked, changed_at = '{at(32)}' where recipient_id = 'c'")
    assert outcomes(store.sync()) == (1, 0, 1, 0, 0, 0)
    assert store.rows("select liked from swipes where recipient_id = 'c'") == [(False,)]


def test_the_same_rows_again_without_a_watermark_are_compared_and_not_skipped_as_a_known_file(store):
    store.changed(watermark=None, query="select sender_id, recipient_id, liked, swiped_at from swipes")
    assert outcomes(store.sync()) == (2, 2, 0, 0, 0, 0)
    for _ in range(2):  # there and back again: the second result has the bytes of the first
        store.execute("update swipes set liked = 1 - liked")
        assert outcomes(store.sync()) == (2, 0, 2, 0, 0, 0)


def test_pieces_lose_nothing_and_count_nothing_twice(store, monkeypatch):
    monkeypatch.setattr(queries, "PIECE_ROWS", 1)
    monkeypatch.setattr("photogenic.ingest.databases.sqlite._ROWS", "100")
    store.swipe(*((f"s{n}", "b", n % 2, at(n // 60, n % 60)) for n in range(1000)))
    report = store.sync()
    assert len(report.reports) == 11
    assert outcomes(report) == (1002, 1002, 0, 0, 0, 0)
    [(n,)] = store.rows("select count(*) from ingests")
    assert n == 11


def test_a_failure_between_pieces_keeps_those_before_and_the_next_sync_goes_on(store, monkeypatch):
    monkeypatch.setattr(queries, "PIECE_ROWS", 1)
    monkeypatch.setattr("photogenic.ingest.databases.sqlite._ROWS", "100")
    store.swipe(*((f"s{n}", "b", n % 2, at(n // 60, n % 60)) for n in range(1000)))
    whole, n_pieces = queries.QueryReader.pieces, []

    def broken(self, spill):
        for piece in whole(self, spill):
            if len(n_pieces) == 4:
                raise KeyboardInterrupt
            n_pieces.append(1)
            yield piece

    monkeypatch.setattr(queries.QueryReader, "pieces", broken)
    with pytest.raises(KeyboardInterrupt):
        store.sync()
    monkeypatch.setattr(queries.QueryReader, "pieces", whole)
    report = store.sync()
    assert report.old_position is not None
    assert report.count("known") < 1000
    assert store.rows("select count(*), count(distinct sender_id || recipient_id) from swipes") == [(1002, 1002)]


def test_rows_without_a_watermark_are_counted_and_said(store):
    store.swipe(("x", "y", 1, None), ("x", "z", 1, None))
    report = store.sync()
    assert outcomes(report)[0] == 2
    assert "2 rows without a changed_at were not read: coalesce it in the query" in report.notes


def test_a_date_in_the_far_future_does_not_hide_the_rows_after_it(store):
    store.swipe(("bogus", "b", 1, "2999-01-01 00:00:00"))
    report = store.sync()
    assert outcomes(report)[1] == 3
    assert report.new_position == f"{NOW}"
    store.swipe(("next", "b", 1, "2024-06-01 00:00:05"))
    assert outcomes(store.sync(now=NOW.replace(minute=1)))[1] == 1


def test_a_watermark_that_went_back_is_an_error_with_two_ways_out(store):
    store.sync()
    store.execute("delete from swipes where recipient_id = 'c'")
    report = store.try_sync()
    assert report.error.startswith(f"The newest changed_at of swipes is {at(0)}, far below its position, {at(30)}.")
    assert report.new_position == at(30)
    assert store.sync(keep_position=["swipes"]).new_position == at(0)
    assert outcomes(store.sync()) == (1, 0, 0, 0, 1, 0)
    assert outcomes(store.sync(from_start=["swipes"])) == (1, 0, 0, 0, 1, 0)
    assert outcomes(store.sync()) == (1, 0, 0, 0, 1, 0)


def test_an_empty_table_is_said_before_and_after_rows_came(tmp_path):
    store = SyncStore(tmp_path)
    store.swipe()
    assert outcomes(store.sync()) == (0,) * 6
    store.swipe(("a", "b", 1, at(0)))
    store.sync()
    store.execute("delete from swipes")
    report = store.sync()
    assert "the query has no rows" in report.notes
    assert report.new_position == at(0)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"query": f"{SWIPES} where liked"}, "query"),
        ({"watermark": "swiped_at"}, "watermark"),
        ({"retract": True}, "retract"),
        ({"given": ("sqlite:other.db",)}, "from"),
    ],
)
def test_another_definition_is_refused_until_someone_decides(store, changes, named):
    store.sync()
    store.changed(**changes)
    report = store.try_sync()
    assert report.error.startswith(f"The source swipes has changed since its position was written: {named}.")
    assert "--from-start swipes" in report.error
    assert "--keep-position swipes" in report.error


def test_keep_position_accepts_the_new_definition_for_good(store):
    store.sync()
    store.changed(query=f"{SWIPES} where true")
    assert outcomes(store.sync(keep_position=["swipes"])) == (1, 0, 0, 0, 1, 0)
    assert not store.try_sync().error
    store.changed(query=f"{SWIPES} where liked")
    assert outcomes(store.sync(from_start=["swipes"]))[0] == 1


def test_a_semicolon_and_blanks_are_no_other_query(store):
    store.sync()
    store.changed(query=f"  {SWIPES} ;\n")
    assert not store.try_sync().error


def test_a_plan_writes_nothing_and_counts_what_would_be_read(store):
    plan = store.sync(plan=True)
    assert (plan.n_rows, plan.old_position) == (2, None)
    assert not (store.folder / "store").exists()
    store.sync()
    before = store.store.layout.warehouse.read_bytes()
    assert store.sync(plan=True).n_rows == 1
    assert store.sync(plan=True, from_start=["swipes"]).n_rows == 2
    assert store.store.layout.warehouse.read_bytes() == before


def test_rows_that_take_back(store):
    store.sync()
    store.changed(name="gone", retract=True, query=f"{SWIPES} where recipient_id = 'c'")
    assert outcomes(store.sync()) == (1, 0, 0, 1, 0, 0)
    assert store.rows("select recipient_id from swipes") == [("b",)]


def test_a_column_deleted_takes_back(tmp_path):
    store = SyncStore(tmp_path, query=f"{SWIPES.replace('changed_at', 'changed_at, gone as deleted')}")
    store.swipe(("a", "b", 1, at(0)))
    store.execute("alter table swipes add column gone default 0")
    assert outcomes(store.sync())[1] == 1
    store.execute(f"update swipes set gone = 1, changed_at = '{at(1)}'")
    assert outcomes(store.sync()) == (1, 0, 0, 1, 0, 0)
    assert outcomes(store.sync()) == (1, 0, 0, 0, 1, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"watermark": "change_at"}, "The query has no column 'change_at', which is its watermark."),
        ({"query": "select * from nothing"}, "refuses the query"),
        ({"query": "delete from swipes"}, "refuses the query"),
        ({"given": ("sqlite:none.db",)}, "There is no file 'none.db'."),
        ({"query": SWIPES.replace("changed_at", "1.5 as changed_at")}, "is of the type double"),
        ({"lookback": 7}, "lookback is 7"),
    ],
)
def test_what_cannot_be_read_is_an_error_and_writes_no_position(store, changes, message):
    store.changed(**changes)
    report = store.try_sync()
    assert message in report.error
    assert report.new_position is None
    assert store.rows("select count(*) from swipes") == [(0,)]
    con = sqlite3.connect(store.database)
    assert con.execute("select count(*) from swipes").fetchall() == [(2,)]
    con.close()


def test_a_variable_that_is_not_set_is_named(store, monkeypatch):
    store.changed(given=("${FEATURES_SOURCE_X}",))
    assert "The variable FEATURES_SOURCE_X of the source swipes is not set." in store.try_sync().error
    monkeypatch.setenv("FEATURES_SOURCE_X", f"sqlite:{store.database}")
    assert outcomes(store.sync())[1] == 2


def test_one_source_that_fails_keeps_none_of_the_others(store):
    other = SyncStore(store.folder, name="other", given=("sqlite:none.db",)).source
    reports = sync(store.store, [other, store.source], now=NOW)
    assert [bool(report.error) for report in reports] == [True, False]
    assert store.rows("select count(*) from swipes") == [(2,)]


def test_a_second_sync_waits_for_the_lock(store):
    store.sync()
    slow = SyncStore(store.folder)
    object.__setattr__(slow.store.database.settings, "lock_timeout_s", 0.05)
    with locked(store.store.layout.lock, "other", 0), pytest.raises(LockedError):
        slow.sync()


def test_the_position_is_a_relation_and_a_refused_row_does_not_hold_it_back(store):
    store.swipe(("bad", None, "perhaps", at(40)))
    assert outcomes(store.sync())[5] == 1
    assert store.rows("select source, part from source_positions") == [("swipes", "")]
    assert outcomes(store.sync())[0] == 2
