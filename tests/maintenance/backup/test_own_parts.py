"""Definitions, features of pictures, training sets and promoted runs come back from a backup, and stay usable."""

import shutil

import pytest

from photogenic import FeatureStore
from photogenic.models.training_sets.versions import verify
from photogenic.warehouse import Store
from photogenic.warehouse.labels.build import build_labels, stale_own
from tests.features.toy import SETTINGS
from tests.maintenance.kept import faults
from tests.maintenance.own_parts import PERSON, PHOTO, make_own_parts, own_answers
from tests.scanner import found

pytestmark = pytest.mark.slow


@pytest.fixture
def store(prepared, tmp_path):
    shutil.copytree(prepared("own_parts", make_own_parts) / "store", tmp_path / "store")
    return FeatureStore(tmp_path / "store", settings=SETTINGS)


@pytest.fixture
def restored(store, tmp_path):
    assert store.backup(tmp_path / "kept").left_out == []
    other = FeatureStore(tmp_path / "elsewhere" / "store", settings=SETTINGS)
    other.restore(tmp_path / "kept")
    return other


def test_every_own_part_comes_back_and_is_kept_by_the_next_build(store, restored):
    assert own_answers(restored) == own_answers(store)
    definitions = "select * from facts.own_relations order by relation"
    assert restored.database.rows(definitions) == store.database.rows(definitions)
    audits = "select * from facts.own_audits order by audit"
    assert restored.database.rows(audits) == store.database.rows(audits) != []
    inside = Store(restored.database)
    assert {one.state for one in verify(inside)} == {"ok"}
    assert faults(restored) == []
    assert stale_own(inside) == ()
    assert {one.action for one in build_labels(inside).own.relations} == {"kept"}
    trained = restored.sql("select run_id from runs where promoted").item()
    assert restored.demote_run("like_ratio") == trained


def test_who_was_erased_after_the_backup_is_in_no_own_part_of_the_restored_store(store, tmp_path):
    store.backup(tmp_path / "kept")
    store.erase(PERSON)
    store.restore(tmp_path / "kept", replace=True)
    needles = {one: [one.encode()] for one in (PERSON, PHOTO)}
    assert set().union(*found(store.layout.root, needles).values()) == set()
    assert stale_own(Store(store.database)) == ()
    assert store.sql("select count(*) from nearest").item() == 59
    assert {one.state for one in verify(Store(store.database))} == {"ok"}
