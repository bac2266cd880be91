"""`features demo`: refused stores, findings that report deviations, and one complete run."""

from __future__ import annotations

import dataclasses
import json
import shutil

import pytest

from photogenic import FeatureStore
from photogenic.app.demo import planted_vs_found
from photogenic.app.demo.demo import run_demo
from photogenic.synthetic.swipes.world import World, make_world
from photogenic.warehouse import InputError
from tests.app.demo import small_demo


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    return make_world(tmp_path_factory.mktemp("world"), users=60, swipes=12_000, seed=2, picture_size=64)


@pytest.fixture(scope="module")
def store(world, tmp_path_factory):
    """A store with labels only, which the quick findings read."""
    with FeatureStore(tmp_path_factory.mktemp("store") / "store") as store:
        store.ingest_users(world.users)
        store.ingest_photos(world.photos, images=world.images)
        store.ingest_main_photos(world.main_photos)
        store.ingest_swipes(*world.swipes)
        store.build(only="labels")
        yield store


QUICK = (planted_vs_found.accounts, planted_vs_found.swipes, planted_vs_found.table_1)


@pytest.mark.parametrize("find", QUICK)
def test_what_was_planted_is_found(find, store, world):
    assert find(store, world).agrees is True


def test_damaged_pictures_have_the_expected_status(store, world):
    rows = {status: (found, planted) for status, found, planted in planted_vs_found.pictures(store, world).table.rows}
    assert set(rows) == {"ok", "missing", "empty", "not_an_image", "truncated"}
    assert rows["missing"][0] == rows["missing"][1] == 1


def _changed(world: World, **changes) -> World:
    return World(world.folder, dataclasses.replace(world.truth, **changes))


def test_a_kept_row_too_many_is_reported(store, world):
    first, *rest = world.truth.accounts
    more = dataclasses.replace(first, n_new=first.n_new + 1)
    assert planted_vs_found.accounts(store, _changed(world, accounts=[more, *rest])).agrees is False


def test_another_reason_for_a_reject_is_reported(store, world):
    first, *rest = world.truth.accounts
    reasons = {("no_time" if reason == "bad_time" else reason): n for reason, n in first.refused.items()}
    other = dataclasses.replace(first, refused=reasons)
    assert planted_vs_found.accounts(store, _changed(world, accounts=[other, *rest])).agrees is False


def test_a_swipe_with_another_reason_is_reported(store, world):
    audit = world.truth.audit | {"kept": world.truth.audit["kept"] + 1, "no_photo": world.truth.audit["no_photo"] - 1}
    assert planted_vs_found.swipes(store, _changed(world, audit=audit)).agrees is False


def test_a_ratio_far_from_its_chance_is_reported(store, world):
    pairs = [
        dataclasses.replace(pair, chance=pair.chance + 10 * pair.error) if number == 0 else pair
        for number, pair in enumerate(world.truth.breakdown)
    ]
    assert planted_vs_found.table_1(store, _changed(world, breakdown=pairs)).agrees is False


def test_a_store_in_use_is_refused_and_unchanged(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="in use, and not by a demo"):
        run_demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_demo_with_another_plan_is_refused(tmp_path):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "plan.json").write_text(json.dumps({"users": 300, "seed": 7}))
    with pytest.raises(InputError, match="demo of 300 users and seed 7"):
        run_demo(tmp_path, users=200)


def test_too_small_a_world_is_refused(tmp_path):
    with pytest.raises(InputError, match="--users is"):
        run_demo(tmp_path / "store", users=50)
    assert not (tmp_path / "store").exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_demo_finds_the_planted_values_and_a_second_run_changes_nothing(prepared, tmp_path):
    made = prepared("demo", small_demo.make)
    first, lines = small_demo.read(made)
    assert [finding.title for finding in first if finding.agrees is False] == []
    assert sum(finding.agrees is True for finding in first) == 4
    best = next(finding for finding in first if finding.title.startswith("Like ratio"))
    explained = [int(row[-1].rstrip("%")) for row in best.table.rows]
    assert max(explained) >= 60  # a third of the default world, where it is 90
    assert [line[:3] for line in lines if line.startswith("[")] == ["[1/", "[2/", "[3/", "[4/", "[5/"]

    store = shutil.copytree(made / "store", tmp_path / "store", copy_function=shutil.copy2)
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*.parquet")}
    again = run_demo(store, users=small_demo.USERS, print_line=lines.append)
    assert f"--store {store}" in lines[-1]
    assert [finding.table.rows for finding in again] == [finding.table.rows for finding in first]
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*.parquet")} == before
