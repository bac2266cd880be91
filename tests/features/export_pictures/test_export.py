"""Exports of pictures: what is there equals the store, before and after changes, kills and broken connections."""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile

import numpy as np
import polars as pl
import pytest

from photogenic.features.decoded.manifest import NAME, OWN_FILES
from photogenic.features.decoded.reader import DecodedPictures
from photogenic.features.decoded.rule import PictureRule
from photogenic.features.export_pictures import export, written
from photogenic.features.export_pictures.export import export_pictures
from photogenic.features.export_pictures.options import PictureOptions
from photogenic.warehouse import ConflictError, EncoderError, InputError, LockedError, NetworkError, StoreError
from photogenic.warehouse.filesystems import open_location
from photogenic.warehouse.storage.lock import locked
from tests.features.decoded.pictures import cut_short, encoded, noise, photos
from tests.features.gallery import Gallery
from tests.s3_server import Proxy

ALL = [("files", None), ("webdataset", None), ("parquet", None), ("hdf5", 24), ("webdataset", 24), ("parquet", 24)]
WIDE = [("webdataset", None), ("parquet", None)]
"""Forms of which a fast run has another size."""


@pytest.fixture
def gallery(tmp_path):
    return Gallery(tmp_path / "store", photos())


def export_to(gallery, to, **options):
    return export_pictures(gallery.store, str(to), PictureOptions(**options))


def index_of(to):
    path = to / json.loads((to / NAME).read_bytes())["index"]
    return pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path)


def contents(to):
    """photo_id -> the pixels or bytes there, read by the index alone."""
    found = {}
    for row in index_of(to).filter(status="ok").iter_rows(named=True):
        path = to / row["file"]
        if path.suffix == ".h5":
            import h5py

            with h5py.File(path) as opened:
                assert opened["photo_id"][row["place"]].decode() == row["photo_id"]
                assert opened["sha256"][row["place"]].decode() == row["sha256"]
                found[row["photo_id"]] = opened["pixels"][row["place"]].tobytes()
        elif path.suffix == ".parquet":
            table = pl.read_parquet(path)
            held = table.row(row["place"], named=True)
            assert (held["photo_id"], held["user_id"]) == (row["photo_id"], row["user_id"])
            found[row["photo_id"]] = held.get("pixels", held.get("bytes"))
        else:
            found[row["photo_id"]] = path.read_bytes()[row["place"] : row["place"] + row["n_bytes"]]
    return found


def wanted(held, size):
    if size is None:
        return dict(held)
    return {name: PictureRule.of_size(size).apply(data)[1].tobytes() for name, data in held.items()}


def files_in(to):
    return sorted(str(path.relative_to(to)) for path in to.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("form", "size"), [pytest.param(*one, marks=[pytest.mark.thorough] if one in WIDE else []) for one in ALL]
)
def test_what_is_there_follows_the_store(gallery, tmp_path, monkeypatch, form, size):
    monkeypatch.setattr(written, "_MOST_PHOTOS", 3)
    to, options = tmp_path / "to", {"format": form, "size": size}
    done = export_to(gallery, to, **options)
    assert contents(to) == wanted(photos(), size)
    assert (done.n_photos, done.n_written, done.n_removed, done.state) == (8, 8, 0, "written")
    before = {name: (to / name).stat().st_mtime_ns for name in files_in(to)}
    assert export_to(gallery, to, **options).state == "unchanged"
    assert before == {name: (to / name).stat().st_mtime_ns for name in files_in(to)}

    gone = gallery.layout.photo(hashlib.sha256(photos()["tall"]).hexdigest())
    gallery.drop("tall")
    gallery.put({"new": encoded(noise(20, 50, 50)), "gray": encoded(noise(21, 60, 70))})
    done = export_to(gallery, to, **options)
    held = {name: data for name, data in photos().items() if name != "tall"}
    held |= {"new": encoded(noise(20, 50, 50)), "gray": encoded(noise(21, 60, 70))}
    assert contents(to) == wanted(held, size)
    assert done.n_removed == 1
    former = wanted({"tall": gone.read_bytes()}, size)["tall"][:200]
    assert not [name for name in files_in(to) if former in (to / name).read_bytes()]
    assert set(files_in(to)) - {NAME} == {name for name in files_in(to) if OWN_FILES.fullmatch(name)}
    assert len(files_in(to)) == done.n_files + 2


