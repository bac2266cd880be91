"""A run computes only missing results, gives bad photos a status, and has the same rows after interruptions."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from photogenic.features.compute import pipeline, process_pool
from photogenic.features.compute.pending import sizes
from photogenic.features.compute.pipeline import ComputeReport, compute, embed_files
from photogenic.features.compute.worker import Worker
from photogenic.features.encoders.registry import encoder
from photogenic.features.faces.detector import FaceSettings
from photogenic.features.vectors import reader
from photogenic.warehouse import EncoderError, Store, StoreError
from tests.features.gallery import Gallery, portrait

PAIR = ("efficientnet_lite0", "dlib_face")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("loaded_networks")]


def _people(n: int) -> dict[str, bytes]:
    return {f"p{i:02d}": portrait(i) for i in range(n)}


def _same(one: Gallery, other: Gallery) -> None:
    for name in PAIR:
        a, b = (reader.manifest(gallery.layout, name) for gallery in (one, other))
        assert (a.content, a.parts) == (b.content, b.parts)
    faces = "select * from faces order by photo_id, face_no"
    assert one.sql(faces) == other.sql(faces)
    assert one.sql("from photos order by photo_id") == other.sql("from photos order by photo_id")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, loaded_networks) -> Gallery:
    """A mixed gallery, computed in one run without interruption."""
    gallery, gallery.heard = Gallery(tmp_path_factory.mktemp("whole") / "store", _mixed()), Heard()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "_NOTE_RATES_S", 0.0)
        gallery.report = compute(Store(gallery.db, gallery.heard), PAIR)
    return gallery


class Heard:
    """A progress callback that records its notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    @contextlib.contextmanager
    def stage(
        self, name: str, total: int | None = None, unit: str = "", *, at_most: bool = False
    ) -> Iterator[Callable[[int], None]]:
        yield lambda _: None

    def note(self, text: str) -> None:
        self.notes.append(text)


def _mixed() -> dict[str, bytes]:
    return {
        **_people(9),
        "crowd": portrait(40, people=3),
        "landscape": portrait(41, people=0),
        "cut": portrait(42)[:2000],
        "damaged": b"\x89PNG\r\n\x1a\n" + bytes(500),
        "twin": portrait(3),
    }


def test_every_photo_gets_its_faces_and_vectors(whole):
    report = whole.report
    assert (report.n_photos, report.n_decoded) == (14, 13)  # equal bytes are decoded once
    assert report.computed == {"efficientnet_lite0": 11, "dlib_face": 9}
    assert report.unreadable == {"truncated": 1, "unreadable": 1}
    everyone, X = reader.read(whole.layout, "efficientnet_lite0")
    assert everyone == sorted({*_mixed()} - {"cut", "damaged"})
    assert X.shape == (12, 1280)
    alone, F = reader.read(whole.layout, "dlib_face")
    assert alone == sorted({*_people(9), "twin"})
    assert F.shape == (10, 128)
    at = {photo_id: i for i, photo_id in enumerate(alone)}
    assert np.array_equal(F[at["twin"]], F[at["p03"]])
    assert len(np.unique(F, axis=0)) == 9


def test_the_rate_of_each_step_is_noted_during_a_run(whole):
    assert len(whole.heard.notes) > 1
    noted = re.fullmatch(r"13 photos processed; photos/s of each step alone: (.+)", whole.heard.notes[-1])
    rates = dict(pair.rsplit(" ", 1) for pair in noted[1].split(", "))
    assert set(rates) == {"decode", "faces", "cut", *PAIR}
    assert float(rates["decode"].replace(",", "")) > float(rates["dlib_face"])


def test_the_rate_of_a_step_is_that_of_all_threads_at_it():
    heard = Heard()
    report = ComputeReport(8, n_decoded=8, seconds={"decode": 2.0, "faces": 4.0}, counts={"decode": 8, "faces": 2})
    report.note_rates(heard, n_threads=2)
    assert heard.notes == ["8 photos processed; photos/s of each step alone: decode 8, faces 1"]


