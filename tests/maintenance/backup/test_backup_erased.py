"""People who were erased after a backup are not restored from it."""

import datetime as dt
import hashlib
import stat

import polars as pl
import pytest

from photogenic import FeatureStore
from photogenic.maintenance.erase.erase import erase
from photogenic.warehouse import Store, StoreError
from photogenic.warehouse.erasure.tombstones import Tombstones
from photogenic.warehouse.labels.build import build_labels
from tests.features.toy import SETTINGS, put_photos
from tests.maintenance.kept import PERSON, PHOTO, answers, faults, files, picture
from tests.scanner import found

pytestmark = pytest.mark.slow


def test_erased_people_leave_the_backup_with_the_next_one(store, tmp_path):
    store.backup(tmp_path / "kept")
    sha256 = hashlib.sha256(picture(PHOTO)).hexdigest()
    needles = {"person": [PERSON.encode()], "photo": [PHOTO.encode()], "bytes": [picture(PHOTO), sha256.encode()]}
    assert all(found(tmp_path / "kept", needles).values())
    store.erase([PERSON])
    store.backup(tmp_path / "kept")
    assert not any(found(tmp_path / "kept", needles).values())


def test_a_restore_erases_people_who_were_erased_since_the_backup(store, tmp_path):
    store.backup(tmp_path / "kept")
    store.erase([PERSON])
    erased, receipts = answers(store), sorted((store.layout.erased / "receipts").iterdir())
    salt = (store.layout.erased / "salt").read_text()
    report = store.restore(tmp_path / "kept", replace=True)
    assert sum(len(receipt.people) for receipt in report.erased) == 1
    ours, theirs = answers(store), erased
    assert ours[0].keys() == theirs[0].keys()
    assert {name for name in ours[0] if ours[0][name] != theirs[0][name]} <= {
        "builds",
        "checksums",
        "commands",
        "embeddings",
    }
    assert ours[1:] == theirs[1:]
    needles = {"person": [PERSON.encode()], "photo": [PHOTO.encode()], "bytes": [picture(PHOTO)]}
    assert not any(found(store.layout.root, needles).values())
    assert (store.layout.erased / "salt").read_text() == salt
    assert stat.S_IMODE((store.layout.erased / "salt").stat().st_mode) == 0o600
    assert {path.name for path in receipts} < {path.name for path in (store.layout.erased / "receipts").iterdir()}
    assert Tombstones(store.layout).contains("user", PERSON)
    assert faults(store) == []


def test_tombstones_of_another_store_are_merged_with_any_salt(store, other, tmp_path):
    store.erase(["u-photo-003"])
    store.backup(tmp_path / "kept")
    other.restore(tmp_path / "kept")
    third = FeatureStore(tmp_path / "third", settings=SETTINGS)
    put_photos(third.database, pl.DataFrame({"photo_id": [PHOTO], "gender": ["male"], "n_likes": [1], "n_swipes": [9]}))
    third.erase([PERSON])
    fourth = FeatureStore(tmp_path / "fourth", settings=SETTINGS)
    report = fourth.restore(tmp_path / "kept", tombstones=tmp_path / "third")
    assert [len(receipt.people) for receipt in report.erased] == [1]
    tombstones = Tombstones(fourth.layout)
    assert [tombstones.contains("user", one) for one in (PERSON, "u-photo-003", "u-photo-001")] == [True, True, False]
    assert not any(found(fourth.layout.root, {"person": [PERSON.encode()]}).values())
    users = tmp_path / "users.csv"
    users.write_text(f"user_id\n{PERSON}\nu-photo-003\nnobody\n")
    fourth.ingest_users(users)
    assert fourth.sql("select count(*) from rejects where reason = 'erased'").item() == 2
    # The same through a backup of the restored store.
    fourth.backup(tmp_path / "kept-4")
    fifth = FeatureStore(tmp_path / "fifth", settings=SETTINGS)
    fifth.restore(tmp_path / "kept-4")
    assert Tombstones(fifth.layout).contains("user", PERSON)
    with pytest.raises(StoreError, match="no tombstones"):
        FeatureStore(tmp_path / "sixth", settings=SETTINGS).restore(tmp_path / "kept", tombstones=tmp_path)


def test_an_erase_during_a_backup_keeps_the_earlier_backup(store, tmp_path, monkeypatch):
    store.backup(tmp_path / "kept")
    before = files(tmp_path / "kept", "lock")
    with store.database.write("test") as con:
        con.execute(
            "insert into facts.users (user_id, gender, followers, created_at, ingested_at)"
            " values ('new', null, null, null, timestamp '2024-05-01')"
        )
    erased = []

    def immutable_files(layout):
        if not erased:
            erased.append(erase(Store(store.database), [PERSON]))
        return iter(())

    monkeypatch.setattr("photogenic.maintenance.backup.backup.immutable_files", immutable_files)
    with pytest.raises(StoreError, match="People were erased"):
        store.backup(tmp_path / "kept")
    assert files(tmp_path / "kept", "lock") == before
    monkeypatch.undo()
    store.backup(tmp_path / "kept")
    assert not any(found(tmp_path / "kept", {"person": [PERSON.encode()]}).values())


def test_photos_that_were_purged_since_the_backup_are_purged_again(store, other, tmp_path):
    """Photo 3 was purged before the backup, photo 7 was deleted before and purged after it, photo 9 both after it."""

    def deleted(photo_id):
        path = tmp_path / f"{photo_id}.csv"
        path.write_text(f"photo_id\n{photo_id}\n")
        return path

    again_given = tmp_path / "again.csv"
    again_given.write_text("photo_id,user_id\nphoto-009,u-photo-009\n")
    store.purge(deleted("photo-003"))
    store.retract("photos", deleted("photo-007"))
    build_labels(Store(store.database))
    store.backup(tmp_path / "kept")
    _, (receipt,) = store.purge(deleted("photo-007"), deleted("photo-009"))
    purged_at = dt.datetime.fromisoformat(receipt.erased_at).replace(tzinfo=None)
    purged = store.sql("from deleted_photos order by photo_id")
    assert purged["photo_id"].to_list() == ["photo-003", "photo-007", "photo-009"]
    gone = ["photo-007", "photo-009"]
    needles = {name: [picture(name), hashlib.sha256(picture(name)).hexdigest().encode()] for name in gone}
    other.restore(tmp_path / "kept")
    assert all(found(other.layout.root, needles).values()), "the other store has no tombstones of the purge"
    for made, report in (
        (store, store.restore(tmp_path / "kept", replace=True)),
        (other, other.restore(tmp_path / "kept", replace=True, tombstones=store.layout.root)),
    ):
        assert [(len(receipt.people), len(receipt.photos)) for receipt in report.erased] == [(0, 2)]
        assert not any(found(made.layout.root, needles).values())
        again = made.sql("from deleted_photos order by photo_id")
        assert again["photo_id"].to_list() == purged["photo_id"].to_list()
        assert again["deleted_at"].to_list() == [*purged["deleted_at"].to_list()[:2], purged_at]
        assert {*gone} & {*made.embeddings("toy")[0]} == set()
        checksums = "select relation, checksum from checksums order by all"
        built = made.sql(checksums)
        build_labels(Store(made.database), anew=True)
        assert made.sql(checksums).equals(built)
        made.ingest_photos(again_given)
        assert made.sql("select count(*) from rejects where reason = 'erased'").item() == 1
        assert faults(made) == []
