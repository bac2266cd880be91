"""Preprocessing in child processes: the same vectors and faces as in threads, and no wait for a dead process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from photogenic.features.compute import process_pool, worker_protocol
from photogenic.features.compute.embed_store import embed_photos
from photogenic.features.compute.pipeline import compute
from photogenic.features.compute.preprocess import PhotoTask
from photogenic.features.compute.process_pool import PreprocessorPool
from photogenic.features.faces.detector import FaceSettings
from photogenic.features.vectors import reader
from photogenic.warehouse import StoreError
from tests.features.faces import deadly
from tests.features.gallery import Gallery, portrait

pytestmark = pytest.mark.slow

PAIR = ("efficientnet_lite0", "dlib_face")


@pytest.fixture
def by_processes(monkeypatch):
    monkeypatch.setattr(process_pool, "FROM_THREADS", 2)
    monkeypatch.setattr(process_pool, "LEAST_PHOTOS", 1)


def photos():
    whole = portrait(9)
    some = {f"p{i}": portrait(i, size=200 + 10 * i) for i in range(20)}
    return {**some, "again": some["p3"], "crowd": portrait(40, people=3), "cut": whole[: len(whole) // 2]}


def faces(gallery):
    return gallery.sql("select photo_id, face_no, round(x0, 6), round(confidence, 6) from faces order by all")


def test_processes_give_the_results_of_threads(tmp_path, by_processes, monkeypatch):
    started = []
    start = worker_protocol._start
    monkeypatch.setattr(worker_protocol, "_start", lambda task: started.append(task) or start(task))
    beside = Gallery(tmp_path / "beside", photos())
    report = compute(beside.store, PAIR, flip=True)
    assert len(started) == 2
    monkeypatch.setattr(process_pool, "FROM_THREADS", 99)
    within = Gallery(tmp_path / "within", photos())
    local_report = compute(within.store, PAIR, flip=True)
    assert len(started) == 2
    assert (report.n_faces, report.computed, report.counts) == (
        local_report.n_faces,
        local_report.computed,
        local_report.counts,
    )
    assert report.unreadable == local_report.unreadable == {"truncated": 1}
    assert faces(beside) == faces(within)
    for name in PAIR:
        assert reader.manifest(beside.layout, name).content == reader.manifest(within.layout, name).content


@pytest.mark.parametrize("threads_up_to", [1, 99])
def test_encoders_of_whole_photos_need_no_detector(tmp_path, by_processes, monkeypatch, threads_up_to):
    monkeypatch.setattr(process_pool, "FROM_THREADS", threads_up_to + 1)
    monkeypatch.setattr(process_pool, "Detector", lambda *_: pytest.fail("no encoder of faces is built here"))
    gallery = Gallery(tmp_path / "store", {f"p{i}": portrait(i) for i in range(3)})
    assert embed_photos(gallery.store, "efficientnet_lite0") == 3
    assert reader.read(gallery.layout, "efficientnet_lite0")[0] == ["p0", "p1", "p2"]


def test_bytes_that_are_gone_are_the_same_error(tmp_path, by_processes):
    gallery = Gallery(tmp_path / "store", photos())
    (row,) = gallery.sql("select sha256 from photos where photo_id = 'p5'")
    gallery.layout.photo(str(row[0])).unlink()
    with pytest.raises(StoreError, match="is missing, although the warehouse lists it"):
        compute(gallery.store, PAIR)


def test_a_killed_process_is_replaced(tmp_path):
    gallery = Gallery(tmp_path / "store", {"p": portrait(1)})
    (row,) = gallery.sql("select sha256 from photos")
    order = [PhotoTask(str(row[0]), detect=True, wanted=frozenset())]
    with PreprocessorPool(gallery.layout, FaceSettings(), {}, batch=4, n=1, n_slots=1) as prepare:
        for _ in range(2):
            prepared = prepare(order)
            assert len(prepared.detections[0].faces) == 1
            prepared.done()
            prepare._all[0].child.kill()


def test_a_process_that_is_killed_twice_is_an_error_for_all_callers(tmp_path, monkeypatch):
    monkeypatch.setattr(worker_protocol, "CALL", "tests.features.faces.deadly:serve_photos")
    gallery = Gallery(tmp_path / "store", {"p": deadly.picture("kill")})
    (row,) = gallery.sql("select sha256 from photos")
    order = [PhotoTask(str(row[0]), detect=True, wanted=frozenset())]
    with PreprocessorPool(gallery.layout, FaceSettings(), {}, batch=4, n=1, n_slots=1) as prepare:
        for _ in range(2):
            with pytest.raises(StoreError, match="killed twice before its work was done"):
                prepare(order)


def test_processes_end_with_a_killed_parent(tmp_path):
    Gallery(tmp_path / "store", {"p": portrait(1)})
    code = f"""
import sys, time
from pathlib import Path
from photogenic.features.faces.detector import FaceSettings
from photogenic.features.compute.process_pool import PreprocessorPool
from photogenic.features.compute.embed_store import embed_photos
from photogenic.warehouse import Layout
made = PreprocessorPool(Layout(Path({str(tmp_path / "store")!r})), FaceSettings(), {{}}, batch=4, n=2, n_slots=1)
print(*(line.child.pid for line in made._all), flush=True)
time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    ) as parent:
        children = [int(word) for word in parent.stdout.readline().split()]
        parent.send_signal(signal.SIGKILL)
    assert len(children) == 2
    end = time.monotonic() + 60
    while alive := [pid for pid in children if running(pid)]:
        assert time.monotonic() < end, alive
        time.sleep(0.1)


def running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] != "Z"