def test_faces_and_bad_photos_are_written_to_the_warehouse(whole):
    counts = dict(whole.sql("select photo_id, count(*) from faces group by all"))
    assert counts == {**dict.fromkeys(_people(9), 1), "twin": 1, "crowd": 3}
    [(width, confidence, n)] = whole.sql("select x1 - x0, confidence, len(keypoints) from faces where photo_id = 'p00'")
    assert 50 < width < 256
    assert 0.5 <= confidence <= 1
    assert n == 12
    bad = whole.sql("select photo_id, status from photos where status <> 'ok' order by photo_id")
    assert bad == [("cut", "truncated"), ("damaged", "unreadable")]
    [(detail, n_bytes)] = whole.sql("select detail, bytes from facts.photo_files where status = 'truncated'")
    assert "truncated" in str(detail)
    assert n_bytes == 2000


def test_a_second_build_computes_nothing_and_writes_nothing(whole, monkeypatch):
    monkeypatch.setattr(process_pool, "Detector", lambda *_: pytest.fail("no photo is to be decoded"))
    before = whole.layout.snapshot.stat()
    report = compute(whole.store, PAIR)
    assert (report.n_photos, report.n_decoded, report.computed, report.unreadable) == (12, 0, {}, {})
    assert whole.layout.snapshot.stat().st_ino == before.st_ino


def test_a_new_photo_computes_one_and_changed_bytes_another(tmp_path):
    gallery = Gallery(tmp_path / "store", _people(3))
    compute(gallery.store, PAIR)
    gallery.put({"new": portrait(7)})
    report = compute(gallery.store, PAIR)
    assert (report.n_decoded, report.computed) == (1, {"efficientnet_lite0": 1, "dlib_face": 1})
    gallery.put({"p01": portrait(8)})
    report = compute(gallery.store, PAIR)
    assert (report.n_decoded, report.computed) == (1, {"efficientnet_lite0": 1, "dlib_face": 1})
    gallery.drop("p00")
    assert compute(gallery.store, PAIR).n_decoded == 0
    fresh = Gallery(tmp_path / "fresh", {"p01": portrait(8), "p02": portrait(2), "new": portrait(7)})
    compute(fresh.store, PAIR)
    for name in PAIR:
        (ids, X), (fresh_ids, fresh_X) = (reader.read(g.layout, name) for g in (gallery, fresh))
        assert ids == fresh_ids == ["new", "p01", "p02"]
        assert np.array_equal(X, fresh_X)
    assert gallery.sql("select distinct photo_id from faces order by all") == [("new",), ("p01",), ("p02",)]


def test_an_encoder_asked_for_later_is_added_to_the_same_photos(whole, tmp_path):
    gallery = Gallery(tmp_path / "store", _mixed())
    report = compute(gallery.store, ())
    assert (report.n_decoded, report.n_faces, report.computed) == (13, 12, {})
    report = compute(gallery.store, ["dlib_face"])
    assert (report.n_decoded, report.computed) == (9, {"dlib_face": 9})
    compute(gallery.store, ["efficientnet_lite0"])
    for name in PAIR:
        assert reader.manifest(gallery.layout, name).content == reader.manifest(whole.layout, name).content


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_an_interrupted_run_loses_only_unfinished_batches(whole, tmp_path, monkeypatch, batch):
    gallery = Gallery(tmp_path / "store", _mixed())
    work, calls = Worker.__call__, []

    def cut_off(self, orders):
        calls.append(len(orders))
        if len(calls) == batch:
            raise KeyboardInterrupt
        return work(self, orders)

    with monkeypatch.context() as patch:
        patch.setattr(Worker, "__call__", cut_off)
        patch.setattr(pipeline, "BATCH", 4)
        with pytest.raises(KeyboardInterrupt):
            compute(gallery.store, PAIR)
    report = compute(gallery.store, PAIR)
    assert 0 < report.n_decoded <= 13
    _same(gallery, whole)


def test_a_stricter_confidence_decodes_no_photo_again(tmp_path):
    gallery = Gallery(tmp_path / "store", {**_people(3), "crowd": portrait(40, people=3)})
    compute(gallery.store, ["dlib_face"])
    scores = sorted(row[0] for row in gallery.sql("select confidence from faces where photo_id = 'crowd'"))
    between = (scores[-2] + scores[-1]) / 2
    report = compute(gallery.store, ["dlib_face"], faces=FaceSettings(confidence=between))
    assert gallery.sql("select count(*) from faces where photo_id = 'crowd'") == [(1,)]
    alone = {row[0] for row in gallery.sql("select photo_id from faces group by all having count(*) = 1")}
    assert set(reader.read(gallery.layout, "dlib_face")[0]) == alone
    assert report.n_decoded == 1  # the group photo that has one face above the new confidence
    compute(gallery.store, ["dlib_face"])
    assert reader.read(gallery.layout, "dlib_face")[0] == ["p00", "p01", "p02"]


