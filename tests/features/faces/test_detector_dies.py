"""A detector that dies costs one photo: builds, queries and crops continue, and the photo gets a status."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from photogenic.features.compute import process_pool, worker_protocol
from photogenic.features.compute.embed_files import embed_files
from photogenic.features.compute.pipeline import compute
from photogenic.features.faces import detector_process
from photogenic.features.faces.detector import LONGEST, Detector, DetectorFailed, FaceSettings
from photogenic.features.images.decode import decode
from photogenic.features.vectors import reader
from photogenic.warehouse import MissingPartError, StoreError
from tests.features.faces import deadly
from tests.features.gallery import Gallery, portrait

pytestmark = pytest.mark.slow

PAIR = ("efficientnet_lite0", "dlib_face")
SAID = {
    "abort": "SIGABRT: OpenCV(5.0.1) Error: Assertion failed (that was too much)",
    "segv": "SIGSEGV",
    "raise": "exit code 70: RuntimeError: no such picture has been seen",
}


@pytest.fixture
def mortal(monkeypatch):
    monkeypatch.setattr(detector_process, "CALL", "tests.features.faces.deadly:serve")
    monkeypatch.setattr(worker_protocol, "CALL", "tests.features.faces.deadly:serve_photos")


def pixels(data):
    return decode(data).pixels


def test_each_way_to_die_has_a_status_and_a_restart(mortal):
    with Detector(FaceSettings()) as detector:
        for death in ("segv", "raise"):
            with pytest.raises(DetectorFailed) as failed:
                detector(pixels(deadly.picture(death)))
            assert str(failed.value) == SAID[death]
            assert len(detector(pixels(portrait(1)))) == 1


def test_only_the_deadly_one_of_many_side_by_side_fails(mortal):
    shown = [portrait(seed) for seed in range(8)]
    shown[4] = deadly.picture("abort")

    def look(data):
        try:
            return len(detector(pixels(data)))
        except DetectorFailed:
            return "failed"

    with Detector(FaceSettings(), n=3) as detector, ThreadPoolExecutor(3) as pool:
        found = list(pool.map(look, shown))
    assert [at for at, n in enumerate(found) if n == "failed"] == [4]


def test_a_killed_process_is_started_again_with_the_same_result():
    with Detector(FaceSettings()) as detector:
        expected = detector(pixels(portrait(1)))
        for _ in range(2):
            detector._child._child.kill()
            (face,) = detector(pixels(portrait(1)))
            assert (face.x0, face.confidence) == (expected[0].x0, expected[0].confidence)


def test_a_process_that_is_killed_twice_is_a_memory_error(mortal):
    with Detector(FaceSettings()) as detector, pytest.raises(StoreError, match="was killed twice"):
        detector(pixels(deadly.picture("kill")))


def test_a_detector_that_does_not_start_blames_no_photo(monkeypatch):
    monkeypatch.setattr(detector_process, "CALL", "no_such_module:serve")
    with pytest.raises(MissingPartError, match="does not start: exit code 1: ModuleNotFoundError: No module"):
        Detector(FaceSettings())


@pytest.mark.parametrize(
    ("death", "apart"), [("abort", False), pytest.param("segv", True, marks=pytest.mark.thorough), ("raise", True)]
)
def test_a_build_goes_on_and_the_next_one_does_not_try_again(tmp_path, mortal, monkeypatch, death, apart):
    if apart:  # in preprocessing processes
        monkeypatch.setattr(process_pool, "FROM_THREADS", 2)
        monkeypatch.setattr(process_pool, "LEAST_PHOTOS", 1)
    photos = {f"p{seed}": portrait(seed, size=200) for seed in range(6)}
    gallery = Gallery(tmp_path / "store", {**photos, "x": deadly.picture(death)})
    report = compute(gallery.store, PAIR)
    assert report.unreadable == {"detector_failed": 1}
    assert gallery.sql("select photo_id from photos where status = 'detector_failed'") == [("x",)]
    (detail,) = gallery.sql("select detail from facts.photo_files where status = 'detector_failed'")
    assert detail[0] in (SAID[death], "RuntimeError: no such picture has been seen")
    for name in PAIR:
        assert reader.read(gallery.layout, name)[0] == sorted(photos)
    again = compute(gallery.store, PAIR)
    assert (again.n_decoded, again.computed, again.unreadable) == (0, {}, {})


def test_processes_that_do_not_start_blame_no_photo(tmp_path, mortal, monkeypatch):
    monkeypatch.setattr(process_pool, "FROM_THREADS", 2)
    monkeypatch.setattr(process_pool, "LEAST_PHOTOS", 1)
    monkeypatch.setattr(worker_protocol, "CALL", "no_such_module:serve")
    gallery = Gallery(tmp_path / "store", {f"p{seed}": portrait(seed) for seed in range(3)})
    with pytest.raises(StoreError, match="does not start: exit code 1: ModuleNotFoundError"):
        compute(gallery.store, PAIR)
    assert gallery.sql("select count(*) from facts.photo_files where status <> 'ok'") == [(0,)]


def test_a_query_has_the_status_of_its_picture(tmp_path, mortal):
    for name, data in {"good.jpg": portrait(1), "bad.png": deadly.picture("abort")}.items():
        (tmp_path / name).write_bytes(data)
    found = embed_files([tmp_path / name for name in ("bad.png", "good.jpg")], "dlib_face")
    assert [(one.status, one.detail) for one in found] == [("detector_failed", SAID["abort"]), ("ok", "")]


@pytest.mark.parametrize("size", [(1, LONGEST), (1, LONGEST + 1), (1, LONGEST + 2), (1, 65_500), (300, 40_000)])
@pytest.mark.parametrize("turned", [False, True])
def test_sides_beyond_what_opencv_counts(detector, size, turned):
    assert detector(np.full((*(size[::-1] if turned else size), 3), 128, np.uint8)) == []


def test_faces_of_a_shrunk_panorama_are_in_its_own_pixels(detector):
    wide = np.full((900, 33_000, 3), 190, np.uint8)
    wide[100:800, 16_000:16_700] = pixels(portrait(1, size=700))
    found = detector(wide)
    # BlazeFace reduces such a picture to 128 pixels and finds no face; a box would be scaled back.
    assert all(0 <= face.x0 <= 33_000 for face in found)


@pytest.fixture(scope="module")
def detector():
    n_before = threading.active_count()
    with Detector(FaceSettings()) as made:
        yield made
    assert threading.active_count() <= n_before