def test_files_that_do_not_change_are_not_written_again(gallery, tmp_path, monkeypatch):
    monkeypatch.setattr(written, "_MOST_PHOTOS", 2)
    to = tmp_path / "to"
    export_to(gallery, to, size=16)
    before = {name: (to / name).stat().st_mtime_ns for name in files_in(to) if name.startswith("shards")}
    gallery.put({"z1": encoded(noise(30, 40, 40)), "z2": encoded(noise(31, 40, 40))})
    done = export_to(gallery, to, size=16)
    after = {name: (to / name).stat().st_mtime_ns for name in files_in(to) if name.startswith("shards")}
    assert before.items() <= after.items()
    assert (len(after), done.n_written) == (len(before) + 1, 2)


def test_another_size_or_form_replaces_the_export(gallery, tmp_path):
    to = tmp_path / "to"
    export_to(gallery, to, size=16)
    export_to(gallery, to, size=16, crop="squashed")
    rule = PictureRule.of_size(16, "squashed")
    with DecodedPictures([str(to)]) as opened:
        assert opened.rules == {rule}
    export_to(gallery, to)
    assert contents(to) == photos()
    assert not list((to / "shards").iterdir())


def test_other_decoders_decode_anew(gallery, tmp_path, monkeypatch):
    to, ours = tmp_path / "to", export.decoders()
    monkeypatch.setattr(export, "decoders", lambda: ours | {"pillow": "1.0"})
    export_to(gallery, to, size=16)
    monkeypatch.setattr(export, "decoders", lambda: ours)
    assert export_to(gallery, to, size=16).n_written == len(photos())
    DecodedPictures([str(to)]).close()


def test_undecodable_photos_are_in_the_index_with_a_status(gallery, tmp_path):
    gallery.put({"cut": cut_short()})
    to = tmp_path / "to"
    done = export_to(gallery, to, size=16, index="csv")
    assert (done.n_photos, done.n_left_out) == (len(photos()), 1)
    assert index_of(to).filter(photo_id="cut").select("status", "file").row(0) == ("truncated", None)
    assert export_to(gallery, to, size=16, index="csv").state == "unchanged"
    assert export_to(gallery, tmp_path / "bytes").n_photos == len(photos()) + 1


def test_an_empty_export(tmp_path):
    gallery = Gallery(tmp_path / "store", {})
    for number, (form, size) in enumerate(ALL):
        to = tmp_path / str(number)
        done = export_to(gallery, to, format=form, size=size)
        assert (done.n_photos, done.n_files) == (0, 0)
        assert export_to(gallery, to, format=form, size=size).state == "unchanged"


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("size", [pytest.param(None, marks=pytest.mark.thorough), 24])
def test_webdataset_reads_the_tars(gallery, tmp_path, size):
    import webdataset

    to = tmp_path / "to"
    export_to(gallery, to, format="webdataset", size=size)
    (shard,) = (to / "shards").glob("*.tar")
    found = {}
    for sample in webdataset.WebDataset(str(shard), shardshuffle=False, empty_check=False):
        facts = json.loads(sample["json"])
        content = next(value for key, value in sample.items() if key in ("npy", "jpg", "png", "webp"))
        found[facts["photo_id"]] = np.load(io.BytesIO(content)).tobytes() if size else content
        assert facts["user_id"] == f"user of {facts['photo_id']}"
    assert found == wanted(photos(), size)
    with tarfile.open(shard) as tar:
        assert {member.mtime for member in tar} == {0}, "equal pictures make equal files"


