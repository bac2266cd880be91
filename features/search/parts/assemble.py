"""Make an inverted file in parts, so that neither its lists nor its vectors must fit into memory.

1. Train the cells once, on a sample; or keep those of the former index.
2. Encode slices of the photos to part files, on this machine or by tasks on Spark (encode.py, on_spark.py).
3. Merge the parts to files of at most 16 GB of lists (merge.py), which searches map: to one, or to several that are
   searched one by one (sharded.py).

A killed build leaves the trained cells and the finished parts, from which the next one continues.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from photogenic.features.search.exact import Metric
from photogenic.features.search.index_files import Index
from photogenic.features.search.ivf import IvfIndex, ivf_sample, list_bytes
from photogenic.features.search.ivf_update import KeptCells
from photogenic.features.search.parts.encode import (
    PARTS,
    FormerLists,
    Recipe,
    digest_of,
    encode,
    finished,
    keep,
    name_of_part,
    rows_of_name,
)
from photogenic.features.search.parts.merge import merge
from photogenic.features.search.parts.on_spark import StoredRows, encode_on_spark
from photogenic.features.search.parts.sharded import open_cells
from photogenic.features.search.parts.sizes import build_bytes, groups, sample_size, slices
from photogenic.features.vectors.reader import VectorSet
from photogenic.warehouse import Layout
from photogenic.warehouse.progress import Progress
from photogenic.warehouse.spark.session import Cluster
from photogenic.warehouse.storage.layout import remove

__all__ = ["Job", "build_parts", "needs_parts"]


@dataclass(frozen=True, slots=True)
class Job:
    """What is built.

    Attributes:
        layout: paths of the store.
        source: stored vectors.
        kind: FAISS factory string.
        metric: metric of the vectors.
        matrix: float32 (n, dim), the rows of the index.
        stored: int64 (n,), the row of each photo in the stored vectors.
        kept: the former index whose cells are kept; None trains new ones.
        memory: memory for the build, in bytes.
        cluster: Spark cluster that encodes the parts; None: this machine.
        progress: callback of the store.
    """

    layout: Layout
    source: VectorSet
    kind: str
    metric: Metric
    matrix: NDArray[np.float32]
    stored: Callable[[], NDArray[np.int64]]
    kept: KeptCells | None
    memory: int
    cluster: Cluster | None
    progress: Progress


def needs_parts(kind: str, n: int, dim: int, memory: int, former: Index | None) -> bool:
    """Whether an index is made in parts: it does not fit into `memory` in one piece, or the former one is in parts."""
    fits = build_bytes(list_bytes(kind, n, dim), ivf_sample(kind, n), dim) <= memory
    return not fits or (former is not None and former.is_in_parts)


def build_parts(job: Job, target: Path) -> IvfIndex:
    """Write the index files to the folder `target`, and open them.

    Raises:
        InputError: Spark cannot be reached, or its workers fail.
        MissingPartError: pyspark, pandas or Java is missing.
        OSError, RuntimeError: the disk is full.
        StoreError: the memory limit is too low for the training.
    """
    n, dim = job.matrix.shape
    folder = job.layout.index(job.source.manifest.encoder).absolute() / PARTS
    folder.mkdir(parents=True, exist_ok=True)
    trained = _trained(job, folder)
    recipe = _recipe(job, folder, trained)
    size = list_bytes(job.kind, n, dim)
    wanted = slices(n, size, job.memory)
    names = [finished(folder, name_of_part(recipe, *part)) for part in wanted]
    for path in folder.iterdir():
        if path.name not in {trained, recipe.former_rows, *names}:
            remove(path)
    missing = [part for part, name in zip(wanted, names, strict=True) if name is None]
    with job.progress.stage(f"parts {job.source.manifest.encoder}", len(wanted), "parts") as advance:
        advance(len(wanted) - len(missing))
        if job.cluster is not None and missing:
            made = encode_on_spark(job.cluster, recipe, missing, _stored_rows(job, folder))
            advance(len(missing))
        else:
            made = []
            for first, end in missing:
                made.append(encode(recipe, first, end, lambda at, to: job.matrix[at:to]))
                advance(1)
    new = dict(zip(missing, made, strict=True))
    paths = [folder / (name or new[part]) for part, name in zip(wanted, names, strict=True)]
    return _put_together(folder / trained, paths, target, job.kind, size // n)


def _trained(job: Job, folder: Path) -> str:
    """Step 1: the file name of the trained cells in `folder`."""
    if job.kept is not None:
        name = f"trained-{digest_of('kept', job.kept.former.manifest.generation)}"
        return finished(folder, name) or keep(folder, open_cells(job.kept.former.folder / "ivf.faiss"), name)
    n, dim = job.matrix.shape
    cells = int(job.kind.removeprefix("IVF").partition(",")[0])
    size = sample_size(ivf_sample(job.kind, n), cells, dim, job.memory)
    name = f"trained-{digest_of(job.source.manifest.content, job.kind, job.metric, n, size)}"
    return finished(folder, name) or keep(folder, IvfIndex.cells(job.matrix, job.kind, size), name)


def _recipe(job: Job, folder: Path, trained: str) -> Recipe:
    former = job.kept.former if job.kept is not None else None
    generation = former.manifest.generation if former is not None else ""
    digest = digest_of(job.source.manifest.content, job.kind, job.metric, len(job.matrix), trained, generation)
    if job.kept is None or former is None:
        return Recipe(str(folder), trained, digest)
    rows = f"former-{digest}.npy"
    _save(folder / rows, job.kept.rows)
    names = [(name, rows_of_name(name)) for name in sorted(former.manifest.files)]
    whole = ("ivf.faiss", (0, len(former)))
    parts = [(name, found) for name, found in names if found is not None] or [whole]
    lists = tuple(FormerLists(str(former.folder.absolute() / name), *found) for name, found in parts)
    return Recipe(str(folder), trained, digest, lists, rows)


def _stored_rows(job: Job, folder: Path) -> StoredRows:
    known = job.source.manifest
    places = folder / "stored.npy"
    _save(places, job.stored())
    return StoredRows(
        folder=str(job.layout.embeddings(known.encoder).absolute()),
        files=tuple((part.file, part.rows) for part in known.parts),
        digest=known.digest,
        dim=known.dim,
        dtype=known.dtype,
        is_unit=job.metric == "cosine",
        places=str(places),
    )


def _save(path: Path, rows: NDArray[np.int64]) -> None:
    with path.open("wb") as file:
        np.save(file, rows)


def _put_together(cells: Path, parts: list[Path], target: Path, kind: str, row_bytes: int) -> IvfIndex:
    """Step 3: merge the parts in `target` to one file, or to several that are searched one by one."""
    path = target / "ivf.faiss"
    shards = groups([_rows(part) for part in parts], row_bytes)
    if len(shards) == 1 and len(parts) > 1:
        merge(cells, parts, path, sum(end - first for first, end in map(_rows, parts)) * row_bytes)
        return IvfIndex.read(path, kind, 1)
    _link(cells, path)
    made = []
    for first, end in shards:
        of_shard = [part for part in parts if first <= _rows(part)[0] < end]
        made.append(target / f"part-{first:012d}-{end:012d}.faiss")
        if len(of_shard) > 1:
            merge(cells, of_shard, made[-1], (end - first) * row_bytes)
        else:
            _link(of_shard[0], made[-1])
    return IvfIndex.read(path, kind, 1, made)


def _rows(part: Path) -> tuple[int, int]:
    rows = rows_of_name(part.name)
    assert rows is not None, "the file of a part"
    return rows


def _link(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
