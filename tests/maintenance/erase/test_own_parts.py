"""Erase and purge of a store with every kind of own part at once: nothing is left, and nothing is stale afterwards."""

import shutil

import pytest

from photogenic import FeatureStore
from photogenic.maintenance.doctor.checks import examine
from photogenic.maintenance.erase.purge import purge
from photogenic.models.training_sets.frozen import load
from photogenic.models.training_sets.versions import verify
from photogenic.warehouse import Store
from photogenic.warehouse.labels.build import build_labels, update_own
from tests.features.toy import SETTINGS
from tests.maintenance.own_parts import PERSON, PHOTO, RELATIONS, make_own_parts, own_answers
from tests.scanner import found

pytestmark = pytest.mark.slow


@pytest.fixture
def store(prepared, tmp_path):
    shutil.copytree(prepared("own_parts", make_own_parts) / "store", tmp_path / "store")
    return FeatureStore(tmp_path / "store", settings=SETTINGS)


def complaints(store):
    """Findings that are not ok, without those of the folder of the project, which is not there, and of rejects."""
    findings = examine(Store(store.database), thorough=True)
    return {one.check: one.found for one in findings if one.state != "ok"}.items() - BEFORE.items()


BEFORE = {
    "project": "test: /project has no project now; builds use the definitions that the store keeps",
    "rejects": "5 predictions unknown_photo",
}


def is_current(store):
    """Whether a build from nothing gives the same rows."""
    before = own_answers(store)
    inside = Store(store.database)
    again = build_labels(inside, anew=True, own_anew=True)
    assert {one.action for one in again.own.relations} == {"computed"}
    assert update_own(inside) is None
    after = own_answers(store)
    return {name: rows for name, rows in before.items() if name in RELATIONS} == {
        name: after[name] for name in RELATIONS
    }


def test_nothing_of_an_erased_person_is_left_in_any_own_part(store):
    (sha256,) = store.sql("select sha256 from photos where photo_id = $p", {"p": PHOTO}).row(0)
    near = store.sql("select count(*) from nearest where contains(told, $p)", {"p": PHOTO}).item()
    assert near > 0
    n_mine = store.sql("select count(*) from predictions where photo_id = $p", {"p": PHOTO}).item()
    assert n_mine == 2, "of the trained and of the ingested run"
    (receipt,) = store.erase(PERSON)
    assert receipt.counts["pictures/redness"] == receipt.counts["training_sets/may/v1"] == 1
    needles = {one: [one.encode()] for one in (PERSON, PHOTO, sha256)}
    assert set().union(*found(store.layout.root, needles).values()) == set()
    for name in ("received", "nearest", "reds", "more_reds", "redness"):
        assert store.sql(f"select count(*) from {name}").item() == 59, name
    assert {one.state for one in verify(Store(store.database))} == {"ok"}
    assert len(load(Store(store.database), "may").frame()) == 59
    assert store.sql("select origin, promoted from runs order by all").rows() == [
        ("ingested", False),
        ("trained", True),
    ]
    assert complaints(store) == set()
    assert is_current(store)


def test_nothing_of_a_purged_photo_is_left_in_any_own_part(store):
    (sha256,) = store.sql("select sha256 from photos where photo_id = $p", {"p": PHOTO}).row(0)
    with store.database.write("test") as con:
        con.execute(
            "insert into facts.photos by name select * replace (timestamp '2024-06-02' as ingested_at,"
            " timestamp '2024-06-01' as deleted_at) from facts.photos where photo_id = $1",
            [PHOTO],
        )
    (receipt,) = purge(Store(store.database), [PHOTO])
    assert receipt.counts["pictures/redness"] == receipt.counts["training_sets/may/v1"] == 1
    assert found(store.layout.root, {sha256: [sha256.encode()]}) == {sha256: set()}
    held = own_answers(store)
    for name in ("nearest", "reds", "more_reds", "redness", "predictions", "neighbours"):
        assert PHOTO not in repr(held[name]), name
    assert PERSON in repr(held["received"]), "the user stays"
    assert {one.state for one in verify(Store(store.database))} == {"ok"}
    assert complaints(store) == set()
    assert is_current(store)
