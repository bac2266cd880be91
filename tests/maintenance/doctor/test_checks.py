"""Each fault is found, has a remedy, and is repaired if possible; a sound store has no fault."""

from __future__ import annotations

import json

import duckdb
import pytest

from photogenic import FeatureStore
from photogenic.features.faces.detector import FaceSettings
from photogenic.warehouse.storage.lock import locked
from tests.features.gallery import Gallery, portrait

pytestmark = pytest.mark.slow

PAIR = ("efficientnet_lite0", "dlib_face")


@pytest.fixture
def store(tmp_path):
    gallery = Gallery(tmp_path / "store", {f"p{i}": portrait(i) for i in range(3)})
    opened = FeatureStore(tmp_path / "store", settings=gallery.db.settings)
    opened.build()
    return opened


def findings(store, **options):
    return {one.check: one for one in store.doctor(**options)}


def faults(store, **options):
    return {name for name, one in findings(store, **options).items() if one.state == "fault"}


def flip_a_byte(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def rewrite(store, change):
    store.database.close()  # DuckDB attaches a file for writing once in a process
    with duckdb.connect() as con:
        con.execute(f"attach '{store.layout.snapshot}' as other; {change}")


def test_a_sound_store_has_no_fault_and_fixing_it_changes_nothing(store):
    before = {path: path.stat().st_mtime_ns for path in store.layout.root.rglob("*") if path.is_file()}
    found = findings(store, thorough=True, fix=True)
    assert {one.state for one in found.values()} <= {"ok", "note"}
    assert {"open files", "disk", "memory", "gpu", "pictures", "snapshot", "photos", "labels"} <= set(found)
    assert {f"vectors {name}" for name in PAIR} | {f"index {name}" for name in PAIR} <= set(found)
    after = {path: path.stat().st_mtime_ns for path in store.layout.root.rglob("*") if path.is_file()}
    assert {p for p in after if before.get(p) != after[p]} <= {store.layout.lock}


def test_without_a_store_the_machine_is_checked(tmp_path):
    found = findings(FeatureStore(tmp_path / "none"))
    assert found["store"].state == "note"
    assert "features ingest users" in found["store"].remedy
    assert not (tmp_path / "none").exists()


def test_a_snapshot_that_cannot_be_read_is_published_again(store):
    with store.layout.snapshot.open("r+b") as file:
        file.truncate(5000)
    assert faults(store) == {"snapshot"}
    assert findings(store, fix=True)["snapshot"].state == "fixed"
    assert not faults(store)
    assert store.sql("select count(*) from photos").item() == 3


def test_a_snapshot_that_was_never_published_is(store):
    store.layout.snapshot_manifest.write_text("{}")
    assert "older than the warehouse" in findings(store)["snapshot"].found
    assert findings(store, fix=True)["snapshot"].state == "fixed"
    assert not faults(store)


REWRITES = {
    "a value": "update other.facts.photos set user_id = 'somebody else'",
    "a relation": "drop table other.gender_breakdown",
    "nothing": "create table other.more (x int); drop table other.more; checkpoint other",
}


def test_a_rewritten_snapshot_is_published_again(store):
    said = store.sql("select * from photo_labels order by all")
    for change, with_digest in ((change, flag) for change in REWRITES for flag in (True, False)):
        if not with_digest:  # written by a version without digests
            state = json.loads(store.layout.snapshot_manifest.read_text())["warehouse"]
            store.layout.snapshot_manifest.write_text(json.dumps({"warehouse": state}))
        rewrite(store, REWRITES[change])
        assert not faults(store)  # it can be read: only its digest differs
        found = findings(store, thorough=True)["snapshot"]
        assert (found.state, "doctor --thorough --fix" in found.remedy) == ("fault", True), change
        assert findings(store, thorough=True, fix=True)["snapshot"].state == "fixed"
        assert not faults(store, thorough=True)
        assert store.sql("select * from photo_labels order by all").equals(said)

    # A damaged warehouse is not restored from it either.
    rewrite(store, REWRITES["a value"])
    with store.layout.warehouse.open("r+b") as file:
        file.seek(12_288 + 1_000)
        file.write(b"damage" * 1000)
    stat = store.layout.warehouse.stat()
    facts = json.loads(store.layout.snapshot_manifest.read_text())
    facts["warehouse"] = [stat.st_ino, stat.st_size, stat.st_mtime_ns]
    store.layout.snapshot_manifest.write_text(json.dumps(facts))
    found = findings(store, thorough=True, fix=True)["snapshot"]
    assert (found.state, found.remedy) == ("fault", "features restore BACKUP --replace")


def test_a_kill_between_snapshot_and_manifest_is_not_a_fault(store):
    facts = json.loads(store.layout.snapshot_manifest.read_text())
    store.layout.snapshot_manifest.with_name(".snapshot.json.tmp").write_text(json.dumps(facts))
    store.layout.snapshot_manifest.write_text(json.dumps({"warehouse": [1, 2, 3], "sha256": "of the former one"}))
    found = findings(store, thorough=True)
    assert found["snapshot"].state == "note"
    assert findings(store, thorough=True, fix=True)["snapshot"].state == "fixed"
    assert findings(store, thorough=True)["snapshot"].state == "ok"


def test_a_damaged_warehouse_is_a_fault_that_only_a_copy_repairs(store):
    store.layout.warehouse.write_bytes(b"nothing that DuckDB wrote" * 500)
    assert findings(store)["snapshot"].state == "fault"  # builds fail, so it is not enough that queries answer
    found = findings(store, fix=True)["snapshot"]
    assert (found.state, found.remedy) == ("fault", "features restore BACKUP --replace")
    store.layout.snapshot.unlink()
    assert "snapshot" in faults(store)


def test_missing_and_changed_photos_are_counted(store):
    photos = sorted(store.layout.photos.glob("??/*.jpg"))
    flip_a_byte(photos[0])
    assert not faults(store)  # the size is equal: only its digest differs
    assert findings(store, thorough=True)["photos"].found == "0 missing, 1 damaged of 3"
    photos[1].unlink()
    found = findings(store)["photos"]
    assert (found.state, found.found) == ("fault", "1 missing, 0 damaged of 3")
    assert "features ingest photos" in found.remedy


def test_photos_that_the_warehouse_does_not_know_are_reported(store):
    stray = store.layout.photo("ab" * 32)
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"x")
    assert findings(store)["photos"].state == "note"


