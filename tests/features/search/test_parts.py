"""Indices in parts: the same answers as in one piece, whatever happened to the parts meanwhile."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from photogenic.features.search import index, ivf
from photogenic.features.search.filters import PhotoFilter
from photogenic.features.search.index_files import IndexManifest
from photogenic.features.search.ivf import IvfIndex
from photogenic.features.search.parts import assemble, encode, merge, sizes
from photogenic.features.search.searcher import answer
from photogenic.warehouse import AuditError, Database, Layout, Settings, Store, StoreError
from tests.features.toy import clustered, put_vectors

N, DIM, PART = 2500, 16, 1024
STARTS = list(range(0, N, PART))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "store")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Build an IVF index at test size too, and in parts of `PART` photos."""
    monkeypatch.setattr(ivf, "EXACT_BYTES", 0)
    monkeypatch.setattr(ivf, "_MIN_PHOTOS", 100)
    monkeypatch.setattr(ivf, "_QUERIES", 200)
    monkeypatch.setattr(sizes, "_LEAST_ROWS", PART)
    monkeypatch.setattr(sizes, "_MOST_ROWS", PART)


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep parts apart at test size too."""
    monkeypatch.setattr(sizes, "MERGED_BYTES", 0)


def names(rows: Any) -> list[str]:
    return [f"p{row:06d}" for row in rows]


def vectors(n: int = N) -> np.ndarray:
    return clustered(np.random.default_rng(5), n, DIM, 60)


def build(layout: Layout, limit: str = "1MB", **options: Any) -> IndexManifest:
    return index.build(Store(Database(layout, Settings(limit, 2))), "toy", recall=0.9, **options)


def files(layout: Layout) -> list[str]:
    made = index.manifest(layout, "toy")
    return sorted(path.name for path in (layout.index("toy") / made.generation).iterdir())


def digests(layout: Layout) -> dict[str, str]:
    made = index.manifest(layout, "toy")
    folder = layout.index("toy") / made.generation
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def entries(layout: Layout) -> list[list[tuple[int, bytes]]]:
    """The rows and codes of each cell, sorted by row."""
    held = index.load(layout, "toy").ivf
    assert held is not None
    parts = getattr(held.index, "parts", [held.index])
    cells: list[list[tuple[int, bytes]]] = [[] for _ in range(held.index.nlist)]
    for part in parts:
        for cell, ids, codes in encode._entries(part):
            cells[cell] += [(int(row), code.tobytes()) for row, code in zip(ids, codes, strict=True)]
    return [sorted(cell) for cell in cells]


def answers(layout: Layout, keep: np.ndarray | None = None, n_queries: int = 200) -> tuple[np.ndarray, np.ndarray]:
    held = index.load(layout, "toy")
    assert held.ivf is not None
    held.ivf.nprobe = 4
    Q = clustered(np.random.default_rng(6), n_queries, DIM, 60)
    return held.ivf.search(held.vectors, Q, 10, held.manifest.metric, keep)


@pytest.fixture(params=["merged", "apart"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Merge all parts, or the first two only."""
    if request.param == "apart":
        monkeypatch.setattr(sizes, "MERGED_BYTES", 2 * PART * (DIM + 8))
    return str(request.param)


@pytest.mark.parametrize("metric", ["l2", pytest.param("cosine", marks=pytest.mark.thorough)])
def test_answers_equal_those_of_one_piece(tmp_path: Path, way: str, metric: Any) -> None:
    whole, parts = Layout(tmp_path / "whole"), Layout(tmp_path / "parts")
    for layout in (whole, parts):
        put_vectors(layout, "toy", names(range(N)), vectors(), metric=metric)
    one, several = build(whole, "4GB"), build(parts)
    assert (one.format, several.format) == (1, 2)
    assert files(whole) == ["ids.parquet", "ivf.faiss", "vectors.npy"]
    apart = ["part-000000000000-000000002048.faiss", "part-000000000000-000000002048.ivfdata"]
    between = ["ivf.ivfdata"] if way == "merged" else [*apart, "part-000000002048-000000002500.faiss"]
    assert files(parts) == ["ids.parquet", "ivf.faiss", *between, "vectors.npy"]
    assert entries(parts) == entries(whole)
    assert (several.kind, several.nprobe, several.recall_at_10) == (one.kind, one.nprobe, one.recall_at_10)
    keep = np.random.default_rng(7).random(N) < 0.3
    for mask in (None, keep):
        for n_queries in (1, 200):  # one query is answered by threads, many in turn
            for mine, theirs in zip(answers(parts, mask, n_queries), answers(whole, mask, n_queries), strict=True):
                np.testing.assert_array_equal(mine, theirs)
    assert index.verify(parts, "toy") == several