def test_ids_of_strangers_name_no_file(tmp_path):
    names = ["../../x", "/etc/a", "a\nb", "ü" * 200, "a.b.c", ""]
    gallery = Gallery(tmp_path / "store", {name: encoded(noise(at, 20, 20)) for at, name in enumerate(names)})
    for number, (form, size) in enumerate(ALL):
        to = tmp_path / str(number)
        export_to(gallery, to, format=form, size=size)
        assert sorted(contents(to)) == sorted(names)
        assert all(OWN_FILES.fullmatch(name) or name == NAME for name in files_in(to))


def test_where_a_training_set_and_ids_select(gallery, tmp_path):
    done = export_pictures(gallery.store, str(tmp_path / "to"), photo_ids=["small", "gray", "unknown"])
    assert done.n_photos == 2
    with pytest.raises(StoreError, match="labels"):
        export_to(gallery, tmp_path / "to2", where="popular")


def test_folders_with_something_else_are_refused(gallery, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    with pytest.raises(InputError, match=r"holds something else: thesis\.txt"):
        export_to(gallery, tmp_path / "mine")
    with pytest.raises(InputError, match="inside the store"):
        export_to(gallery, tmp_path / "store" / "pictures")
    export_to(gallery, tmp_path / "to", size=16)
    (tmp_path / "to" / "notes.txt").write_text("kept")
    export_to(gallery, tmp_path / "to")
    assert (tmp_path / "to" / "notes.txt").read_text() == "kept"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"size": 7}, InputError),
        ({"size": 16, "share": 0.0}, InputError),
        ({"format": "zip"}, InputError),
        ({"format": "files", "size": 16}, ConflictError),
        ({"format": "hdf5"}, ConflictError),
        ({"crop": "squashed"}, ConflictError),
        ({"margin": True}, ConflictError),
        ({"encoder": "dlib_face", "size": 16}, ConflictError),
    ],
)
def test_options_that_do_not_fit_are_refused(options, error):
    with pytest.raises(error):
        PictureOptions(**options)


def test_encoders_of_faces_are_refused(gallery, tmp_path):
    with pytest.raises(EncoderError, match="takes faces"):
        export_to(gallery, tmp_path / "to", encoder="dlib_face")


def test_one_at_a_time_to_one_address(gallery, tmp_path):
    to = tmp_path / "to"
    place = open_location(str(to))
    name = hashlib.sha256(f"{place.kind} {place.path} {place.name}".encode()).hexdigest()[:32]
    gallery.layout.export_locks.mkdir(parents=True)
    object.__setattr__(gallery.db.settings, "lock_timeout_s", 0)
    with locked(gallery.layout.export_locks / name, "another", 0), pytest.raises(LockedError):
        export_to(gallery, to)
    export_to(gallery, to)


def test_who_goes_while_pictures_are_written_is_left_out(gallery, tmp_path, monkeypatch):
    to, write, calls = tmp_path / "to", written.ShardFiles.write, []

    def dropping(files, pending, held, advance):
        n = write(files, pending, held, advance)
        if not calls:
            gallery.drop("tall")
        calls.append(n)
        return n

    monkeypatch.setattr(written.ShardFiles, "write", dropping)
    export_to(gallery, to, size=16)
    assert "tall" not in contents(to)
    former = wanted({"tall": photos()["tall"]}, 16)["tall"]
    assert not [name for name in files_in(to) if former in (to / name).read_bytes()]


CHILD = """
import os, sys
from pathlib import Path
from photogenic.features.export_pictures import written
from photogenic.features.export_pictures.export import export_pictures
from photogenic.features.export_pictures.options import PictureOptions
from photogenic.warehouse import Database, Layout, Settings, Store
from photogenic.warehouse.filesystems import Location

root, to, form, left = sys.argv[1:]
left = int(left)
written._MOST_PHOTOS = 3

def dying(name):
    plain = getattr(Location, name)
    def run(place, *given, **options):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), 9)
        return plain(place, *given, **options)
    setattr(Location, name, run)

for name in ("write", "write_bytes", "remove"):
    dying(name)
store = Store(Database(Layout(Path(root)), Settings("500MB", 2)))
export_pictures(store, to, PictureOptions(format=form, size=None if form == "files" else 24))
"""


