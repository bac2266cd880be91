"""Stored vectors are joined by id, memory-mapped, replaced atomically, and refused when parts do not match."""

from __future__ import annotations

import json
import os
import resource
import subprocess
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from photogenic.features.encoders.base import Backbone, Encoder
from photogenic.features.vectors import reader, writer
from photogenic.features.vectors.writer import VectorWriter
from photogenic.warehouse import Layout, StoreError
from photogenic.warehouse.storage import parquet_parts
from photogenic.warehouse.storage.manifest import dump_with_digest, load_with_digest

DIM = 6
NET = Backbone("net", "photo", 8, "centre", (0, 0, 0), (1, 1, 1), build=lambda _: pytest.fail("no network is needed"))
TOY = Encoder("toy", NET, "top", DIM, "l2", "none", "nobody")


@pytest.fixture
def layout(tmp_path) -> Layout:
    return Layout(tmp_path / "store")


def _vector(sha256: str, flip: bool = False) -> np.ndarray:
    """The vector of these bytes."""
    return np.random.default_rng([*sha256.encode(), flip]).standard_normal(DIM).astype(np.float32)


def _append(on: VectorWriter, photos: dict[str, str], flip: bool = False) -> None:
    X = np.stack([_vector(sha256, flip) for sha256 in photos.values()])
    on.append(list(photos), list(photos.values()), [flip] * len(photos), X)


def _wanted(photos: dict[str, str]) -> pl.DataFrame:
    columns = {"photo_id": list(photos), "sha256": list(photos.values())}
    return pl.DataFrame(columns, schema={"photo_id": pl.String, "sha256": pl.String})


def _photos(n: int, start: int = 0) -> dict[str, str]:
    return {f"p{i:04d}": f"s{i:04d}" for i in range(start, start + n)}


def _check(layout: Layout, photos: dict[str, str], flip: bool = False) -> None:
    ids, X = reader.read(layout, "toy", flip=flip)
    assert ids == sorted(photos)
    assert X.dtype == np.float32
    assert np.array_equal(X, [_vector(photos[i], flip) for i in ids] if ids else np.empty((0, DIM)))


def test_vectors_are_read_back_by_id(layout):
    photos = _photos(50)
    on = VectorWriter(layout, TOY, "")
    for some in (dict(list(photos.items())[30:]), dict(list(photos.items())[:30])):
        _append(on, some)
    on.commit(_wanted(photos))
    _check(layout, photos)
    ids, X = reader.read(layout, "toy", ["p0031", "p0002", "p0031"])
    assert ids == ["p0031", "p0002", "p0031"]
    assert np.array_equal(X, [_vector(photos[i]) for i in ids])
    assert X.flags.writeable
    assert X.flags.aligned


def test_rows_that_no_manifest_lists_are_not_seen(layout):
    on = VectorWriter(layout, TOY, "")
    _append(on, _photos(3))
    with pytest.raises(StoreError, match="holds no toy vectors"):
        reader.read(layout, "toy")
    on.commit(_wanted(_photos(3)))
    _append(on, _photos(3, start=3))
    _check(layout, _photos(3))


def test_many_row_groups_are_read_back_exactly(layout, monkeypatch):
    monkeypatch.setattr(parquet_parts, "ROW_GROUP", 16)
    monkeypatch.setattr(writer, "ROW_GROUP", 16)
    monkeypatch.setattr(writer, "_FULL", 50)
    photos = _photos(333)
    on = VectorWriter(layout, TOY, "")
    shuffled = np.random.default_rng(0).permutation(list(photos.items()))
    for at in range(0, 333, 40):
        _append(on, dict(shuffled[at : at + 40].tolist()))
    on.commit(_wanted(photos))
    made = reader.manifest(layout, "toy")
    assert [part.rows for part in made.parts if part.rows < 50] == [33]
    _check(layout, photos)
    some = np.random.default_rng(1).permutation(sorted(photos))[:100].tolist()
    assert np.array_equal(reader.read(layout, "toy", some)[1], [_vector(photos[i]) for i in some])
    assert [len(ids) for ids, _ in reader.open_vectors(layout, "toy").batches(rows=200)] == [200, 133]