def test_damaged_vectors_are_reported(store):
    (part,) = store.layout.embeddings("dlib_face").glob("*.parquet")
    flip_a_byte(part)
    assert not faults(store)
    assert faults(store, thorough=True) == {"vectors dlib_face"}
    part.write_bytes(part.read_bytes()[:-10])
    assert faults(store) == {"vectors dlib_face"}
    assert findings(store, fix=True)["vectors dlib_face"].state == "fixed"
    report = store.build()
    assert report.computed.computed == {"dlib_face": 3}
    assert not faults(store, thorough=True)


def test_a_damaged_index_is_removed_and_made_again(store):
    folder = store.layout.index("dlib_face")
    kept = set(json.loads((folder / "manifest.json").read_text())["files"])
    victim = next(path for path in folder.rglob("*") if path.name in kept)
    flip_a_byte(victim)
    assert faults(store, thorough=True) == {"index dlib_face"}
    assert findings(store, thorough=True, fix=True)["index dlib_face"].state == "fixed"
    assert not folder.exists()
    store.build(only="index")
    assert findings(store, thorough=True)["index dlib_face"].state == "ok"


def test_leftovers_of_killed_runs_are_removed(store):
    (store.layout.root / ".snapshot.1.tmp").write_bytes(b"half")
    (store.layout.photos / ".incoming").mkdir()
    assert findings(store)["leftovers"].state == "note"
    assert findings(store, fix=True)["leftovers"].state == "fixed"
    assert findings(store)["leftovers"].found == "none"


def test_a_writer_is_reported_and_not_disturbed(store):
    with locked(store.layout.lock, "features build", 1):
        found = findings(store)
        assert found["writer"].state == "note"
        assert "`features build`" in found["writer"].found


def test_new_facts_make_labels_stale(store, tmp_path):
    (tmp_path / "users.csv").write_text("user_id,gender\nann,female\n")
    store.ingest_users(tmp_path / "users.csv")
    assert findings(store)["labels"].state == "note"


def test_weights_that_are_not_the_published_ones_are_a_fault(store, tmp_path, monkeypatch):
    entry = FaceSettings().weights
    (tmp_path / entry.file).write_bytes(b"not a network")
    monkeypatch.setenv("FEATURES_WEIGHTS", str(tmp_path))
    found = findings(store)[f"weights {entry.name}"]
    assert (found.state, found.remedy) == ("fault", f"rm {tmp_path / entry.file}")
