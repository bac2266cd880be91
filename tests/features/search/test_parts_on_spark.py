"""Spark's tasks encode the same parts as this machine, from the stored vectors; a task that dies is tried again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from photogenic.features.search import index, ivf
from photogenic.features.search.parts import assemble, encode, on_spark, sizes
from photogenic.warehouse import Database, InputError, Layout, Settings, Store
from photogenic.warehouse.spark.session import Cluster
from tests.features.search.test_parts import answers, digests
from tests.features.toy import clustered, put_vectors

N, DIM, PART = 2500, 16, 1024
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ivf, "EXACT_BYTES", 0)
    monkeypatch.setattr(ivf, "_MIN_PHOTOS", 100)
    monkeypatch.setattr(ivf, "_QUERIES", 200)
    monkeypatch.setattr(sizes, "_LEAST_ROWS", PART)
    monkeypatch.setattr(sizes, "_MOST_ROWS", PART)
    monkeypatch.setattr(sizes, "MERGED_BYTES", 0)


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A store whose vectors are in several Parquet parts, not in order of photo, with other photos between."""
    monkeypatch.setattr("photogenic.features.vectors.writer._FULL", 300)
    layout = Layout(tmp_path / "store")
    X = clustered(np.random.default_rng(5), N, DIM, 60) * np.random.default_rng(1).uniform(1, 2, (N, 1))
    order = np.random.default_rng(2).permutation(N)
    for some in (order[:1400], order[:2200], order):
        put_vectors(layout, "toy", [f"p{row:06d}" for row in some], X[some], metric="cosine")
    return layout


def build(layout: Layout, **options: Any) -> Any:
    return index.build(Store(Database(layout, Settings("1MB", 2))), "toy", recall=0.9, **options)


def test_parts_equal_those_of_this_machine_and_a_killed_build_is_continued(
    filled: Layout, tmp_path: Path, master: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(filled)
    local, found = digests(filled), answers(filled)
    (filled.index("toy") / "manifest.json").unlink()
    made = build(filled, cluster=Cluster(master))
    assert made.format == 2
    assert len([name for name in made.files if name.startswith("part-")]) == 3
    assert digests(filled) == local
    for mine, theirs in zip(answers(filled), found, strict=True):
        np.testing.assert_array_equal(mine, theirs)

    # a build that was killed on this machine is continued on Spark, which encodes what is missing
    (filled.index("toy") / "manifest.json").unlink()
    write = encode.encode

    def killed(recipe: Any, first: int, end: int, read: Any) -> str:
        if first:
            raise KeyboardInterrupt
        return write(recipe, first, end, read)

    asked: list[int] = []
    send = on_spark.encode_on_spark
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(assemble, "encode", killed)
        build(filled)
    with monkeypatch.context() as patched:
        patched.setattr(
            assemble, "encode_on_spark", lambda *given: asked.extend(first for first, _ in given[2]) or send(*given)
        )
        build(filled, cluster=Cluster(master))
    assert asked == [PART, 2 * PART]
    assert digests(filled) == local

    # a folder that the workers do not see is an error, and the index stays
    (filled.index("toy") / "manifest.json").rename(tmp_path / "kept.json")
    places = assemble._stored_rows
    with monkeypatch.context() as patched:
        patched.setattr(assemble, "_stored_rows", lambda *given: _elsewhere(places(*given)))
        with pytest.raises(InputError, match=r"The job on Spark at .* failed"):
            build(filled, cluster=Cluster(master))
    (tmp_path / "kept.json").rename(filled.index("toy") / "manifest.json")
    assert digests(filled) == local


def _elsewhere(stored: Any) -> Any:
    return replace(stored, folder="/nowhere")


def test_rows_are_read_from_the_stored_parts(filled: Layout) -> None:
    build(filled)
    held = index.load(filled, "toy")
    source = index.reader.open_vectors(filled, "toy")
    known = source.manifest
    assert len(known.parts) > 1
    places = filled.root / "places.npy"
    np.save(places, source.stored_rows())
    files = tuple((part.file, part.rows) for part in known.parts)
    stored = on_spark.StoredRows(
        str(filled.embeddings("toy")), files, known.digest, DIM, known.dtype, is_unit=True, places=str(places)
    )
    for first, end in ((0, N), (17, 18), (1000, 2300)):
        np.testing.assert_array_equal(stored.read(first, end), held.vectors[first:end])


def test_a_try_that_dies_leaves_nothing_that_counts(filled: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    build(filled)
    folder = filled.root / "parts"
    folder.mkdir()
    held = index.load(filled, "toy")
    assert held.ivf is not None
    trained = encode.keep(folder, held.ivf.index.cells, "trained-0123")
    recipe = encode.Recipe(str(folder), trained, "0123456789abcdef")
    with monkeypatch.context() as full, pytest.raises(RuntimeError):
        full.setattr(faiss, "write_index", _torn)
        encode.encode(recipe, 0, PART, lambda first, end: held.vectors[first:end])
    assert encode.finished(folder, encode.name_of_part(recipe, 0, PART)) is None
    assert [path.name for path in folder.iterdir()] == [trained]
    one = encode.encode(recipe, 0, PART, lambda first, end: held.vectors[first:end])
    other = encode.encode(recipe, 0, PART, lambda first, end: held.vectors[first:end])
    assert one == other == encode.finished(folder, encode.name_of_part(recipe, 0, PART))


def _torn(_: Any, path: str) -> None:
    Path(path).write_bytes(b"half")
    raise RuntimeError("write error: No space left on device")


CHILD = """
import sys
from pathlib import Path
from photogenic.features.search import ivf
from photogenic.features.search.parts import on_spark, sizes
from photogenic.warehouse import Layout
from photogenic.warehouse.spark.session import Cluster
from tests.features.search.test_parts_on_spark import build, dying
ivf.EXACT_BYTES, ivf._MIN_PHOTOS, ivf._QUERIES = 0, 100, 200
sizes._LEAST_ROWS, sizes._MOST_ROWS, sizes.MERGED_BYTES = 1024, 1024, 0
on_spark._work = dying
build(Layout(Path(sys.argv[1])), cluster=Cluster("local[2,3]"))
"""

WORK = on_spark._work


def dying(recipe: Any, stored: Any, folders: Any, batches: Iterator[Any]) -> Iterator[Any]:
    """Kill the worker the first time that it has written a part, before Spark receives its name."""
    for made in WORK(recipe, stored, folders, batches):
        mark = Path(recipe.folder).parents[1] / "died"
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        yield made


@pytest.mark.thorough
def test_a_worker_that_is_killed_is_tried_again_by_spark(filled: Layout, master: str) -> None:
    build(filled)
    local = digests(filled)
    (filled.index("toy") / "manifest.json").unlink()
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", CHILD, str(filled.root)], cwd=root, check=True)
    assert (filled.root / "indices" / "died").exists()
    (filled.root / "indices" / "died").unlink()
    assert digests(filled) == local