def test_equal_vectors_are_in_order_of_row(layout: Layout, apart: None) -> None:
    X = np.repeat(vectors(N // 10), 10, axis=0)
    put_vectors(layout, "toy", names(range(N)), X)
    build(layout)
    held = index.load(layout, "toy")
    assert held.ivf is not None
    _, rows = held.ivf.search(held.vectors, X[:500:10], 10, "l2")
    np.testing.assert_array_equal(rows, np.arange(500).reshape(50, 10))


def test_a_search_through_the_planner_uses_the_parts(layout: Layout, apart: None) -> None:
    put_vectors(layout, "toy", names(range(N)), vectors())
    build(layout)
    held = index.load(layout, "toy")
    own = np.arange(50)
    some = held.ids.gather(np.arange(0, N, 2)).to_frame()
    plan, _, rows = answer(held.vectors[own], PhotoFilter(held, some), 5, exclude=own, exact=False)
    assert plan.way == "selector"
    assert (rows % 2 == 0).all()
    assert not (rows == own[:, None]).any()
    _, _, true = answer(held.vectors[own], PhotoFilter(held, some), 5, exclude=own, exact=True)
    assert (rows == true).mean() > 0.9


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's advice is read from /proc")
def test_candidates_are_read_without_the_rows_around_them(layout: Layout, way: str) -> None:
    """A scan of the whole matrix reads ahead; a mapping of its own, for single rows, does not."""
    put_vectors(layout, "toy", names(range(N)), vectors())
    build(layout)
    held = index.load(layout, "toy")
    assert held.ivf is not None
    flags, of_matrix = list[bool](), False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            of_matrix = line.endswith(f"{held.folder}/vectors.npy")
        elif of_matrix and line.startswith("VmFlags:"):
            flags.append("rr" in line.split())
    assert sorted(flags) == [False, True]
    np.testing.assert_array_equal(held.ivf.candidates, held.vectors)


def test_a_killed_build_continues_from_its_parts(layout: Layout, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    put_vectors(layout, "toy", names(range(N)), vectors())
    build(layout)
    calm = digests(layout)
    (layout.index("toy") / "manifest.json").unlink()
    done: list[int] = []
    write = encode.encode

    def killed(recipe: Any, first: int, end: int, read: Any) -> str:
        if first == STARTS[-1]:
            raise KeyboardInterrupt
        done.append(first)
        return write(recipe, first, end, read)

    monkeypatch.setattr(assemble, "encode", killed)
    with pytest.raises(KeyboardInterrupt):
        build(layout)
    left = sorted(path.name for path in (layout.index("toy") / encode.PARTS).iterdir())
    assert [name.partition("-")[0] for name in left] == ["part"] * 2 + ["trained"]
    monkeypatch.setattr(assemble, "encode", lambda *given: done.append(given[1]) or write(*given))
    monkeypatch.setattr(IvfIndex, "cells", None)  # the cells are not trained again
    build(layout)
    assert done == STARTS
    assert digests(layout) == calm
    assert sorted(path.name for path in layout.index("toy").iterdir())[0] != encode.PARTS


KILLED = """
import os, signal, sys
from pathlib import Path
from photogenic.features.search import ivf
from photogenic.features.search.parts import assemble, sizes
from photogenic.warehouse import Layout
from tests.features.search.test_parts import build
ivf.EXACT_BYTES, ivf._MIN_PHOTOS, ivf._QUERIES, sizes._LEAST_ROWS, sizes._MOST_ROWS = 0, 100, 200, 1024, 1024
step, proceed = sys.argv[2], getattr(assemble, sys.argv[2])
def killed(*given):
    made = proceed(*given)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(assemble, step, killed)
build(Layout(Path(sys.argv[1])))
"""


@pytest.mark.thorough
@pytest.mark.parametrize("step", ["_trained", "_recipe", "encode", "merge"])
def test_killed_after_any_step_the_next_build_makes_the_same_files(layout: Layout, step: str) -> None:
    put_vectors(layout, "toy", names(range(N)), vectors())
    build(layout)
    calm = digests(layout)
    (layout.index("toy") / "manifest.json").unlink()
    root = Path(__file__).parents[3]
    killed = subprocess.run([sys.executable, "-c", KILLED, str(layout.root), step], cwd=root, check=False)
    assert killed.returncode == -9
    build(layout)
    assert digests(layout) == calm
    assert sorted(path.name for path in layout.index("toy").iterdir()) == sorted(
        [index.manifest(layout, "toy").generation, "manifest.json"]
    )


def test_a_damaged_part_of_a_killed_build_is_made_again(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, apart: None
) -> None:
    put_vectors(layout, "toy", names(range(N)), vectors())
    with monkeypatch.context() as poor, pytest.raises(AuditError, match=r"reaches a recall@10 of at most 50.0%"):
        poor.setattr(IvfIndex, "tune", lambda *_: 0.5)
        build(layout)
    folder = layout.index("toy") / encode.PARTS
    hurt = sorted(folder.glob("part-*"))[1]
    hurt.write_bytes(hurt.read_bytes()[:-9] + b"\x07" + hurt.read_bytes()[-8:])
    (folder / "0123.tmp").write_bytes(b"half")
    done: list[int] = []
    write = encode.encode
    monkeypatch.setattr(assemble, "encode", lambda *given: done.append(given[1]) or write(*given))
    build(layout)
    assert done == [PART]  # the parts of a build that was refused are kept: a lower recall needs no new ones
    (layout.index("toy") / "manifest.json").unlink()
    build(layout)
    assert done[1:] == STARTS  # no finished index, and no parts of one


def test_changes_keep_the_cells_and_copy_the_codes(layout: Layout, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    X = vectors(N + 250)
    put_vectors(layout, "toy", names(range(N)), X[:N])
    build(layout)
    cells = cells_of(layout)
    # 125 photos go, one changes, 250 are added between the others
    changed = X.copy()
    changed[700] = -X[700]
    rows = np.r_[125:N, N : N + 250]
    put_vectors(layout, "toy", [f"p{row % N:06d}{'b' * (row // N)}" for row in rows], changed[rows])
    asked: list[int] = []
    add = faiss.IndexIVF.add_with_ids
    monkeypatch.setattr(faiss.IndexIVF, "add_with_ids", lambda self, Y, ids: asked.append(len(Y)) or add(self, Y, ids))
    made = build(layout)
    assert sum(asked) == 251  # only new and changed photos are assigned to cells
    assert (made.n_photos, made.n_trained, made.n_drifted) == (N + 125, N, 125 + 250 + 2)
    np.testing.assert_array_equal(cells_of(layout), cells)
    held = index.load(layout, "toy")
    assert held.ivf is not None
    assert held.ivf.index.ntotal == N + 125
    distances, found = held.ivf.search(held.vectors, np.array(held.vectors), 1, "l2")
    np.testing.assert_array_equal(found[:, 0], np.arange(N + 125))  # each photo finds itself under its new row
    assert distances.max() == 0

    # parts stay parts under a larger limit
    assert build(layout, "4GB", memory=10**7).format == 2


def test_an_index_in_one_piece_grows_into_parts(layout: Layout, apart: None) -> None:
    X = vectors(N + 250)
    put_vectors(layout, "toy", names(range(N)), X[:N])
    assert build(layout, "4GB").format == 1
    cells = cells_of(layout)
    put_vectors(layout, "toy", names(range(N + 250)), X)
    made = build(layout)
    assert (made.format, made.n_trained, made.n_drifted) == (2, N, 250)
    np.testing.assert_array_equal(cells_of(layout), cells)
    assert sum(map(len, entries(layout))) == N + 250


def cells_of(layout: Layout) -> np.ndarray:
    held = index.load(layout, "toy").ivf
    assert held is not None
    cells = getattr(held.index, "cells", held.index)
    codes: np.ndarray = faiss.vector_to_array(faiss.downcast_index(cells.quantizer).codes).copy()
    return codes


def test_a_damaged_or_missing_file_is_refused(layout: Layout, way: str) -> None:
    put_vectors(layout, "toy", names(range(N)), vectors())
    made = build(layout)
    folder = layout.index("toy") / made.generation
    path = folder / ("ivf.ivfdata" if way == "merged" else "part-000000000000-000000002048.ivfdata")
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:-1] + bytes([whole[-1] ^ 1])):
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match=f"damaged: {path.name}"):
            index.load(layout, "toy")
    path.unlink()
    with pytest.raises(StoreError, match="missing"):
        index.load(layout, "toy")
    assert build(layout).files == made.files
    index.load(layout, "toy")


@pytest.mark.parametrize("room", [5_000, 150_000])
def test_a_disk_that_takes_no_more_keeps_the_index(layout: Layout, room: int) -> None:
    """Limit files to `room` bytes: too little for the ids or the matrix."""
    put_vectors(layout, "toy", names(range(50)), vectors()[:50])
    kept = build(layout)
    put_vectors(layout, "toy", names(range(N)), vectors())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(StoreError, match="could not be written"):
            build(layout)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert index.load(layout, "toy").manifest == kept
    assert build(layout).n_photos == N


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system can only be mounted by root")
@pytest.mark.parametrize("step", ["encode", "merge"])
def test_a_full_disk_keeps_the_index_and_the_finished_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "none", disk], check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        layout = Layout(disk / "store")
        put_vectors(layout, "toy", names(range(50)), vectors()[:50])
        kept = build(layout)
        put_vectors(layout, "toy", names(range(N)), vectors())
        proceed = getattr(assemble, step)

        def filled(*given: Any) -> Any:
            """Another file takes the rest of the disk."""
            if step == "merge" or given[1] == STARTS[-1]:
                with (disk / "other").open("wb") as other:
                    free = os.statvfs(disk)
                    os.posix_fallocate(other.fileno(), 0, (free.f_bavail - 2) * free.f_frsize)
            return proceed(*given)

        monkeypatch.setattr(assemble, step, filled)
        with pytest.raises(StoreError, match="could not be written"):
            build(layout)
        monkeypatch.setattr(assemble, step, proceed)
        assert index.load(layout, "toy").manifest == kept
        assert len(list((layout.index("toy") / encode.PARTS).glob("part-*"))) == (2 if step == "encode" else 3)
        (disk / "other").unlink()
        assert build(layout).n_photos == N
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)  # lazy, because the opened index is still mapped