def test_it_is_ordinary_parquet_for_everybody_else(layout):
    on = VectorWriter(layout, TOY, "")
    _append(on, _photos(20))
    on.commit(_wanted(_photos(20)))
    files = f"{layout.embeddings('toy')}/*.parquet"
    rows = duckdb.sql(f"select photo_id, sha256, flip, embedding from '{files}' order by photo_id").fetchall()
    assert [row[:3] for row in rows] == [(i, s, False) for i, s in _photos(20).items()]
    assert np.array_equal(np.array([row[3] for row in rows], np.float32), reader.read(layout, "toy")[1])
    frame = pl.read_parquet(files)
    assert frame.schema["embedding"] == pl.Array(pl.Float32, DIM)
    metadata = pq.read_metadata(next(layout.embeddings("toy").glob("*.parquet")))
    assert metadata.row_group(0).column(0).statistics.min == "p0000"


def test_photos_that_vanished_or_changed_lose_their_vectors(layout):
    on = VectorWriter(layout, TOY, "")
    _append(on, _photos(10))
    on.commit(_wanted(_photos(10)))
    left = {i: s for i, s in _photos(10).items() if i not in ("p0003", "p0007")}
    left["p0005"] = "other bytes"
    on.commit(_wanted(left))
    del left["p0005"]
    _check(layout, left)
    text = b"".join(path.read_bytes() for path in layout.embeddings("toy").iterdir())
    assert _vector("s0003").tobytes() not in text
    with pytest.raises(StoreError, match="1 photos have no toy vector, such as p0003"):
        reader.read(layout, "toy", ["p0001", "p0003"])


def test_a_photo_with_the_bytes_of_another_gets_its_vector(layout):
    on = VectorWriter(layout, TOY, "")
    _append(on, _photos(4))
    on.commit(_wanted(_photos(4)))
    twins = {**_photos(4), "p9": "s0002"}
    on.commit(_wanted(twins))
    _check(layout, twins)
    only_the_twin = {"p9": "s0002"}
    on.commit(_wanted(only_the_twin))
    _check(layout, only_the_twin)


def test_mirror_images_are_read_apart(layout):
    on = VectorWriter(layout, TOY, "")
    _append(on, _photos(5))
    _append(on, _photos(3), flip=True)
    on.commit(_wanted(_photos(5)))
    made = reader.manifest(layout, "toy")
    assert (made.n_photos, made.n_flips) == (5, 3)
    _check(layout, _photos(5))
    _check(layout, _photos(3), flip=True)
    with pytest.raises(StoreError, match="no mirrored toy vector"):
        reader.read(layout, "toy", ["p0004"], flip=True)


def test_a_commit_of_unchanged_vectors_changes_no_file(layout):
    on = VectorWriter(layout, TOY, "")
    _append(on, _photos(5))
    on.commit(_wanted(_photos(5)))
    before = {path: path.stat().st_mtime_ns for path in layout.embeddings("toy").iterdir()}
    VectorWriter(layout, TOY, "").commit(_wanted(_photos(5)))
    assert {path: path.stat().st_mtime_ns for path in layout.embeddings("toy").iterdir()} == before


def test_small_builds_rewrite_each_row_only_a_few_times(layout, monkeypatch):
    monkeypatch.setattr(writer, "_FULL", 256)
    monkeypatch.setattr(writer, "_SMALL", 1)
    written = 0
    gathered = VectorWriter._rewrite

    def counting(self: VectorWriter, paths: list[Path], rows: pl.DataFrame) -> Path:
        nonlocal written
        written += len(rows)
        return gathered(self, paths, rows)

    monkeypatch.setattr(VectorWriter, "_rewrite", counting)
    for n in range(1, 101):
        on = VectorWriter(layout, TOY, "")
        _append(on, _photos(1, start=n - 1))
        on.commit(_wanted(_photos(n)))
    _check(layout, _photos(100))
    assert written < 100 * 8
    assert len(reader.manifest(layout, "toy").parts) <= 8


def test_the_content_digest_depends_on_vectors_and_not_on_time(layout, tmp_path):
    made = []
    for folder, order in (("one", range(8)), ("two", reversed(range(8)))):
        there = Layout(tmp_path / folder)
        on = VectorWriter(there, TOY, "")
        for start in order:
            _append(on, _photos(2, start=2 * start))
        on.commit(_wanted(_photos(16)))
        made.append(reader.manifest(there, "toy"))
    assert made[0].content == made[1].content
    assert made[0].parts == made[1].parts


