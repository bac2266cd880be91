"""A store, its backup, and the restored store."""

import hashlib
import os
import shutil
import stat
import threading
from dataclasses import replace

import polars as pl
import pytest

from photogenic import FeatureStore
from photogenic.maintenance.backup.repository import Archive
from photogenic.maintenance.backup.restore import staging_of
from photogenic.warehouse import LockedError, Store, StoreError
from photogenic.warehouse.labels.build import build_labels
from photogenic.warehouse.storage.lock import locked
from tests.features.toy import SETTINGS, put_photos
from tests.maintenance.kept import IDS, PHOTO, answers, faults, files, picture
from tests.scanner import found

pytestmark = pytest.mark.slow


def test_the_restored_store_equals_the_original(store, other, tmp_path):
    made = store.backup(tmp_path / "kept")
    assert made.left_out == []
    assert made.n_files == made.n_copied == made.n_removed + made.n_files
    restored = other.restore(tmp_path / "kept")
    assert (restored.n_files, restored.n_bytes) == (made.n_files, made.n_bytes)
    assert answers(other) == answers(store)
    assert faults(other) == faults(store) == []
    assert other.database.is_published()
    # A cache, unfinished work and its state are left out; all other files are equal.
    left_out = ("thumbnails", "lock", "run-2", "tmp", "snapshot.json", "warehouse.duckdb")
    assert files(other.layout.root, *left_out) == files(store.layout.root, *left_out)
    assert other.layout.warehouse.read_bytes() == store.layout.snapshot.read_bytes()
    assert not staging_of(other.layout.root).exists()
    with other.database.write("test"):
        pass
    build_labels(Store(other.database))


def test_the_restored_store_contains_no_path_of_the_original(store, other, tmp_path):
    store.backup(tmp_path / "kept")
    other.restore(tmp_path / "kept")
    places = {"store": [str(store.layout.root).encode()], "above": [str(tmp_path).encode()]}
    assert not any(found(other.layout.root, places).values())
    assert not [path for path in other.layout.root.rglob("*") if path.is_symlink()]


def test_a_second_backup_copies_new_files_and_removes_unneeded_ones(store, tmp_path):
    first = store.backup(tmp_path / "kept")
    again = store.backup(tmp_path / "kept")
    assert (again.n_copied, again.bytes_copied, again.n_removed) == (0, 0, 0)
    with store.database.write("test") as con:
        con.execute(
            "insert into facts.users (user_id, gender, followers, created_at, ingested_at)"
            " values ('new', null, null, null, timestamp '2024-05-01')"
        )
    third = store.backup(tmp_path / "kept")
    assert (third.n_files, third.n_copied, third.n_removed) == (first.n_files, 1, 1), "the snapshot alone"


def test_backups_share_nothing_with_the_store(store, tmp_path):
    store.backup(tmp_path / "kept")
    ours = {path.stat().st_ino for path in store.layout.root.rglob("*") if path.is_file()}
    assert not ours & {path.stat().st_ino for path in (tmp_path / "kept").rglob("*") if path.is_file()}
    assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) == 0o700