def test_a_merge_whose_process_dies_is_an_error(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    put_vectors(layout, "toy", names(range(N)), vectors())
    monkeypatch.setattr(merge, "python_command", lambda *_: ["sh", "-c", "kill -BUS $$"])
    with pytest.raises(StoreError, match=r"could not be written: .*No space left"):
        build(layout)
    monkeypatch.setattr(merge, "python_command", lambda *_: ["sh", "-c", "echo torn >&2; exit 3"])
    with pytest.raises(StoreError, match=r"could not be written: .*torn"):
        build(layout)
    monkeypatch.undo()


def test_too_little_memory_for_the_training_names_enough(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    put_vectors(layout, "toy", names(range(N)), vectors())
    monkeypatch.setattr(sizes, "_COPIES", 30)
    with pytest.raises(StoreError, match=r"FEATURES_MEMORY_LIMIT=\d+MB features build"):
        build(layout)


def test_the_size_of_parts_follows_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    two_million = 2_000_000 * 520
    monkeypatch.setattr(sizes, "_LEAST_ROWS", 4096)
    monkeypatch.setattr(sizes, "_MOST_ROWS", 1 << 20)
    assert len(sizes.slices(2_000_000, two_million, 2 * 10**9)) == 5
    assert sizes.slices(10, 240, 10**9) == [(0, 10)]
    every = sizes.slices(2_000_000, two_million, 10**9)
    assert every[0][0] == 0
    assert every[-1][1] == 2_000_000
    assert all(one[1] == other[0] for one, other in itertools.pairwise(every))
    assert all((end - first) * 520 * 8 <= 10**9 for first, end in every)
    assert sizes.groups(every[:3], 520) == [(0, every[2][1])]
    assert len(sizes.groups(sizes.slices(10**9, 136 * 10**9, 10**11), 136)) == 9
    assert sizes.groups([(0, 5), (5, 9)], 10**11) == [(0, 5), (5, 9)]
    assert sizes.add_block(512) == 65_536
    assert sizes.add_block(2048) == 16_384