def test_vectors_of_another_network_are_not_mixed_in(layout):
    old = VectorWriter(layout, TOY, "")
    _append(old, _photos(4))
    old.commit(_wanted(_photos(4)))
    newer = Encoder("toy", NET, "bottom", DIM, "l2", "none", "nobody")
    on = VectorWriter(layout, newer, "")
    assert len(on.stored()) == 0
    _append(on, _photos(2))
    assert reader.manifest(layout, "toy").digest == old.digest  # readers keep the old vectors until the commit
    on.commit(_wanted(_photos(4)))
    assert reader.manifest(layout, "toy").digest == on.digest
    _check(layout, _photos(2))
    assert list(layout.embeddings("toy").glob(f"{old.digest}-*")) == []


def test_a_mismatch_is_refused_and_both_sides_are_named(layout):
    on = VectorWriter(layout, TOY, "")
    _append(on, _photos(4))
    on.commit(_wanted(_photos(4)))
    path = layout.embeddings("toy") / "manifest.json"
    facts = json.loads(path.read_text())
    path.write_bytes(dump_with_digest(load_with_digest(path.read_bytes()) | {"digest": "somebody else"}))
    with pytest.raises(StoreError, match=f"made by {on.digest}, and is listed as made by somebody else"):
        reader.read(layout, "toy")
    part = layout.embeddings("toy") / facts["parts"][0]["file"]
    path.write_text(json.dumps(facts))
    with part.open("ab") as file:
        file.write(b"x")
    size = facts["parts"][0]["bytes"]
    with pytest.raises(StoreError, match=f"has {size} bytes, and that file has {size + 1}"):
        reader.read(layout, "toy")
    part.unlink()
    with pytest.raises(StoreError, match="which does not exist"):
        reader.read(layout, "toy")
    on.commit(_wanted(_photos(4)))  # the next build repairs it
    _check(layout, {})


def test_float16_halves_the_bytes_and_reads_as_float32(layout):
    on = VectorWriter(layout, TOY, "", dtype="float16")
    _append(on, _photos(30))
    on.commit(_wanted(_photos(30)))
    _, X = reader.read(layout, "toy")
    assert X.dtype == np.float32
    expected = np.array([_vector(s) for s in _photos(30).values()])
    assert 0 < np.abs(X - expected).max() < 2e-3
    assert on.digest == VectorWriter(layout, TOY, "").digest  # the stored type is kept
    assert on.digest != VectorWriter(layout, TOY, "", dtype="float32").digest


def test_an_opened_set_stays_readable_while_newer_ones_appear(layout):
    on = VectorWriter(layout, TOY, "")
    _append(on, _photos(6))
    on.commit(_wanted(_photos(6)))
    held = reader.open_vectors(layout, "toy")
    on.commit(_wanted(_photos(2)))
    assert held.ids() == sorted(_photos(6))
    assert len(held.read()[1]) == 6
    assert reader.open_vectors(layout, "toy").ids() == sorted(_photos(2))
    assert reader.open_vectors(layout, "toy") is reader.open_vectors(layout, "toy")


def test_a_part_that_cannot_be_written_is_reported_and_damages_nothing(layout):
    on = VectorWriter(layout, TOY, "")
    _append(on, _photos(3))
    on.commit(_wanted(_photos(3)))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, hard))  # largest size of a file
    try:
        with pytest.raises(StoreError, match=r"cannot be written: .*File too large"):
            _append(on, _photos(400, start=3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    _check(layout, _photos(3))
    assert list(layout.embeddings("toy").glob(".*.tmp")) == []
    _append(on, _photos(400, start=3))
    on.commit(_wanted(_photos(403)))
    _check(layout, _photos(403))


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system can only be mounted by root")
def test_a_full_disk_is_reported_and_damages_nothing(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        layout = Layout(disk / "store")
        on = VectorWriter(layout, TOY, "")
        _append(on, _photos(3))
        on.commit(_wanted(_photos(3)))
        with pytest.raises(StoreError, match=r"cannot be written: .*No space left"):
            for start in range(3, 100_000, 400):
                _append(on, _photos(400, start=start))
        _check(layout, _photos(3))
        assert list(layout.embeddings("toy").glob(".*.tmp")) == []
        subprocess.run(["mount", "-o", "remount,size=16m", disk], check=True)
        on = VectorWriter(layout, TOY, "")
        _append(on, _photos(1000))
        on.commit(_wanted(_photos(1000)))
        _check(layout, _photos(1000))
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)  # lazy, because the opened vectors are still mapped