def test_a_damaged_backup_is_reported_and_nothing_is_restored(store, other, tmp_path):
    store.backup(tmp_path / "kept")
    archive, healed = Archive(tmp_path / "kept"), {}
    for ending in ("snapshot.duckdb", "run-1/weights.safetensors", ".jpg", ".parquet"):
        one = next(one for one in archive.read().files if one.path.endswith(ending))
        target = archive.path(one.sha256)
        data = target.read_bytes()
        flipped = bytearray(data)
        flipped[len(data) // 2] ^= 1
        for harmed in (flipped, data[:-1], data + b"\0", None):
            target.unlink()
            if harmed is not None:
                target.write_bytes(harmed)
            with pytest.raises(StoreError, match="The backup is damaged") as error:
                other.restore(tmp_path / "kept")
            assert one.path in str(error.value)
            assert one.sha256 in str(error.value)
            assert not other.layout.root.exists()
            shutil.rmtree(staging_of(other.layout.root), ignore_errors=True)  # the copied files are undamaged
            target.write_bytes(data)
        healed[target] = flipped
    for target, flipped in healed.items():
        target.write_bytes(flipped)
    # The store still has these files: a thorough backup repairs damage that a comparison of sizes does not find.
    assert store.backup(tmp_path / "kept").n_copied == 1, "the snapshot, which is always read"
    assert store.backup(tmp_path / "kept", thorough=True).n_copied == 3
    other.restore(tmp_path / "kept")
    assert answers(other) == answers(store)


def test_damaged_files_of_the_store_are_left_out_and_reported(store, other, tmp_path):
    store.backup(tmp_path / "before")
    snapshot = store.layout.snapshot.read_bytes()
    store.layout.photo(hashlib.sha256(picture(PHOTO)).hexdigest()).write_bytes(b"not that")
    store.layout.photo(hashlib.sha256(picture(IDS[0])).hexdigest()).unlink()
    (store.layout.models / "run-1" / "weights.safetensors").write_bytes(b"WEIGHTS")
    [part] = store.layout.embeddings("toy").glob("*.parquet")
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    shutil.rmtree(next(path for path in store.layout.index("toy").glob("*/")))
    made = store.backup(tmp_path / "kept")
    assert sorted(one.split(":")[0].rpartition(".")[2].rpartition("/")[2] for one in made.left_out) == [
        "jpg",
        "jpg",
        "safetensors",
        "toy",
        "toy",
    ]
    assert other.restore(tmp_path / "kept").left_out == made.left_out
    assert len(other.sql("from photo_labels")) == len(IDS)
    # An earlier backup keeps the files that the store has lost.
    again = store.backup(tmp_path / "before")
    assert [one for one in again.left_out if "photos/" in one] == []
    store.layout.snapshot.write_bytes(snapshot[:4096] + b"\1" * 100 + snapshot[4196:])
    with pytest.raises(StoreError, match="damaged"):
        store.backup(tmp_path / "before")
    assert Archive(tmp_path / "before").read().left_out == tuple(again.left_out)


@pytest.mark.parametrize("harm", [lambda text: text[:-9], lambda text: text.replace("photos/", "photoz/", 1)])
def test_a_damaged_manifest_is_reported(store, other, tmp_path, harm):
    store.backup(tmp_path / "kept")
    manifest = tmp_path / "kept" / "manifest.json"
    manifest.write_text(harm(manifest.read_text()))
    with pytest.raises(StoreError, match=r"manifest\.json is damaged"):
        other.restore(tmp_path / "kept")
    manifest.unlink()
    with pytest.raises(StoreError, match="no complete backup"):
        other.restore(tmp_path / "kept")
    assert not other.layout.root.exists()
    assert store.backup(tmp_path / "kept").n_copied == 0, "undamaged files are used"


def test_a_backup_from_a_newer_version_is_refused(store, other, tmp_path):
    store.backup(tmp_path / "kept")
    archive = Archive(tmp_path / "kept")
    archive.publish(replace(archive.read(), schema=99))
    with pytest.raises(StoreError, match="schema version 99"):
        other.restore(tmp_path / "kept")


def test_a_path_that_leads_out_of_the_store_is_refused(store, other, tmp_path):
    store.backup(tmp_path / "kept")
    archive = Archive(tmp_path / "kept")
    held = archive.read()
    outside = replace(held.files[0], path="../../outside")
    archive.publish(replace(held, files=(outside, *held.files[1:])))
    with pytest.raises(StoreError, match="not a path inside the store"):
        other.restore(tmp_path / "kept")
    assert not list(tmp_path.rglob("outside"))


def test_an_existing_store_is_kept_without_replace(store, other, tmp_path):
    store.backup(tmp_path / "kept")
    put_photos(other.database, pl.DataFrame({"photo_id": ["x"], "gender": ["male"], "n_likes": [1], "n_swipes": [2]}))
    with pytest.raises(StoreError, match="holds a store already"):
        other.restore(tmp_path / "kept")
    assert other.sql("select user_id from users").rows() == [("u-x",)]
    other.restore(tmp_path / "kept", replace=True)
    assert answers(other) == answers(store)
    strange = tmp_path / "pictures"
    strange.mkdir()
    (strange / "mine.txt").write_text("mine")
    for anyway in (False, True):
        with pytest.raises(StoreError, match="something that is not a store"):
            FeatureStore(strange, settings=SETTINGS).restore(tmp_path / "kept", replace=anyway)
    with pytest.raises(StoreError, match="not a backup"):
        store.backup(strange)
    assert (strange / "mine.txt").read_text() == "mine"


def test_folders_inside_each_other_are_refused(store, tmp_path):
    for folder in (store.layout.root, store.layout.root / "kept", tmp_path):
        with pytest.raises(StoreError, match=r"inside each other|not a backup"):
            store.backup(folder)


def test_restore_waits_for_a_writer_before_it_replaces_the_store(store, tmp_path):
    store.backup(tmp_path / "kept")
    before = answers(store)
    with locked(store.layout.lock, "features build", 0), pytest.raises(LockedError):
        FeatureStore(store.layout.root, settings=SETTINGS).restore(tmp_path / "kept", replace=True)
    assert answers(store) == before


def test_a_writer_that_waits_for_a_replaced_store_locks_the_new_one(tmp_path):
    path, other = tmp_path / "a" / "lock", tmp_path / "b"
    got = threading.Event()

    def wait():
        with locked(path, "second", 20):
            got.set()
            assert os.path.samestat(path.stat(), path.stat())
            with pytest.raises(LockedError), locked(path, "third", 0):
                pass

    with locked(path, "first", 0):
        second = threading.Thread(target=wait)
        second.start()
        other.mkdir()
        path.parent.rename(tmp_path / "former")
        other.rename(tmp_path / "a")
        assert not got.wait(0.1) or path.exists()
    second.join(20)
    assert got.is_set()
    assert path.exists()


def test_into_an_empty_folder_that_may_not_be_renamed(store, other, tmp_path, monkeypatch):
    store.backup(tmp_path / "kept")
    monkeypatch.setattr("photogenic.maintenance.backup.restore.staging_of", lambda root: root / ".restore")
    other.layout.root.mkdir(parents=True)
    inode = other.layout.root.stat().st_ino
    other.restore(tmp_path / "kept")
    assert other.layout.root.stat().st_ino == inode
    assert answers(other) == answers(store)
    assert not (other.layout.root / ".restore").exists()
    with pytest.raises(StoreError, match="cannot be replaced at once"):
        other.restore(tmp_path / "kept", replace=True)


def test_the_backup_of_another_store_is_not_written_over(store, other, tmp_path):
    store.backup(tmp_path / "kept")
    before = files(tmp_path / "kept", "lock")
    put_photos(other.database, pl.DataFrame({"photo_id": ["x"], "gender": ["male"], "n_likes": [1], "n_swipes": [2]}))
    with pytest.raises(StoreError, match="backup of another store"):
        other.backup(tmp_path / "kept")
    assert set(before.items()) <= set(files(tmp_path / "kept", "lock").items())
    other.restore(tmp_path / "kept", replace=True)
    assert other.backup(tmp_path / "kept").n_removed, "the restored store; leftovers of the refused backup"
