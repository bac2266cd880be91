"""Readers see the relations of another moment, and nobody else does."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import shutil
from concurrent.futures import ThreadPoolExecutor

import polars as pl
import pytest

from photogenic import FeatureStore
from photogenic.warehouse import (
    InputError,
    QueryError,
    QueryMemoryError,
    ResourceError,
    Settings,
    Store,
    StoreError,
)
from photogenic.warehouse.labels import past
from photogenic.warehouse.labels.build import build_labels
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.labels.past import Past, open_moments, relations_in
from photogenic.warehouse.moment import Moment, Moments
from tests.warehouse.small import SETTINGS, add_facts, hour
from tests.warehouse.small import store as small_store

LABELS = "select photo_id, value, weight, popular from photo_labels order by photo_id"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Swipes of hours 1 to 8 that arrived at hour 24, and one of hour 3 that arrived at hour 48."""
    db = small_store(tmp_path_factory.mktemp("past"))
    add_facts(
        db,
        users=[("a", "female"), ("b", "male"), ("s", None)],
        photos=[("pa", "a"), ("pb", "b")],
        main_photos=[("a", "pa", 0), ("b", "pb", 0)],
        swipes=[*(("s", "a", n % 2 == 0, n) for n in range(1, 9)), ("s", "b", True, 2), ("a", "b", False, 6)],
    )
    add_facts(db, swipes=[("b", "a", False, 3)], arrived=48)
    build_labels(Store(db), options=LabelOptions(min_swipes=1))
    return db.layout.root


@contextlib.contextmanager
def opened_store(root):
    with FeatureStore(root, settings=SETTINGS) as opened:
        opened.notes = []
        opened._past = Past(opened.database, opened.notes.append)
        yield opened


@pytest.fixture(scope="module")
def shared(built):
    """The store for tests that only read."""
    with opened_store(built) as opened:
        yield opened


@pytest.fixture
def store(built, tmp_path):
    """A copy of the store, with nothing open."""
    with opened_store(shutil.copytree(built, tmp_path / "store")) as opened:
        yield opened


def digest(store):
    return hashlib.sha256(store.layout.snapshot.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "moment",
    [
        {"as_of": hour(5)},
        {"known_at": hour(30)},
        {"as_of": hour(4), "known_at": hour(30)},
        {"as_of": hour(4), "known_at": hour(99)},
        {"as_of": hour(-99)},
        {"known_at": hour(1)},
    ],
)
def test_every_relation_equals_that_of_a_published_build(store, moment):
    before = digest(store)
    computed = (
        "photo_labels",
        "like_ratios",
        "swipe_audit",
        "funnel",
        "population",
        "gender_breakdown",
        "swipes",
        "clock",
    )
    seen = {name: store.sql(f"from {name} order by all", **moment) for name in computed}
    assert digest(store) == before
    build_labels(Store(store.database), options=LabelOptions(min_swipes=1), **moment)
    for name, frame in seen.items():
        assert frame.equals(store.sql(f"from {name} order by all")), name


def test_two_moments_stand_side_by_side_in_one_query(shared):
    found = shared.sql(
        "select photo_id, early.value as early, late.value as late, now.value as now from early.photo_labels as early"
        " join late.photo_labels as late using (photo_id) join photo_labels as now using (photo_id) order by 1",
        as_of={"early": hour(3), "late": hour(5)},
    )
    assert found.rows() == [("pa", 1 / 2, 2 / 5, 4 / 9), ("pb", 1.0, 1.0, 1 / 2)]
    plain = shared.sql(
        "select (select count(*) from swipes), (select count(*) from old.swipes),"
        " (select count(*) from store.main.swipes)",
        as_of={"": hour(5), "old": hour(2)},
    )
    assert plain.row(0) == (6, 1, 11)


def test_the_moment_of_facts_has_its_own_clock(shared):
    assert shared.sql("select as_of, known_at from clock", as_of=hour(5)).row(0) == (hour(5), dt.datetime(9999, 12, 31))
    assert shared.sql("select as_of from clock").item() == dt.datetime(9999, 12, 31)


@pytest.mark.parametrize(
    "instant",
    ["2024-01-01T05:00:00Z", "2024-01-01T07:00+02:00", "2024-01-01 05:00", hour(5), hour(5).replace(tzinfo=dt.UTC)],
)
def test_instants_mean_the_same_in_every_form_and_time_zone(shared, instant):
    assert shared.sql("select count(*) from swipes", as_of=instant).item() == 6


@pytest.mark.parametrize(
    "instant",
    [
        *(
            "",
            "yesterday",
            "0001-01-01",
            "10000-01-01",
            "-0044-03-15",
            "9999-12-31T00:00:01",
            "x" * 10_000,
            "2024-01-01\0",
        ),
        *(float("nan"), 10**30, b"2024-01-01", ["2024-01-01"], True, "2024-01-01'; drop table facts.clock; --"),
    ],
)
def test_hostile_instants_are_refused(shared, instant):
    for clock in ("as_of", "known_at"):
        with pytest.raises(InputError, match=clock) as caught:
            shared.sql("from swipes", **{clock: instant})
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "name", ["a b", "select", "photos", "store", "temp", "facts", 'x" as y; --', "é", "1a", "x" * 99, 7]
)
def test_hostile_names_are_refused(shared, name):
    with pytest.raises(InputError, match="A moment is called"):
        shared.sql("from swipes", as_of={name: hour(3)})