@pytest.mark.parametrize("form", ["files", pytest.param("hdf5", marks=pytest.mark.thorough)])
def test_kills_leave_the_former_export_and_the_next_one_goes_on(gallery, tmp_path, monkeypatch, form):
    monkeypatch.setattr(written, "_MOST_PHOTOS", 3)
    to, size = tmp_path / "to", None if form == "files" else 24
    export_to(gallery, to, format=form, size=size)
    gallery.drop("small")
    gallery.put({f"new {at}": encoded(noise(40 + at, 30, 30)) for at in range(5)})
    former, n_killed = contents(to), 0
    held = {name: data for name, data in photos().items() if name != "small"}
    held |= {f"new {at}": encoded(noise(40 + at, 30, 30)) for at in range(5)}
    for left in (1, 3, 4):
        child = subprocess.run(
            [sys.executable, "-c", CHILD, str(gallery.layout.root), str(to), form, str(left)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=False,
        )
        if child.returncode == 0:
            break
        assert child.returncode == -signal.SIGKILL
        n_killed += 1
        assert contents(to) in (former, wanted(held, size))
    assert n_killed >= 2
    export_to(gallery, to, format=form, size=size)
    assert contents(to) == wanted(held, size)
    assert len(files_in(to)) == len(set(index_of(to)["file"])) + 2


def test_files_of_a_killed_export_are_used_or_removed(gallery, tmp_path, monkeypatch):
    to = tmp_path / "to"
    monkeypatch.setattr(export, "_publish", lambda *given, **options: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        export_to(gallery, to, size=16)
    monkeypatch.undo()
    (shard,) = (to / "shards").iterdir()
    before = shard.stat().st_mtime_ns
    stray = to / "shards" / f"pictures-{'0' * 16}.h5"
    stray.write_bytes(shard.read_bytes())
    export_to(gallery, to, size=16)
    assert shard.stat().st_mtime_ns == before
    assert not stray.exists()
    assert contents(to) == wanted(photos(), 16)


@pytest.mark.parametrize(
    ("form", "size"), [("files", None), ("webdataset", 24), pytest.param("hdf5", 24, marks=pytest.mark.thorough)]
)
def test_object_store(gallery, bucket, tmp_path, form, size):
    to = f"{bucket.address}/pictures"
    done = export_to(gallery, to, format=form, size=size)
    assert export_to(gallery, to, format=form, size=size).state == "unchanged"
    assert len(bucket.keys("pictures/")) == done.n_files + 2
    if size is not None:
        rule = PictureRule.of_size(size)
        with DecodedPictures([to]) as opened:
            data = photos()["reduced"]
            assert np.array_equal(opened.picture(hashlib.sha256(data).hexdigest(), rule), rule.apply(data)[1])
    gallery.drop("tall")
    assert export_to(gallery, to, format=form, size=size).n_removed == 1
    local = tmp_path / "copy"
    for key in (key for key in bucket.keys("pictures/") if not key.endswith("/")):
        path = local / key.removeprefix("pictures/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bucket.get(key))
    assert contents(local) == wanted({name: data for name, data in photos().items() if name != "tall"}, size)


def test_a_broken_connection_leaves_the_former_export(gallery, bucket, monkeypatch):
    to = f"{bucket.address}/pictures"
    export_to(gallery, to, format="parquet", size=24)
    keys = bucket.keys()
    manifest = bucket.get(f"pictures/{NAME}")
    gallery.put({"new": encoded(noise(50, 30, 30))})
    with Proxy(bucket.port, only=b"PUT /", cut_request_after=3000) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        with pytest.raises(NetworkError):
            export_to(gallery, to, format="parquet", size=24)
        assert proxy.n_hurt
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{bucket.port}")
    assert bucket.get(f"pictures/{NAME}") == manifest
    assert set(bucket.keys()) == set(keys)
    assert export_to(gallery, to, format="parquet", size=24).n_photos == len(photos()) + 1
