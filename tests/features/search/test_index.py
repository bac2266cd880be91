"""The index of stored vectors: its content, when it is built again, and what it refuses."""

from __future__ import annotations

import json
import os
import resource
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from photogenic.features.search import index
from photogenic.features.search.exact import nearest, unit_rows
from photogenic.features.search.index_files import IndexManifest
from photogenic.features.search.ivf import ivf_bytes, kind_for
from photogenic.features.vectors import reader
from photogenic.features.vectors.writer import VectorWriter
from photogenic.maintenance.doctor.artifacts import examine_artifacts
from photogenic.warehouse import AuditError, Database, Layout, Settings, Store, StoreError
from tests.features.toy import clustered, put_vectors


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "store")


@pytest.fixture
def small_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Build an IVF index at test size too."""
    monkeypatch.setattr("photogenic.features.search.ivf.EXACT_BYTES", 0)
    monkeypatch.setattr("photogenic.features.search.ivf._MIN_PHOTOS", 100)


def names(rows: range | np.ndarray) -> list[str]:
    return [f"p{row:06d}" for row in rows]


def build(layout: Layout, **options: Any) -> IndexManifest:
    return index.build(Store(Database(layout, Settings("500MB", 2))), "toy", **options)


def generations(layout: Layout) -> list[str]:
    return sorted(path.name for path in layout.index("toy").iterdir())


def test_holds_the_vectors_in_order_of_id(layout: Layout) -> None:
    X = np.random.default_rng(0).normal(size=(30, 7)).astype(np.float32)
    shuffled = np.random.default_rng(1).permutation(30)
    put_vectors(layout, "toy", [f"p{i:02d}" for i in shuffled], X[shuffled])
    made = build(layout)
    held = index.load(layout, "toy")
    assert held.ids.to_list() == [f"p{i:02d}" for i in range(30)]
    np.testing.assert_array_equal(held.vectors, X)
    np.testing.assert_array_equal(held.rows(["p03", "nobody", "p29", ""]), [3, -1, 29, -1])
    assert (made.kind, made.recall_at_10, made.n_photos, made.metric) == ("Flat", 1.0, 30, "l2")
    assert made.p50_ms > 0
    assert index.verify(layout, "toy") == made


def test_keeps_unit_rows_where_the_metric_is_cosine(layout: Layout) -> None:
    X = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    put_vectors(layout, "toy", names(range(5)), X, metric="cosine")
    build(layout)
    np.testing.assert_allclose(index.load(layout, "toy").vectors, unit_rows(X), rtol=1e-6)


def test_is_rebuilt_only_when_vectors_or_options_changed(layout: Layout) -> None:
    X = np.random.default_rng(0).normal(size=(20, 7)).astype(np.float32)
    put_vectors(layout, "toy", names(range(10)), X[:10])
    first = build(layout)
    assert build(layout) == first
    put_vectors(layout, "toy", names(range(20)), X)
    second = build(layout)
    assert second.generation != first.generation
    assert build(layout, recall=0.9).wanted_recall == 0.9
    assert len(generations(layout)) == 2  # the manifest and one folder


def test_is_a_cache_with_the_same_content_when_made_again(layout: Layout) -> None:
    put_vectors(layout, "toy", names(range(50)), np.random.default_rng(0).normal(size=(50, 7)))
    first = build(layout)
    (layout.index("toy") / "manifest.json").unlink()
    again = build(layout)
    assert again.files == first.files


def test_no_photo_has_a_vector(layout: Layout) -> None:
    put_vectors(layout, "toy", ["a"], np.ones((1, 3)))
    put_vectors(layout, "toy", [], np.empty((0, 3)))
    assert build(layout).n_photos == 0
    held = index.load(layout, "toy")
    np.testing.assert_array_equal(held.rows(["a"]), [-1])


def test_an_unknown_index_names_the_known_ones(layout: Layout) -> None:
    with pytest.raises(StoreError, match="features build --encoder toy"):
        index.load(layout, "toy")
    put_vectors(layout, "toy", ["a"], np.ones((1, 3)))
    build(layout)
    with pytest.raises(StoreError, match="one of: toy"):
        index.load(layout, "toi")


@pytest.mark.parametrize("name", ["ids.parquet", "vectors.npy"])
def test_parts_that_do_not_belong_together_are_refused(layout: Layout, name: str) -> None:
    X = np.random.default_rng(0).normal(size=(20, 7))
    put_vectors(layout, "toy", names(range(10)), X[:10])
    first = build(layout)
    old = (layout.index("toy") / first.generation / name).read_bytes()
    put_vectors(layout, "toy", names(range(20)), X)
    second = build(layout)
    (layout.index("toy") / second.generation / name).write_bytes(old)
    with pytest.raises(StoreError, match="damaged"):
        index.load(layout, "toy")


def test_a_missing_file_is_refused_and_repaired_by_a_build(layout: Layout) -> None:
    put_vectors(layout, "toy", ["a"], np.ones((1, 3)))
    made = build(layout)
    (layout.index("toy") / made.generation / "vectors.npy").unlink()
    with pytest.raises(StoreError, match="missing"):
        index.load(layout, "toy")
    (layout.index("toy") / "manifest.json").unlink()
    build(layout)
    assert len(index.load(layout, "toy")) == 1


def test_a_flipped_byte_is_found_by_verify(layout: Layout) -> None:
    put_vectors(layout, "toy", ["a"], np.ones((1, 3)))
    made = build(layout)
    path = layout.index("toy") / made.generation / "vectors.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(StoreError, match=r"vectors\.npy"):
        index.verify(layout, "toy")


def test_a_manifest_of_another_format_counts_as_none(layout: Layout) -> None:
    put_vectors(layout, "toy", ["a"], np.ones((1, 3)))
    build(layout)
    path = layout.index("toy") / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(StoreError, match="no search index"):
        index.manifest(layout, "toy")
    assert build(layout).format == index.manifest(layout, "toy").format


@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_vectors_that_are_not_finite_are_left_out(layout: Layout, monkeypatch, metric, odd) -> None:
    """A former version stored such vectors; they must not prevent the index."""
    X = np.ones((3, 3), np.float32)
    X[1, 1] = odd
    monkeypatch.setattr(VectorWriter, "storable", lambda _, X: np.ones(len(X), np.bool_))
    put_vectors(layout, "toy", names(range(3)), X, metric=metric)
    made = build(layout)
    assert (made.n_photos, made.n_bad) == (2, 1)
    held = index.load(layout, "toy")
    assert held.ids.to_list() == names([0, 2])
    assert held.vectors.shape == (2, 3)
    assert index.verify(layout, "toy") == made
    [found] = [one for one in examine_artifacts(layout, thorough=True, fix=False) if one.check == "index toy"]
    assert (found.state, "1 photos left out (bad_vector)" in found.found) == ("note", True)


def test_vectors_none_of_which_is_finite_make_an_empty_index(layout: Layout, monkeypatch) -> None:
    monkeypatch.setattr(VectorWriter, "storable", lambda _, X: np.ones(len(X), np.bool_))
    put_vectors(layout, "toy", names(range(3)), np.full((3, 3), np.nan))
    assert (build(layout).n_photos, len(index.load(layout, "toy"))) == (0, 0)


def test_a_vector_that_is_not_finite_is_not_stored(layout: Layout) -> None:
    X = np.ones((3, 3), np.float32)
    X[1, 1], X[2, 2] = np.nan, 1e30
    put_vectors(layout, "toy", names(range(3)), X)
    assert reader.read(layout, "toy")[0] == names([0, 2])


def test_leftovers_of_a_killed_build_are_swept(layout: Layout) -> None:
    put_vectors(layout, "toy", ["a"], np.ones((1, 3)))
    (layout.index("toy") / f".0123.{os.getpid()}.tmp").mkdir(parents=True)
    (layout.index("toy") / ".manifest.json.9.tmp").write_bytes(b"half")  # left by a kill while the manifest was written
    made = build(layout)
    assert generations(layout) == sorted([made.generation, "manifest.json"])


@pytest.mark.parametrize("room", [300, 45_000, 55_000])
def test_a_disk_that_takes_no_more_is_reported_and_the_index_kept(layout: Layout, small_cells: None, room: int) -> None:
    """Limit files to `room` bytes: too little for the ids, for the matrix, or for the IVF index."""
    X = clustered(np.random.default_rng(0), 6000, 2, 40)
    put_vectors(layout, "toy", names(range(50)), X[:50])
    kept = build(layout)
    put_vectors(layout, "toy", names(range(6000)), X)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(StoreError, match="could not be written"):
            build(layout, recall=0.5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert index.load(layout, "toy").manifest == kept
    assert generations(layout) == sorted([kept.generation, "manifest.json"])
    assert build(layout, recall=0.5).n_photos == 6000


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system can only be mounted by root")
def test_a_full_disk_keeps_the_index_and_the_next_run_completes(tmp_path: Path, small_cells: None) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", disk]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        layout = Layout(disk / "store")
        X = clustered(np.random.default_rng(0), 6000, 2, 40)
        put_vectors(layout, "toy", names(range(50)), X[:50])
        kept = build(layout)
        put_vectors(layout, "toy", names(range(6000)), X)
        with (disk / "other").open("wb") as other:  # another file takes the rest
            other.truncate(0)
            free = os.statvfs(disk)
            os.posix_fallocate(other.fileno(), 0, (free.f_bavail - 4) * free.f_frsize)
        with pytest.raises(StoreError, match=r"could not be written: .*No space left"):
            build(layout, recall=0.5)
        assert index.load(layout, "toy").manifest == kept
        assert generations(layout) == sorted([kept.generation, "manifest.json"])
        (disk / "other").unlink()
        assert build(layout, recall=0.5).n_photos == 6000
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)  # lazy, because the opened index is still mapped


def test_kind_follows_size_and_memory() -> None:
    assert kind_for(76_000, 512) == "Flat"
    assert kind_for(9_000, 4096 * 8) == "Flat"
    assert kind_for(200_000, 512) == "IVF2048,SQ8"
    assert kind_for(200_000, 512, memory=50 * 10**6) == "IVF2048,PQ128"
    assert kind_for(76_000, 512, memory=50 * 10**6) == "IVF1024,SQ8"
    assert ivf_bytes("IVF2048,SQ8", 200_000, 512) == 200_000 * 520 + 2048 * 2048


def test_a_memory_limit_that_nothing_fits_names_one_that_fits(layout: Layout, small_cells: None) -> None:
    X = clustered(np.random.default_rng(0), 3000, 32, 20)
    put_vectors(layout, "toy", names(range(3000)), X)
    with pytest.raises(AuditError, match="--index-memory 1MB"):
        build(layout, memory=1000)
    assert build(layout, memory=10**6).kind == "IVF64,SQ8"


def test_a_recall_out_of_reach_names_one_within_reach(layout: Layout, small_cells: None) -> None:
    X = np.random.default_rng(0).normal(size=(3000, 32))  # no clusters: a few cells never hold the nearest
    put_vectors(layout, "toy", names(range(3000)), X)
    with pytest.raises(AuditError, match=r"--recall 0\.[0-9]+"):
        build(layout, recall=0.9999)
    with pytest.raises(StoreError, match="no search index"):
        index.load(layout, "toy")


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_an_ivf_index_reaches_its_recall(layout: Layout, small_cells: None, metric: str) -> None:
    rng = np.random.default_rng(3)
    X = clustered(rng, 6000, 32, 50) * rng.uniform(1, 2, (6000, 1))
    put_vectors(layout, "toy", names(range(6000)), X, metric=metric)
    made = build(layout, recall=0.95)
    held = index.load(layout, "toy")
    assert made.kind == "IVF128,SQ8"
    assert held.ivf is not None
    Q = clustered(rng, 300, 32, 50)
    distances, rows = held.ivf.search(held.vectors, Q, 10, metric)
    true, true_rows = nearest(held.vectors, Q, 10, metric)
    found = rows == true_rows
    assert made.recall_at_10 >= 0.95
    np.testing.assert_allclose(distances[found], true[found], atol=2e-6)
    assert (np.diff(distances, axis=1) >= 0).all()


def test_changes_update_the_cells_until_the_drift_limit(layout: Layout, small_cells: None) -> None:
    X = clustered(np.random.default_rng(4), 4000, 16, 40)
    put_vectors(layout, "toy", names(range(3000)), X[:3000])
    first = build(layout, recall=0.9)
    assert (first.n_trained, first.n_drifted) == (3000, 0)

    # 100 photos are removed, 300 are added between the others, one changes
    rows = np.r_[100:3000, 3600:3900]
    changed = X.copy()
    changed[500] = -X[500]
    put_vectors(layout, "toy", [f"p{row % 3000:06d}{'b' * (row // 3000)}" for row in rows], changed[rows])
    second = build(layout, recall=0.9)
    assert (second.n_trained, second.n_drifted) == (3000, 402)
    held = index.load(layout, "toy")
    assert held.ivf is not None
    assert held.ivf.index.ntotal == 3200
    distances, found = held.ivf.search(held.vectors, np.array(held.vectors), 1, "l2")
    np.testing.assert_array_equal(found[:, 0], np.arange(3200))  # each photo finds itself under its new row
    assert distances.max() == 0

    put_vectors(layout, "toy", names(range(4000)), X)
    third = build(layout, recall=0.9)
    assert (third.n_trained, third.n_drifted) == (4000, 0)