def test_moments_are_few_and_their_names_differ(shared):
    with pytest.raises(InputError, match="13 moments are too many"):
        shared.sql("from swipes", as_of={f"m{n}": hour(n) for n in range(13)})
    with pytest.raises(InputError, match="same name"):
        shared.sql("from swipes", as_of={"jan": hour(1), "JAN": hour(2)})


@pytest.mark.parametrize(
    "query",
    ["delete from swipes", "create table x as select 1", "set memory_limit = '9GB'", "attach 'x' as y", "use store"],
)
def test_a_moment_cannot_be_changed(shared, query):
    with pytest.raises(QueryError):
        shared.sql(query, as_of=hour(5))
    con, _ = open_moments(shared.database, Moments.of(hour(5)), {"swipes"})
    with con, pytest.raises(Exception, match="locked"):
        con.execute("set memory_limit = '9GB'")


def test_an_empty_answer_says_why(store):
    store.sql("from swipes", as_of=hour(0))
    store.sql(LABELS, known_at=hour(10))
    store.sql(LABELS, as_of=hour(5))
    store.sql("from users", as_of=hour(0))
    assert store.notes == [
        "No swipe had happened before 2024-01-01T00:00:00Z: the first one is of 2024-01-01T01:00:00Z.",
        "No swipe had arrived before 2024-01-01T10:00:00Z: the first arrival was 2024-01-02T00:00:00Z. "
        "History that was loaded later is seen by --as-of alone.",
    ]


def test_only_what_a_query_reads_is_computed_and_a_second_question_computes_all(store, monkeypatch):
    opened = []
    monkeypatch.setattr(
        past, "open_moments", lambda *given, **more: opened.append(given[2]) or open_moments(*given, **more)
    )
    store.sql("select count(*) from swipes", as_of=hour(5))
    assert not {"photo_labels", "like_ratios"} & opened[0]
    for query in (LABELS, "from like_ratios", "from swipes"):
        store.sql(query, as_of=hour(5))
    assert len(opened) == 2
    assert "like_ratios" in opened[1]
    assert relations_in('SELECT * FROM "Photo_Labels" -- swipes') == {"photo_labels", "swipes"}


def test_many_moments_evict_the_oldest(store):
    for n in range(9):
        assert store.sql("select count(*) from swipes where recipient_id = 'b'", as_of=hour(n)).item() == (n > 2) + (
            n > 6
        )
    assert len(store._past._open) == 4


def test_a_new_snapshot_replaces_a_cached_moment(store):
    assert store.sql("select count(*) from swipes", as_of=hour(5)).item() == 6
    add_facts(store.database, swipes=[("s", "b", True, 4.5)], arrived=60)
    assert store.sql("select count(*) from swipes", as_of=hour(5)).item() == 7
    assert len(store._past._open) == 1


def test_readers_at_once_see_each_their_moment_and_change_nothing(store):
    before, wanted = digest(store), {n: store.sql(LABELS, as_of=hour(n)).rows() for n in range(1, 7)}

    def ask(n):
        return n, store.sql(LABELS, as_of=hour(n)).rows(), store.sql(LABELS).rows()

    now = store.sql(LABELS).rows()
    with ThreadPoolExecutor(4) as pool:
        for n, then, published in pool.map(ask, [1, 2, 3, 4, 5, 6] * 3):
            assert (then, published) == (wanted[n], now)
    assert digest(store) == before


def test_options_are_those_of_the_published_labels(store):
    build_labels(Store(store.database), options=LabelOptions(min_swipes=3))
    assert store.sql(LABELS, as_of=hour(5))["photo_id"].to_list() == ["pa"]


def test_a_store_without_labels_has_those_of_a_moment(tmp_path):
    db = small_store(tmp_path)
    add_facts(db, users=[("a", None)], photos=[("pa", "a")], main_photos=[("a", "pa", 0)], swipes=[("s", "a", True, 1)])
    with FeatureStore(db.layout.root, settings=SETTINGS) as opened:
        with pytest.raises(QueryError, match="not been computed"):
            opened.sql(LABELS)
        assert opened.sql(LABELS, as_of=hour(9)).rows() == [("pa", 1.0, 1.0, False)]


def test_too_little_memory_is_an_error_of_the_query(store):
    small = FeatureStore(store.layout.root, settings=Settings("1MB", threads=1))
    with small, pytest.raises((QueryMemoryError, StoreError, ResourceError), match="memory"):
        small.sql(LABELS, as_of=hour(5))


def test_streams_and_moments_in_words(shared):
    with shared.stream("select * from swipes order by swiped_at", as_of=hour(3)) as cursor:
        assert len(list(cursor.rows())) == 3
    assert str(Moments.of({"": hour(3), "b": hour(4)}, hour(9))) == (
        "as of 2024-01-01T03:00:00Z, known at 2024-01-01T09:00:00Z; b: as of 2024-01-01T04:00:00Z"
    )
    assert not Moments()
    assert Moments.of(hour(3)).plain == Moment.of(hour(3))
    assert isinstance(shared.sql("from swipes", as_of=hour(3)), pl.DataFrame)
