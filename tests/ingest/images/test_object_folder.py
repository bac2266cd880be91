"""Pictures of an object store: the statuses of files, no way out of the folder, and reruns after a cut connection."""

import pytest

from photogenic.ingest.images import folders, local_images
from photogenic.ingest.images.folders import ObjectFolder, Unread
from photogenic.warehouse import InputError, NetworkError
from tests.ingest.images.test_local_images import STATES, photos_csv
from tests.ingest.ingest_store import StoreWithFiles
from tests.s3_server import Proxy


@pytest.fixture
def store(tmp_path):
    return StoreWithFiles(tmp_path)


def filled(bucket, prefix="pictures"):
    for name, (content, *_) in STATES.items():
        if content is not None:
            bucket.put(f"{prefix}/{name}", content)
    return f"{bucket.address}/{prefix}"


def test_objects_have_the_statuses_of_files(store, bucket):
    address = filled(bucket)
    report = store.take_text("photos", photos_csv(STATES), images=address)
    found = store.rows("select photo_id, status, width, height from photos")
    assert {photo_id: tuple(state) for photo_id, *state in found} == {
        name: tuple(state[1:]) for name, state in STATES.items()
    }
    assert sum(report.pictures.values()) == len(STATES)
    report = store.take_text("photos", photos_csv(STATES), images=address)
    assert report.repeated
    assert "ok" not in report.pictures


def test_paths_that_lead_out_are_refused(store, bucket):
    bucket.put("secret.jpg", STATES["ok.jpg"][0])
    address = filled(bucket)
    outside = ["../secret.jpg", "/etc/passwd", "s3://other/a.jpg", "a/../../secret.jpg", ".."]
    inside = ["ok.jpg", "x/../ok.jpg", f"{address}/ok.jpg"]
    store.take_text("photos", photos_csv([*outside, *inside]), images=address)
    assert store.rejects() == [(line, "path_outside_images") for line in range(2, 2 + len(outside))]
    assert store.rows("select distinct status from photos") == [("ok",)]


def test_a_folder_that_is_not_there_is_an_error(store, bucket):
    with pytest.raises(InputError, match="There is no folder"):
        store.take_text("photos", photos_csv(["a.jpg"]), images=f"{bucket.address}/nowhere")
    with pytest.raises(InputError):
        store.take_text("photos", photos_csv(["a.jpg"]), images="s3://no-such-bucket-here/a")
    with pytest.raises(InputError, match="unknown scheme"):
        store.take_text("photos", photos_csv(["a.jpg"]), images="https://example.org/a")


def test_a_cut_connection_is_an_error_and_a_rerun_continues(store, bucket, monkeypatch):
    address = filled(bucket)
    monkeypatch.setattr(local_images, "_MOST_LOST", 2)
    monkeypatch.setattr(ObjectFolder, "n_threads", 1)
    text, read = photos_csv(STATES), ObjectFolder.read
    calls = []

    def lost(folder, path):
        calls.append(path)
        return read(folder, path) if len(calls) <= 4 else Unread("unreadable", "the connection broke", lost=True)

    monkeypatch.setattr(ObjectFolder, "read", lost)
    with pytest.raises(NetworkError, match="the connection broke 4 of 13 pictures came") as error:
        store.take_text("photos", text, images=address)
    assert "run the same command again" in str(error.value)
    assert len(calls) < len(STATES)
    monkeypatch.setattr(ObjectFolder, "read", read)
    before = store.rows("select photo_id, sha256 from facts.photo_files where status = 'ok' order by all")
    assert 0 < len(before) < len(STATES)
    store.take_text("photos", text, images=address)
    after = store.rows("select photo_id, sha256 from facts.photo_files where status = 'ok' order by all")
    assert set(before) < set(after)
    assert len(after) == len({photo_id for photo_id, _ in after}), "a good picture was taken in twice"
    found = dict(store.rows("select photo_id, status from photos"))
    assert found == {name: state[1] for name, state in STATES.items()}


def test_one_lost_picture_is_a_status_that_a_rerun_tries_again(store, bucket, monkeypatch):
    address, read = filled(bucket), ObjectFolder.read
    monkeypatch.setattr(
        ObjectFolder,
        "read",
        lambda folder, path: Unread("unreadable", "reset", lost=True) if path == "a.png" else read(folder, path),
    )
    store.take_text("photos", photos_csv(STATES), images=address)
    assert store.rows("select status from photos where photo_id = 'a.png'") == [("unreadable",)]
    monkeypatch.setattr(ObjectFolder, "read", read)
    store.take_text("photos", photos_csv(STATES), images=address)
    assert store.rows("select status from photos where photo_id = 'a.png'") == [("ok",)]


def test_a_broken_proxy_gives_no_half_picture(bucket, monkeypatch):
    bucket.put("p/a.jpg", b"\xff\xd8\xff" + b"x" * 300_000)
    monkeypatch.setenv("FEATURES_NETWORK_TIMEOUT", "1")
    with Proxy(bucket.port, cut_after=10, only=b"GET /", after=1) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        found = ObjectFolder(f"{bucket.address}/p").read("a.jpg")
    assert isinstance(found, Unread)
    assert found.lost


def test_an_object_that_is_too_large_is_not_read(bucket, monkeypatch):
    bucket.put("p/a.jpg", b"x" * 1001)
    monkeypatch.setattr(folders, "MAX_BYTES", 1000)
    assert ObjectFolder(f"{bucket.address}/p").read("a.jpg") == Unread("too_large", "1,001 bytes")
