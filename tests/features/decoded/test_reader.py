"""Decoded pictures are read where they fit, and refused where they do not."""

import hashlib
import json

import numpy as np
import pytest

from photogenic.features.compute import pipeline
from photogenic.features.compute.preprocess import PhotoTask, Preprocessor, loader
from photogenic.features.compute.process_pool import PreprocessorPool
from photogenic.features.compute.training_images import crop_pictures
from photogenic.features.decoded import reader
from photogenic.features.decoded.manifest import NAME
from photogenic.features.decoded.reader import DecodedPictures
from photogenic.features.decoded.rule import PictureRule, side_with_margin
from photogenic.features.encoders.base import InputSpec
from photogenic.features.encoders.registry import encoder
from photogenic.features.export_pictures.export import export_pictures
from photogenic.features.export_pictures.options import PictureOptions
from photogenic.features.faces.detector import refuse_detection
from photogenic.features.vectors.reader import read
from photogenic.warehouse import InputError, StoreError
from photogenic.warehouse.storage.manifest import dump_with_digest, load_with_digest
from tests.features.decoded.pictures import photos
from tests.features.gallery import Gallery

FORMATS = ("hdf5", "webdataset", "parquet")


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    return Gallery(tmp_path_factory.mktemp("gallery") / "store", photos())


@pytest.fixture(scope="module")
def exported(gallery, tmp_path_factory):
    """format -> folder of pictures of 64 pixels."""
    folder = tmp_path_factory.mktemp("exported")
    for form in FORMATS:
        export_pictures(gallery.store, str(folder / form), PictureOptions(format=form, size=64))
    return {form: str(folder / form) for form in FORMATS}


def sha256(name):
    return hashlib.sha256(photos()[name]).hexdigest()


@pytest.mark.parametrize("form", FORMATS)
def test_the_pictures_are_those_of_the_rule(exported, form):
    rule = PictureRule.of_size(64)
    with DecodedPictures([exported[form]]) as opened:
        for name, data in photos().items():
            assert np.array_equal(opened.picture(sha256(name), rule), rule.apply(data)[1])
        assert opened.picture("0" * 64, rule) is None
        assert opened.picture("f" * 64, rule) is None
        assert opened.picture(sha256("small"), PictureRule.of_size(65)) is None
        assert opened.picture(sha256("small"), None) is None


def test_few_files_are_open_at_a_time(gallery, tmp_path, monkeypatch):
    from photogenic.features.export_pictures import written

    monkeypatch.setattr(written, "_MOST_PHOTOS", 1)
    monkeypatch.setattr(reader, "_MOST_OPEN", 2)
    done = export_pictures(gallery.store, str(tmp_path / "to"), PictureOptions(size=16))
    assert done.n_files == len(photos())
    rule = PictureRule.of_size(16)
    with DecodedPictures([str(tmp_path / "to")]) as opened:
        for _ in range(2):
            for name, data in photos().items():
                assert np.array_equal(opened.picture(sha256(name), rule), rule.apply(data)[1])
        assert len(opened._open[rule][0]._shards) == 2


def prepared(gallery, decoded, names, *, detect=()):
    spec = InputSpec("photo", 64, "centre")
    loaded = []

    def load(digest):
        loaded.append(digest)
        return loader(gallery.layout)(digest)

    detector = (lambda pixels: []) if detect else refuse_detection
    prepare = Preprocessor(load, detector, 1.0, {"net": (spec, frozenset({"net"}))}, decoded=decoded)
    tasks = [PhotoTask(sha256(name), name in detect, frozenset({("net", False)})) for name in names]
    batch = prepare(tasks)
    digests, pictures = batch.pictures["net"]
    return dict(zip(digests, pictures, strict=True)), loaded, batch


def test_encoders_get_the_same_pictures_without_decoding(gallery, exported):
    names = [name for name in photos() if name != "twin"]
    plain, loaded, _ = prepared(gallery, None, names)
    assert len(loaded) == len(names)
    with DecodedPictures([exported["hdf5"]]) as opened:
        found, loaded, batch = prepared(gallery, opened, names)
        assert loaded == []
        assert batch.counts["decoded before"] == len(names)
        assert found.keys() == plain.keys()
        assert all(np.array_equal(found[digest], plain[digest]) for digest in plain)
        _, loaded, batch = prepared(gallery, opened, names, detect=("small",))
        assert loaded == [sha256("small")], "faces are found in the whole photo"


def test_photos_that_are_not_there_are_decoded(gallery, tmp_path):
    few = Gallery(tmp_path / "store", {name: photos()[name] for name in ("small", "tall")})
    export_pictures(few.store, str(tmp_path / "to"), PictureOptions(format="parquet", size=64))
    names = ["gray", "small", "tall", "webp"]
    plain, *_ = prepared(gallery, None, names)
    with DecodedPictures([str(tmp_path / "to")]) as opened:
        found, loaded, _ = prepared(gallery, opened, names)
    assert sorted(loaded) == sorted([sha256("gray"), sha256("webp")])
    assert all(np.array_equal(found[digest], plain[digest]) for digest in plain)


def test_processes_read_them_too(gallery, exported):
    specs = {"net": (InputSpec("photo", 64, "centre"), frozenset({"net"}))}
    task = PhotoTask(sha256("tall"), detect=False, wanted=frozenset({("net", False)}))
    options = {"batch": 4, "n": 1, "n_slots": 1, "detects": False, "decoded": [exported["webdataset"]]}
    with PreprocessorPool(gallery.layout, None, specs, **options) as prepare:
        batch = prepare([task])
        (shown,) = batch.pictures["net"][1]
        assert np.array_equal(shown, PictureRule.of_size(64).apply(photos()["tall"])[1])
        assert batch.counts["decoded before"] == 1
        batch.done()


