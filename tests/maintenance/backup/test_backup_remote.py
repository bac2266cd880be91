"""Backups in an object store: equal to those in a folder, resumable, and whole or not there."""

import json
import threading
from dataclasses import replace

import pytest

from photogenic.maintenance.backup import remote_repository
from photogenic.maintenance.backup.backup import backup
from photogenic.maintenance.backup.remote_repository import RemoteArchive
from photogenic.warehouse import Database, InputError, LockedError, NetworkError, Store, StoreError
from tests.features.toy import SETTINGS
from tests.maintenance.kept import answers, faults, files
from tests.s3_server import Proxy

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """The snapshot of the small store is some parts, as a large one is of parts of 64 MB."""
    monkeypatch.setattr(remote_repository, "_PART", 1 << 20)


def test_the_restored_store_equals_the_original(bucket, store, other):
    made = store.backup(bucket.address + "/kept")
    assert (made.left_out, made.folder, made.n_files) == ([], bucket.address + "/kept", made.n_copied)
    keys = bucket.keys()
    assert any(key.endswith(".parts") for key in keys), "the snapshot is in parts"
    assert not [key for key in keys if "writing" in key]
    restored = other.restore(bucket.address + "/kept")
    assert (restored.n_files, restored.n_bytes) == (made.n_files, made.n_bytes)
    assert answers(other) == answers(store)
    assert faults(other) == faults(store) == []
    left_out = ("thumbnails", "lock", "run-2", "tmp", "snapshot.json", "warehouse.duckdb")
    assert files(other.layout.root, *left_out) == files(store.layout.root, *left_out)


def test_a_second_backup_uploads_what_is_new_and_removes_the_rest(bucket, store, monkeypatch):
    first = store.backup(bucket.address)
    before = set(bucket.keys(""))
    again = store.backup(bucket.address)
    assert (again.n_copied, again.n_removed) == (0, 0)
    assert set(bucket.keys("")) == before
    with store.database.write("test") as con:
        con.execute("insert into facts.users (user_id, ingested_at) values ('new', timestamp '2024-05-01')")
    third = store.backup(bucket.address)
    assert (third.n_files, third.n_copied) == (first.n_files, 1), "the snapshot alone"
    kept = set(bucket.keys("")) & before
    assert len(kept) >= len(before) - 1 - sum(key.endswith(".parts") for key in before) * 20
    assert third.n_removed == len(before - set(bucket.keys("")))


def test_a_connection_that_breaks_leaves_the_earlier_backup_and_the_next_call_goes_on(
    bucket, store, other, monkeypatch
):
    store.backup(bucket.address + "/kept")
    earlier = bucket.get("kept/manifest.json")
    with store.database.write("test") as con:
        con.execute("insert into facts.users (user_id, ingested_at) values ('new', timestamp '2024-05-01')")
    endpoint = f"http://127.0.0.1:{bucket.port}"
    with Proxy(bucket.port, only=b"/kept/files/", after=2, cut_request_after=300) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        with pytest.raises(NetworkError, match=r"kept/files/.* cannot be written"):
            store.backup(bucket.address + "/kept")
    assert bucket.get("kept/manifest.json") == earlier
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    other.restore(bucket.address + "/kept")
    with Proxy(bucket.port, only=b"PUT /") as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        made = store.backup(bucket.address + "/kept")
    uploads = [line for line in proxy.lines if line.startswith("PUT") and "/files/" in line]
    assert made.n_copied == 1
    assert bucket.get("kept/manifest.json") != earlier
    assert len(uploads) < 2 + len([key for key in bucket.keys("") if "/files/" in key])


def test_a_restore_that_breaks_changes_nothing_and_the_next_call_goes_on(bucket, store, other, monkeypatch):
    store.backup(bucket.address)
    with Proxy(bucket.port, only=b"GET /" + bucket.name.encode() + b"/files/", after=10, cut_after=200) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        with pytest.raises(NetworkError, match="cannot be read"):
            other.restore(bucket.address)
    assert not other.layout.root.exists()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{bucket.port}")
    assert other.restore(bucket.address).n_adopted > 0
    assert answers(other) == answers(store)


def harm_bytes(bucket, key):
    data = bucket.get(key)
    bucket.put(key, data[:-1] + bytes([data[-1] ^ 1]))


HARMS = {
    "other bytes": (harm_bytes, "has SHA-256"),
    "fewer bytes": (lambda bucket, key: bucket.put(key, bucket.get(key)[:-1]), "bytes, and had|not whole"),
    "removed": (lambda bucket, key: bucket.delete(key), "is not there"),
}


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("of_parts", [False, True])
def test_a_damaged_backup_is_reported_and_healed(bucket, store, other, harm, of_parts):
    store.backup(bucket.address)
    listed = json.loads(bucket.get("manifest.json"))["backup"]["files"]
    whole = {one["sha256"] for one in listed}
    key = next(key for key in bucket.keys("files/") if (key[-64:] not in whole) == of_parts and key[-6:] != ".parts")
    HARMS[harm][0](bucket, key)
    with pytest.raises(StoreError, match=HARMS[harm][1]):
        other.restore(bucket.address)
    assert not other.layout.root.exists()
    assert store.backup(bucket.address, thorough=True).n_copied >= 1
    other.restore(bucket.address)
    assert answers(other) == answers(store)


