"""Build the search index of one encoder from its vectors, measure it, and publish it.

The index is a cache (index_files.py describes the files): it can be deleted and built again. The name of a generation
is a digest of the vectors and the options, so a build without changes finds its result.

1. Choose the kind: exact search up to a size, above it an IVF index (ivf.py) within the memory limit.
2. Write ids and matrix, in the order of photo_id.
3. Update the former IVF index with added and removed photos (ivf_update.py), or train a new one; in parts where the
   memory limit of the store asks for it, or on Spark (parts/assemble.py).
4. Measure recall and latency. If the recall is too low, stop and keep the former index.
5. Rename the folder, then write the manifest, which makes the index current.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import math
import time

import numpy as np
from numpy.typing import NDArray

from photogenic.features.search.exact import Metric, is_extreme, nearest
from photogenic.features.search.index_files import (
    FORMAT,
    PARTS_FORMAT,
    Index,
    IndexManifest,
    mark_of,
    mismatch,
    open_generation,
    publish,
    read_manifest,
    temporary_folder,
    write_rows,
)
from photogenic.features.search.ivf import IvfIndex, ivf_bytes, kind_for
from photogenic.features.search.ivf_update import DRIFT, kept_cells, update_ivf
from photogenic.features.search.parts.assemble import Job, build_parts, needs_parts
from photogenic.features.vectors import reader
from photogenic.warehouse import Store
from photogenic.warehouse.errors import AuditError, StoreError
from photogenic.warehouse.spark.session import Cluster
from photogenic.warehouse.storage.layout import Layout, sha256_of

__all__ = ["build", "is_current", "load", "manifest", "manifests", "memory_limit_of", "vectors_content", "verify"]

_SAMPLE = 50


def build(
    store: Store,
    encoder: str,
    *,
    recall: float = 0.99,
    memory: int | None = None,
    keep_cells: bool = False,
    cluster: Cluster | None = None,
) -> IndexManifest:
    """Bring the index of `encoder` up to date with its vectors. The caller holds the store's lock.

    Args:
        store: the open store.
        encoder: name of the encoder.
        recall: lowest recall@10 against exact search, 0 to 1.
        memory: largest size of the index in memory, in bytes; None sets no limit.
        keep_cells: whether to keep the cells of the former index, however many photos changed.
        cluster: Spark cluster that encodes the parts of an IVF index; None: this machine.

    Raises:
        AuditError: no index within `memory` reaches `recall`; the former index is kept.
        InputError: Spark cannot be reached, or its workers fail.
        MissingPartError: pyspark, pandas or Java is missing.
        StoreError: the encoder has no vectors, they are damaged, the disk is full, or the memory limit of the store is
            too low for the training.
    """
    layout = store.layout
    source = reader.open_vectors(layout, encoder)
    generation = _generation(source.manifest.content, recall, memory)
    former = read_manifest(layout, encoder)
    if former is not None and former.generation == generation and _open_former(layout, former) is not None:
        return former
    n, dim, metric = source.manifest.n_photos, source.dim, source.manifest.metric
    kind = kind_for(n, dim, memory)
    size = ivf_bytes(kind, n, dim)
    if memory is not None and size > memory and kind != "Flat":
        raise AuditError(
            f"The smallest index of {n:,} x {dim} vectors of {encoder}, {kind}, takes {size / 1e6:.0f} MB.",
            f"at most {memory / 1e6:.0f} MB",
            f"features build --only index --index-memory {size // 10**6 + 1}MB",
        )
    with (
        store.progress.stage(f"index {encoder}", n, "photos") as advance,
        temporary_folder(layout, encoder, generation, n * dim * 4) as folder,
    ):
        ids, matrix, is_kept = write_rows(folder, source, advance)
        n_bad, n = n - len(ids), len(ids)
        if metric == "l2" and is_extreme(matrix):
            kind = "Flat"  # the cells of an IVF index are trained in float32
        ivf, n_trained, n_drifted, reached, made_format = None, 0, 0, 1.0, FORMAT
        if kind != "Flat":
            drift = math.inf if keep_cells else DRIFT
            held = _open_former(layout, former)
            kept = kept_cells(held, kind, metric, ids, matrix, drift=drift)
            limit = store.database.settings.memory_bytes // 2
            if cluster is not None or needs_parts(kind, n, dim, limit, held):
                ivf = build_parts(
                    Job(
                        layout=layout,
                        source=source,
                        kind=kept.former.manifest.kind if kept is not None else kind,
                        metric=metric,
                        matrix=matrix,
                        stored=lambda: source.stored_rows()[is_kept],
                        kept=kept,
                        memory=limit,
                        cluster=cluster,
                        progress=store.progress,
                    ),
                    folder,
                )
                n_trained, n_drifted, made_format = n, 0, PARTS_FORMAT
                if kept is not None:
                    n_trained, n_drifted = kept.former.manifest.n_trained, kept.n_changed
            else:
                ivf, n_trained, n_drifted = update_ivf(kept, kind, ids, matrix)
            reached = ivf.tune(matrix, metric, recall)
            if made_format == FORMAT:
                ivf.write(folder / "ivf.faiss")
        if reached < recall:
            raise AuditError(
                f"The index {kind} of {encoder} reaches a recall@10 of at most {reached:.1%}.",
                f"at least {recall:.1%}",
                _remedy(kind, n, dim, reached),
            )
        made = IndexManifest(
            generation=generation,
            encoder=encoder,
            dim=dim,
            n_photos=n,
            input=source.manifest.input,
            metric=metric,
            weights_sha256=source.manifest.weights_sha256,
            vectors_digest=source.manifest.digest,
            vectors_content=source.manifest.content,
            kind=ivf.kind if ivf else kind,
            nprobe=ivf.nprobe if ivf else 0,
            n_trained=n_trained,
            n_drifted=n_drifted,
            wanted_recall=recall,
            recall_at_10=reached,
            p50_ms=_p50_ms(matrix, ivf, metric),
            index_bytes=size,
            files={path.name: sha256_of(path) for path in sorted(folder.iterdir())},
            n_bad=n_bad,
            checksums={path.name: mark_of(path) for path in sorted(folder.iterdir())},
            created_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            format=made_format,
        )
    publish(layout, made)
    return made


def is_current(layout: Layout, encoder: str, *, recall: float = 0.99, memory: int | None = None) -> bool:
    """Whether `build` with the same arguments would leave the index as it is."""
    former, content = read_manifest(layout, encoder), reader.open_vectors(layout, encoder).manifest.content
    return former is not None and former.generation == _generation(content, recall, memory)


def memory_limit_of(made: IndexManifest) -> int | None:
    """A memory limit in bytes with which `build` chooses the same kind of index again; None means no limit."""
    unlimited = made.kind == kind_for(made.n_photos, made.dim)
    return None if unlimited else made.index_bytes


def vectors_content(layout: Layout, encoder: str) -> str:
    """Digest of the vectors that a new index would contain; empty when the encoder has no vectors."""
    try:
        return reader.manifest(layout, encoder).content
    except StoreError:
        return ""


def manifest(layout: Layout, encoder: str) -> IndexManifest:
    """Read the manifest of the index of `encoder`, without opening the index.

    Raises:
        StoreError: the encoder has no index.
    """
    found = read_manifest(layout, encoder)
    if found is None:
        others = [known.encoder for known in manifests(layout)]
        raise StoreError(
            f"There is no search index for {encoder} in {layout.root}.",
            f"one of: {', '.join(others)}" if others else "an index, made by features build",
            f"features build --encoder {encoder}",
        )
    return found


def manifests(layout: Layout) -> list[IndexManifest]:
    """Read the manifests of all indices in the store, sorted by encoder."""
    folders = layout.index("any").parent.glob("*/")
    found = (read_manifest(layout, folder.name) for folder in sorted(folders))
    return [known for known in found if known is not None]


def load(layout: Layout, encoder: str) -> Index:
    """Open the index of `encoder`; the matrix is memory-mapped.

    Raises:
        StoreError: the encoder has no index, or its files do not match its manifest.
    """
    try:
        return open_generation(layout, manifest(layout, encoder))
    except FileNotFoundError:
        pass  # a build has just replaced the generation, or a file is missing
    try:
        return open_generation(layout, manifest(layout, encoder))
    except FileNotFoundError as error:
        raise mismatch(encoder, f"{error.filename} is missing", "every file that its manifest names") from error


def verify(layout: Layout, encoder: str) -> IndexManifest:
    """Read every byte of the index and compare its digests with the manifest.

    Raises:
        StoreError: a file is missing or has changed.
    """
    index = load(layout, encoder)
    for name, expected in index.manifest.files.items():
        found = sha256_of(index.folder / name)
        if found != expected:
            raise mismatch(encoder, f"{name} has SHA-256 {found[:12]}", f"{expected[:12]}, as its manifest says")
    return index.manifest


def _generation(content: str, recall: float, memory: int | None) -> str:
    return hashlib.sha256(f"{FORMAT} {content} {recall!r} {memory}".encode()).hexdigest()[:16]


def _open_former(layout: Layout, known: IndexManifest | None) -> Index | None:
    """The former index if it can be opened; a damaged one is built again."""
    if known is None:
        return None
    try:
        return open_generation(layout, known)
    except (FileNotFoundError, StoreError, ValueError):
        return None


def _remedy(kind: str, n: int, dim: int, reached: float) -> str:
    lower = f"--recall {int(reached * 1000) / 1000:g}"
    if ",PQ" not in kind:
        return f"features build --only index {lower}"
    enough = ivf_bytes(kind_for(n, dim), n, dim) // 10**6 + 1
    return f"features build --only index --index-memory {enough}MB, or {lower}"


def _p50_ms(X: NDArray[np.float32], ivf: IvfIndex | None, metric: Metric) -> float:
    """Median time of a query with k = 10 over a sample of the rows, in ms."""
    times = []
    for row in np.random.default_rng(2).permutation(len(X))[:_SAMPLE]:
        start = time.perf_counter()
        if ivf is None:
            nearest(X, X[row : row + 1], 10, metric)
        else:
            ivf.search(X, X[row : row + 1], 10, metric)
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1000 if times else 0.0