def test_flips_are_the_vectors_of_mirrored_photos(tmp_path):
    gallery = Gallery(tmp_path / "store", _people(2))
    report = compute(gallery.store, PAIR, flip=True)
    assert report.computed == {"efficientnet_lite0": 4, "dlib_face": 4}
    for name in PAIR:
        _, plain = reader.read(gallery.layout, name)
        _, mirrored = reader.read(gallery.layout, name, flip=True)
        cosine = (plain * mirrored).sum(1) / np.linalg.norm(plain, axis=1) / np.linalg.norm(mirrored, axis=1)
        assert np.all((cosine > 0.7) & (cosine < 0.9999))
    assert compute(gallery.store, PAIR, flip=True).n_decoded == 0
    assert compute(gallery.store, PAIR).n_decoded == 0
    assert reader.manifest(gallery.layout, "dlib_face").n_flips == 2


def test_files_get_the_vectors_that_the_store_has(whole, tmp_path):
    names = ["p01", "crowd", "landscape", "cut", "p04"]
    paths = []
    for name in names:
        paths.append(tmp_path / f"{name}.jpg")
        paths[-1].write_bytes(_mixed()[name])
    found = embed_files([*paths, tmp_path / "absent.jpg"], "dlib_face")
    assert [f.status for f in found] == ["ok", "several_faces", "no_face", "truncated", "ok", "missing"]
    _, X = reader.read(whole.layout, "dlib_face", ["p01", "p04"])
    assert np.abs(np.stack([found[0].embedding, found[4].embedding]) - X).max() < 1e-5
    assert [f.embedding is None for f in found] == [False, True, True, True, False, True]
    (photo,) = embed_files(paths[:1], "efficientnet_lite0")
    _, X = reader.read(whole.layout, "efficientnet_lite0", ["p01"])
    assert np.abs(photo.embedding - X[0]).max() < 1e-4


def test_an_unknown_encoder_is_answered_with_near_ones(whole):
    with pytest.raises(EncoderError, match="--encoder dlib_face"):
        compute(whole.store, ["dlib_faces"])
    with pytest.raises(EncoderError, match="'efficientnet'") as caught:
        encoder("efficientnet")
    assert "efficientnet_lite0" in caught.value.remedy


def test_bytes_that_went_missing_are_an_error_that_names_the_file(tmp_path):
    gallery = Gallery(tmp_path / "store", _people(1))
    (path,) = gallery.layout.photos.glob("*/*.jpg")
    path.unlink()
    with pytest.raises(StoreError, match=path.name):
        compute(gallery.store, PAIR)


_BUILD = """
import sys
from pathlib import Path
from photogenic.features.compute import pipeline
from photogenic.warehouse import Database, Layout, Settings, Store
pipeline.BATCH = 2
layout = Layout(Path(sys.argv[1]))
print("ready", flush=True)
pipeline.compute(Store(Database(layout, Settings("500MB", 2))), ["efficientnet_lite0", "dlib_face"])
"""


@pytest.mark.slow
def test_killed_at_random_and_run_again_gives_the_same_rows(whole, tmp_path):
    gallery = Gallery(tmp_path / "store", _mixed())
    rng = np.random.default_rng(5)
    killed = 0
    for _ in range(6):
        command = [sys.executable, "-c", _BUILD, str(gallery.layout.root)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(float(rng.uniform(1.0, 6.0)))
            if child.poll() is None:
                os.kill(child.pid, signal.SIGKILL)
                killed += 1
    assert killed
    compute(gallery.store, PAIR)
    _same(gallery, whole)
    left = [path for path in gallery.layout.root.rglob(".*.tmp") if "snapshot" not in path.name]
    assert left == []


@pytest.mark.parametrize("n", [1, 7, 8, 9, 63, 100, 1000, 100_001])
@pytest.mark.parametrize("n_workers", [1, 2, 16])
def test_batches_shrink_towards_the_end_and_hold_every_photo(n, n_workers):
    found = list(sizes(n, width=8, most=64, n_workers=n_workers))
    assert sum(found) == n
    assert all(size % 8 == 0 for size in found[:-1])
    assert found == sorted(found, reverse=True)
    assert found[0] <= 64
    if n > 128 * n_workers:
        assert found[0] == 64
        assert found[-1] <= 8
