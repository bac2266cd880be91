"""A plan reports what the build then does, and changes nothing."""

import datetime as dt

import pytest

from photogenic import sql
from photogenic.warehouse import AuditError, Store, StoreError
from photogenic.warehouse.labels.build import build_labels
from photogenic.warehouse.labels.options import LabelOptions
from photogenic.warehouse.labels.plan import LabelPlan, plan_labels
from tests.warehouse.small import add_facts, everything, hour, store


@pytest.fixture
def db(tmp_path):
    db = store(tmp_path)
    add_facts(
        db,
        users=[("ann", "female"), ("bob", "male"), ("cat", "male")],
        photos=[("pa", "ann"), ("pb", "bob"), ("pc", "cat")],
        main_photos=[("ann", "pa", 1), ("bob", "pb", 1), ("cat", "pc", 1)],
        swipes=[
            *[("bob", "ann", True, 2 + n) for n in range(10)],
            *[("ann", "bob", n < 3, 2 + n) for n in range(10)],
            *[("ann", "cat", n < 1, 2 + n) for n in range(10)],
        ],
    )
    return db


def figures(plan: LabelPlan):
    return (
        plan.n_new_swipes,
        plan.n_moved_swipes,
        plan.n_new_labels,
        plan.n_lost_labels,
        plan.n_changed_labels,
        plan.n_flipped_labels,
    )


def came_true(db, plan, **given):
    """Whether the build does what the plan reports for each relation, with the same result."""
    built = build_labels(Store(db), **given)
    expected = [(b.name, b.action, b.n_rows, b.checksum) for b in plan.relations]
    assert [(b.name, b.action, b.n_rows, b.checksum) for b in built.relations] == expected


def test_first_build_is_all_new(db):
    plan = plan_labels(Store(db))
    assert figures(plan) == (30, 0, 3, 0, 0, 0)
    assert {b.action for b in plan.relations} == {"computed"}
    came_true(db, plan)


def test_nothing_new_changes_nothing(db):
    build_labels(Store(db))
    plan = plan_labels(Store(db))
    assert not plan.changes
    assert str(plan) == "Nothing would change: labels are up to date."


def test_a_late_event_moves_swipes_to_another_photo(db):
    build_labels(Store(db))
    add_facts(db, main_photos=[("bob", "pb2", 5)], swipes=[("ann", "bob", True, 1.5)], arrived=30)
    plan = plan_labels(Store(db))
    # Three of ten swipes on Bob were before hour 5: they become stale, the others move to the new photo.
    assert figures(plan) == (1, 10, 1, 1, 0, 0)
    assert str(plan).startswith("1 new swipe; 10 swipes would move, 0 labels change, 1 appear, 1 vanish")
    came_true(db, plan)


def test_more_swipes_change_a_label_and_sides(db):
    build_labels(Store(db))
    add_facts(db, swipes=[("ann", "cat", True, 20 + n / 100) for n in range(90)], arrived=30)
    plan = plan_labels(Store(db))
    assert figures(plan) == (90, 0, 0, 0, 1, 0)
    came_true(db, plan)


def test_a_photo_claimed_by_another_moves_swipes_though_time_is_cut_as_before(db):
    build_labels(Store(db))
    add_facts(db, photos=[("pc", "ann")], arrived=30)
    plan = plan_labels(Store(db))
    assert figures(plan)[:4] == (0, 10, 0, 1)
    came_true(db, plan)


def test_options_and_clock_are_planned_too(db):
    build_labels(Store(db))
    came_true(db, plan_labels(Store(db), options=LabelOptions(min_swipes=11)), options=LabelOptions(min_swipes=11))
    plan = plan_labels(Store(db), known_at=hour(3))
    assert figures(plan) == (-30, 0, 0, 0, 0, 0)
    came_true(db, plan, known_at=hour(3))
    came_true(db, plan_labels(Store(db)), as_of=None)


def test_nothing_is_written_and_no_lock_is_needed(db):
    build_labels(Store(db))
    add_facts(db, swipes=[("ann", "cat", True, 20)], arrived=30)
    before = everything(db, (*sql.RELATIONS, "clock", "checksums", "builds"))
    files = {path: path.stat().st_mtime_ns for path in db.layout.root.iterdir()}
    with db.lock("another writer"):
        plan_labels(Store(store(db.layout.root.parent)), as_of=dt.datetime(2024, 1, 5))
    assert everything(db, (*sql.RELATIONS, "clock", "checksums", "builds")) == before
    assert {p: t for p, t in files.items() if p.name != "lock"} == {
        path: path.stat().st_mtime_ns for path in db.layout.root.iterdir() if path.name != "lock"
    }


def test_a_build_that_would_fail_fails_in_the_plan(db, monkeypatch):
    monkeypatch.setattr(
        sql, "read", lambda name, read=sql.read: read(name).replace("popular is not null", "popular is null")
    )
    with pytest.raises(AuditError, match="labels_are_numbers"):
        plan_labels(Store(db))


def test_without_a_store_there_is_no_plan(tmp_path):
    with pytest.raises(StoreError, match="features ingest"):
        plan_labels(Store(store(tmp_path)))