@pytest.mark.usefixtures("loaded_networks")
def test_vectors_are_equal_bit_for_bit(tmp_path):
    held = {name: photos()[name] for name in ("small", "reduced", "turned")}
    one, two = Gallery(tmp_path / "one", held), Gallery(tmp_path / "two", held)
    to = str(tmp_path / "to")
    export_pictures(one.store, to, PictureOptions(encoder="efficientnet_lite0"))
    for gallery in (one, two):
        pipeline.compute(gallery.store, [])
    report = pipeline.compute(one.store, ["efficientnet_lite0"], device="cpu", decoded=[to])
    pipeline.compute(two.store, ["efficientnet_lite0"], device="cpu")
    assert report.counts["decoded before"] == len(held)
    assert "decode" not in report.counts
    vectors = [read(gallery.layout, "efficientnet_lite0")[1] for gallery in (one, two)]
    assert np.array_equal(*vectors)


def test_fine_tuning_gets_the_same_pictures(gallery, tmp_path):
    backbone = encoder("efficientnet_lite0").backbone
    to, digests = str(tmp_path / "to"), [sha256(name) for name in photos()]
    export_pictures(gallery.store, to, PictureOptions(encoder="efficientnet_lite0", margin=True))

    def load(digest):
        raise AssertionError(f"{digest} is decoded")

    plain, _ = crop_pictures(tmp_path / "a.npy", digests, loader(gallery.layout), backbone, with_margin=True)
    with DecodedPictures([to]) as opened:
        found, sound = crop_pictures(tmp_path / "b.npy", digests, load, backbone, with_margin=True, decoded=opened)
    assert found.shape[1] == side_with_margin(backbone)
    assert sound.all()
    assert np.array_equal(plain, found)


def test_pictures_that_nobody_takes_are_refused(exported, gallery):
    with pytest.raises(InputError, match="which nothing here takes") as error:
        DecodedPictures([exported["hdf5"]], [PictureRule.of_size(224, share=0.875), None])
    assert "224 x 224" in str(error.value)
    with pytest.raises(InputError, match="only faces"):
        pipeline.compute(gallery.store, ["dlib_face"], decoded=[exported["hdf5"]])


def test_other_versions_of_the_decoders_are_refused(gallery, tmp_path, monkeypatch):
    to = str(tmp_path / "to")
    export_pictures(gallery.store, to, PictureOptions(size=16))
    ours = reader.decoders()
    monkeypatch.setattr(reader, "decoders", lambda: ours | {"pillow": "99.0"})
    with pytest.raises(StoreError, match=r"was decoded with .* Pillow|was decoded with .* pillow") as error:
        DecodedPictures([to])
    assert "pillow 99.0" in str(error.value)


def test_what_is_no_export_is_refused(gallery, tmp_path):
    with pytest.raises(InputError, match="no pictures of an export"):
        DecodedPictures([str(tmp_path)])
    export_pictures(gallery.store, str(tmp_path / "files"))
    with pytest.raises(InputError, match="pictures as received"):
        DecodedPictures([str(tmp_path / "files")])


@pytest.mark.parametrize("form", FORMATS)
def test_damaged_pictures_are_an_error_and_never_other_pixels(gallery, tmp_path, form):
    to = tmp_path / "to"
    export_pictures(gallery.store, str(to), PictureOptions(format=form, size=32))
    (shard,) = (to / "shards").iterdir()
    data = shard.read_bytes()
    wanted, rule = PictureRule.of_size(32).apply(photos()["tall"])[1].tobytes(), PictureRule.of_size(32)
    at = data.index(wanted)
    for hurt in (data[:at] + b"\0" * 50 + data[at + 50 :], data[: at + 100], b"", b"\xff" * len(data)):
        shard.write_bytes(hurt)
        with pytest.raises(StoreError, match="damaged"), DecodedPictures([str(to)]) as opened:
            opened.picture(sha256("tall"), rule)
    shard.unlink()
    with pytest.raises(InputError), DecodedPictures([str(to)]) as opened:
        opened.picture(sha256("tall"), rule)


def test_hostile_manifests_are_errors(gallery, tmp_path):
    to = tmp_path / "to"
    export_pictures(gallery.store, str(to), PictureOptions(size=16, index="csv"))
    manifest, (index,) = to / NAME, to.glob("index-*.csv")
    facts, rows = load_with_digest(manifest.read_bytes()), index.read_text()
    for changes in (
        {"index": "../../etc/passwd"},
        {"index": NAME},
        {"rule": {"size": "x"}},
        {"kind": "other"},
        {"more": 1},
    ):
        manifest.write_bytes(dump_with_digest(facts | changes))
        with pytest.raises(StoreError, match="damaged"):
            DecodedPictures([str(to)])
    manifest.write_bytes(json.dumps(facts | {"manifest_sha256": "0"}).encode())
    with pytest.raises(StoreError, match="digest differs"):
        DecodedPictures([str(to)])
    manifest.write_bytes(dump_with_digest(facts))
    DecodedPictures([str(to)]).close()
    for text in (rows.replace("shards/", "../shards/"), "a,b\n1,2\n", rows.replace("status", "state"), ""):
        index.write_text(text)
        with pytest.raises(InputError, match="damaged"):
            DecodedPictures([str(to)])
