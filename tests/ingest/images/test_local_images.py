"""Local pictures: each file gets a status, bytes are stored once, and no file outside of the folder is read."""

import hashlib
import io
import os
import struct
import zlib

import pytest
from PIL import Image

from photogenic.ingest.images import folders, local_images
from photogenic.ingest.images.folders import Folder
from photogenic.warehouse import InputError
from tests.ingest.ingest_store import StoreWithFiles


@pytest.fixture
def store(tmp_path):
    return StoreWithFiles(tmp_path)


def picture(shade=0, size=(8, 6), kind="JPEG", **options):
    stream = io.BytesIO()
    Image.effect_noise(size, 40 + shade).convert("RGB").save(stream, kind, **options)
    return stream.getvalue()


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return picture(size=(8, 6), exif=exif)


def huge_png():
    """A PNG whose header has a size of 40,000 x 40,000 pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


WHOLE = picture(size=(64, 48), quality=95)

STATES = {
    "ok.jpg": (picture(), "ok", 8, 6),
    "turned.jpg": (turned(6), "ok", 6, 8),
    "upside-down.jpg": (turned(3), "ok", 8, 6),
    "a.png": (picture(kind="PNG"), "ok", 8, 6),
    "a.gif": (picture(kind="GIF"), "ok", 8, 6),
    "a.webp": (picture(kind="WEBP"), "ok", 8, 6),
    "trailing.jpg": (picture(1) + b"appended by a phone", "ok", 8, 6),
    "missing.jpg": (None, "missing", None, None),
    "empty.jpg": (b"", "empty", None, None),
    "page.jpg": (b"<!doctype html><html>not here</html>", "not_an_image", None, None),
    "half.jpg": (WHOLE[: len(WHOLE) // 2], "truncated", 64, 48),
    "broken.png": (b"\x89PNG\r\n\x1a\n" + b"\0" * 40 + b"IEND\xaeB`\x82", "unreadable", None, None),
    "huge.png": (huge_png(), "too_large", 40_000, 40_000),
}


def photos_csv(paths):
    return "photo_id,user_id,path\n" + "".join(f"{path},u,{path}\n" for path in paths)


def test_every_state_is_a_status(store):
    for name, (content, *_) in STATES.items():
        if content is not None:
            store.file(f"images/{name}", content)
    (store.folder / "images" / "folder.jpg").mkdir()
    os.mkfifo(store.folder / "images" / "pipe.jpg")
    states = {name: tuple(state[1:]) for name, state in STATES.items()}
    states |= dict.fromkeys(("folder.jpg", "pipe.jpg"), ("missing", None, None))
    account = store.take_text("photos", photos_csv(states), images=store.folder / "images")
    found = store.rows("select photo_id, status, width, height from photos")
    assert {photo_id: tuple(state) for photo_id, *state in found} == states
    assert account.n_new == len(states)
    assert account.pictures == {
        "empty": 1, "missing": 3, "not_an_image": 1, "ok": 7, "too_large": 1, "truncated": 1, "unreadable": 1,
    }  # fmt: skip
    for sha256, n_bytes in store.rows("select sha256, bytes from facts.photo_files where status = 'ok'"):
        data = store.db.layout.photo(sha256).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (sha256, n_bytes)
    assert len(list(store.db.layout.photos.rglob("*.*"))) == 7
    assert store.rows("select detail from facts.photo_files where photo_id = 'page.jpg'")[0][0].startswith(
        "begins with"
    )


def test_two_photos_with_the_same_bytes_are_two_photos_with_one_file(store):
    for name in ("one.jpg", "two.jpg"):
        store.file(name, WHOLE)
    store.take_text("photos", photos_csv(["one.jpg", "two.jpg"]))
    digest = hashlib.sha256(WHOLE).hexdigest()
    assert store.rows("select photo_id, sha256 from photos order by 1") == [("one.jpg", digest), ("two.jpg", digest)]
    assert [path.name for path in store.db.layout.photos.rglob("*.jpg")] == [f"{digest}.jpg"]


def test_a_repeated_list_looks_only_for_pictures_that_were_missing(store):
    store.file("a.jpg", picture(1))
    store.file("b.jpg", picture(2)[:50])
    text = photos_csv(["a.jpg", "b.jpg", "c.jpg"])
    account = store.take_text("photos", text)
    assert account.pictures == {"missing": 1, "ok": 1, "truncated": 1}
    (store.folder / "a.jpg").unlink()
    store.file("b.jpg", picture(2))
    store.file("c.jpg", picture(3))
    again = store.take_text("photos", text)
    assert again.repeated
    assert again.pictures == {"ok": 2}
    assert store.rows("select distinct status from photos") == [("ok",)]
    assert store.take_text("photos", text).pictures == {}


def test_the_same_result_is_stored_once(store):
    for _ in range(3):
        assert store.take_text("photos", photos_csv(["a.jpg"])).pictures == {"missing": 1}
    assert store.rows("select count(*) from facts.photo_files") == [(1,)]


def test_bytes_that_cannot_be_decoded_stay_bad_until_they_change(store):
    store.file("a.jpg", picture(1))
    text = photos_csv(["a.jpg"])
    store.take_text("photos", text)
    with store.db.write("test") as con:
        con.execute(
            "insert into facts.photo_files"
            " select * replace ('truncated' as status, ingested_at + interval 1 minute as ingested_at)"
            " from facts.photo_files"
        )
    store.take_text("photos", text)
    assert store.rows("select status from photos") == [("truncated",)]
    store.file("a.jpg", picture(2))
    store.take_text("photos", text)
    assert store.rows("select status from photos") == [("ok",)]


def test_a_photo_under_another_path_is_inspected_again_and_a_good_one_is_kept(store):
    store.file("a.jpg", picture(1))
    store.file("b.jpg", picture(2))
    store.take_text("photos", "photo_id,user_id,path,likes\np,u,a.jpg,1\n")
    assert store.take_text("photos", "photo_id,user_id,path,likes\np,u,a.jpg,2\n").pictures == {}
    assert store.take_text("photos", "photo_id,user_id,path,likes\np,u,b.jpg,2\n").pictures == {"ok": 1}
    [(sha256,)] = store.rows("select sha256 from photos")
    assert sha256 == hashlib.sha256(picture_bytes(store, "b.jpg")).hexdigest()
    assert store.take_text("photos", "photo_id,user_id,path,likes\np,u,gone.jpg,2\n").pictures == {"missing": 1}
    assert store.rows("select status, sha256 from photos") == [("ok", sha256)]


def picture_bytes(store, name):
    return (store.folder / name).read_bytes()


def test_a_path_that_leads_outside_is_refused(store):
    store.file("secret.jpg", picture(1))
    inside = store.file("images/in.jpg", picture(2))
    store.file("images-too/near.jpg", picture(3))
    (store.folder / "images" / "link.jpg").symlink_to(store.folder / "secret.jpg")
    (store.folder / "images" / "back").symlink_to(store.folder)
    (store.folder / "images" / "alias.jpg").symlink_to(inside)
    outside = [
        "../secret.jpg",
        str(store.folder / "secret.jpg"),
        "link.jpg",
        "back/secret.jpg",
        "../images-too/near.jpg",
        "a/../../secret.jpg",
    ]
    fine = ["in.jpg", "alias.jpg", "sub/../in.jpg", str(inside), "missing.jpg", "./in.jpg"]
    account = store.take_text("photos", photos_csv([*outside, *fine]), images=store.folder / "images")
    assert account.refused == {"path_outside_images": len(outside)}
    assert account.pictures == {"missing": 1, "ok": len(fine) - 1}


def test_a_link_made_after_the_check_is_not_followed(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "secret").write_bytes(b"x")
    folder = Folder(tmp_path / "images")
    assert folder.outside(["a"]) == set()
    (tmp_path / "images" / "a").symlink_to(tmp_path / "secret")
    assert folder.locate("a") is None


def test_large_files_are_not_copied(store, monkeypatch):
    monkeypatch.setattr(folders, "MAX_BYTES", 1000)
    store.file("a.jpg", WHOLE)
    assert store.take_text("photos", photos_csv(["a.jpg"])).pictures == {"too_large": 1}
    assert store.rows("select status, sha256 from photos") == [("too_large", None)]


def test_pictures_go_in_groups(store, monkeypatch):
    monkeypatch.setattr(local_images, "_GROUP", 3)
    names = [f"{number}.jpg" for number in range(8)]
    for number, name in enumerate(names):
        store.file(name, picture(number))
    assert store.take_text("photos", photos_csv(names)).pictures == {"ok": 8}
    assert not (store.db.layout.photos / ".taken").exists()


def test_images_must_be_a_folder_of_photos(store):
    users = store.file("users.csv", "user_id\na\n")
    with pytest.raises(InputError, match="no pictures"):
        store.take("users", users, images=store.folder)
    with pytest.raises(InputError, match="There is no folder"):
        store.take("photos", users, images=store.folder / "nowhere")