@pytest.mark.parametrize("text", ["[]", "{}", '{"backup": {"format": 1}, "sha256": "x"}', "\0", "[" * 10_000])
def test_a_hostile_manifest_is_refused(bucket, store, other, text):
    store.backup(bucket.address)
    bucket.put("manifest.json", text)
    with pytest.raises(StoreError, match=r"manifest\.json is damaged"):
        other.restore(bucket.address)
    assert not other.layout.root.exists()


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "snapshot.duckdb/../../x", ".hidden"])
def test_a_manifest_that_leads_out_of_the_store_is_refused(bucket, store, other, path):
    store.backup(bucket.address)
    archive = RemoteArchive(bucket.address)
    content = json.loads(bucket.get("manifest.json"))["backup"]
    content["files"][0]["path"] = path
    from photogenic.maintenance.backup.repository import _digest

    bucket.put("manifest.json", json.dumps({"sha256": _digest(content), "backup": content}))
    with pytest.raises(StoreError):
        archive.read()
    with pytest.raises(StoreError):
        other.restore(bucket.address)
    assert not other.layout.root.exists()


@pytest.mark.parametrize(
    "parts", ["[]", '{"parts": [["../x", 1]]}', '{"parts": [["' + "a" * 64 + '", 5]]}', '{"parts": 1}']
)
def test_a_hostile_list_of_parts_is_refused(bucket, store, other, parts):
    store.backup(bucket.address)
    bucket.put(next(key for key in bucket.keys("") if key.endswith(".parts")), parts)
    with pytest.raises(StoreError, match="The backup is damaged"):
        other.restore(bucket.address)


def test_two_backups_at_once(bucket, store, tmp_path):
    first = RemoteArchive(bucket.address)
    with first.writing(5):
        with (
            pytest.raises(LockedError, match="Another backup is being written"),
            RemoteArchive(bucket.address).writing(0),
        ):
            pass
        assert len(bucket.keys("writing/")) == 1
    assert bucket.keys("writing/") == []
    done = []
    patient = Store(Database(store.layout, replace(SETTINGS, lock_timeout_s=60)))
    threads = [threading.Thread(target=lambda: done.append(backup(patient, bucket.address))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 2
    assert min(made.n_copied for made in done) == 0


def test_a_killed_backup_holds_the_place_for_a_while_only(bucket, store, monkeypatch):
    bucket.put("writing/killed", b"backup")
    monkeypatch.setattr(remote_repository, "_STALE", remote_repository.dt.timedelta(seconds=-1))
    store.backup(bucket.address)
    assert bucket.keys("writing/") == []


def test_a_backup_whose_turn_was_taken_does_not_publish(bucket, store, monkeypatch):
    publish = RemoteArchive.publish

    def taken(archive, manifest):
        bucket.delete(bucket.keys("writing/")[0])
        return publish(archive, manifest)

    monkeypatch.setattr(RemoteArchive, "publish", taken)
    with pytest.raises(StoreError, match="took the turn"):
        store.backup(bucket.address)
    assert "manifest.json" not in bucket.keys("")


def test_a_folder_with_something_else_is_left_alone(bucket, store):
    bucket.put("kept/report.pdf", b"mine")
    with pytest.raises(StoreError, match=r"something that is not a backup: report\.pdf"):
        store.backup(bucket.address + "/kept")
    assert bucket.keys() == ["kept/report.pdf"]


def test_no_backup_and_no_bucket(bucket, store, other):
    with pytest.raises(StoreError, match=f"There is no complete backup in {bucket.address}/none"):
        other.restore(bucket.address + "/none")
    with pytest.raises(InputError, match="the bucket does not exist"):
        store.backup("s3://no-such-bucket/kept")


def test_an_erase_leaves_the_backup_with_the_next_one(bucket, store, monkeypatch):
    from photogenic.maintenance.erase.erase import erase
    from tests.maintenance.kept import PERSON, PHOTO, picture

    store.backup(bucket.address)
    assert any(bucket.get(key) == picture(PHOTO) for key in bucket.keys("files/"))
    erase(Store(store.database), [PERSON])
    store.backup(bucket.address)
    assert not any(picture(PHOTO) in bucket.get(key) or PERSON.encode() in bucket.get(key) for key in bucket.keys(""))


def test_the_store_itself_is_not_in_an_object_store(bucket):
    from photogenic import FeatureStore

    for address in (bucket.address + "/store", f"s3:/{bucket.name}/store", "GS://bucket/store"):
        with pytest.raises(InputError, match="The store cannot be in an object store"):
            FeatureStore(address)
