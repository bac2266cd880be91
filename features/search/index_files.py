"""Files of a search index: the manifest, and one generation of ids, vectors and IVF index.

indices/<encoder>/
  manifest.json             written last; names the current generation
  <generation>/ids.parquet  photo_id, sorted: row i of everything below is photo i
  <generation>/vectors.npy  float32 (n, dim), memory-mapped by readers; unit rows where the metric is cosine
  <generation>/ivf.faiss    only above the size where exact search is fast enough (ivf.py)
  <generation>/ivf.ivfdata  its lists, where they were merged from parts (parts/assemble.py); readers map them
  <generation>/part-*       the same for each of several files; `ivf.faiss` then has the cells only
  .parts/                   parts of a build that did not finish; the next build continues from them
"""

from __future__ import annotations

import bisect
import contextlib
import io
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import pl
from photogenic.features.search.exact import Metric, unit_rows
from photogenic.features.search.ivf import IvfIndex
from photogenic.features.search.parts.encode import PARTS, rows_of_name
from photogenic.features.vectors.reader import VectorSet
from photogenic.warehouse.errors import StoreError
from photogenic.warehouse.storage.checksum import checksum
from photogenic.warehouse.storage.layout import Layout, remove, sha256_of, sync_directory, write_atomically
from photogenic.warehouse.storage.manifest import (
    checked_file_name,
    dump_with_digest,
    load_with_digest,
    read_limited,
    to_dataclass,
)

__all__ = [
    "FEW_IDS",
    "FORMAT",
    "PARTS_FORMAT",
    "Index",
    "IndexManifest",
    "discard_parts",
    "mark_of",
    "mismatch",
    "open_generation",
    "place",
    "publish",
    "read_manifest",
    "temporary_folder",
    "write_rows",
]

FEW_IDS = 8
"""Largest number of ids that are looked up one by one: polars takes longer to begin."""

FORMAT = 1
"""Version of the folder format; an index of another format is ignored and built again."""

PARTS_FORMAT = 2
"""Version of an index in parts, which earlier versions of the program ignore and build again."""

_BLOCK = 16_384

_READ_BYTES = 16 * 10**9
"""Size of a file up to which all its bytes are checked whenever the index is opened; of larger ones, the size is."""


@dataclass(frozen=True, slots=True)
class IndexManifest:
    """Origin and measurements of an index.

    Attributes:
        generation: folder name, a digest of the vectors and of the options.
        encoder, dim, n_photos, input, metric, weights_sha256: as in the manifest of the vectors.
        vectors_digest: digest of encoder, weights and crop rule.
        vectors_content: digest of the Parquet parts.
        kind: `Flat` (exact) or the FAISS factory string of the IVF index, such as `IVF4096,SQ8`.
        nprobe: cells of the IVF index that a query visits; 0 for `Flat`.
        n_trained: photos that the cells of the IVF index were trained on; 0 for `Flat`.
        n_drifted: photos added, changed or removed since the training.
        wanted_recall: lowest recall@10 that the build accepts.
        recall_at_10: recall against exact search, measured at build time over a sample of the photos.
        p50_ms: median time of one query in ms, measured at build time.
        index_bytes: size in memory of the IVF index, or of the matrix for `Flat`.
        files: SHA-256 by file name.
        checksums: `mark_of` each file, by its name; verified whenever the index is opened.
        created_at: ISO 8601, UTC.
        n_bad: photos left out because their stored vector is not finite.
    """

    generation: str
    encoder: str
    dim: int
    n_photos: int
    input: str
    metric: Metric
    weights_sha256: str
    vectors_digest: str
    vectors_content: str
    kind: str
    nprobe: int
    n_trained: int
    n_drifted: int
    wanted_recall: float
    recall_at_10: float
    p50_ms: float
    index_bytes: int
    files: dict[str, str]
    created_at: str
    format: int = FORMAT
    checksums: dict[str, str] = field(default_factory=dict)
    n_bad: int = 0


class Index:
    """One generation, opened for reading."""

    def __init__(self, folder: Path, manifest: IndexManifest, ids: pl.Series, vectors: NDArray[np.float32]) -> None:
        self.folder, self.manifest, self.ids, self.vectors = folder, manifest, ids, vectors

    def __len__(self) -> int:
        return self.manifest.n_photos

    def rows(self, photo_ids: Sequence[str] | pl.Series) -> NDArray[np.int64]:
        """The row of each photo; -1 where it has no vector. int64 (len(photo_ids),)."""
        if len(photo_ids) <= FEW_IDS:
            return np.array([place(self.ids, photo_id) for photo_id in photo_ids], np.int64)
        wanted = pl.Series(photo_ids, dtype=pl.String)
        if not len(self):
            return np.full(len(wanted), -1)
        rows = self.ids.search_sorted(wanted).to_numpy().astype(np.int64)
        found = (self.ids.gather(np.minimum(rows, len(self) - 1)) == wanted).to_numpy()
        return np.where(found, rows, -1)

    @cached_property
    def ivf(self) -> IvfIndex | None:
        """The approximate index, or None where exact search is fast enough."""
        if self.manifest.kind == "Flat":
            return None
        parts = [self.folder / name for name in sorted(self.manifest.files) if rows_of_name(name)]
        return IvfIndex.read(self.folder / "ivf.faiss", self.manifest.kind, self.manifest.nprobe, parts)

    @property
    def is_in_parts(self) -> bool:
        """Whether the index was made in parts, so that its lists are mapped."""
        return self.manifest.format == PARTS_FORMAT


def place(ids: pl.Series, photo_id: str) -> int:
    """Return the place of an id among sorted ones; -1: it is not there."""
    found = bisect.bisect_left(ids, photo_id)
    return found if found < len(ids) and ids[found] == photo_id else -1


def read_manifest(layout: Layout, encoder: str) -> IndexManifest | None:
    """Read the manifest of the index of `encoder`; None without one of this format."""
    try:
        manifest = _manifest(read_limited(layout.index(encoder) / "manifest.json"))
    except (OSError, ValueError):
        return None
    if "ids.parquet" not in manifest.files or not 0 < manifest.dim < 1 << 20:
        return None
    return manifest if manifest.format in (FORMAT, PARTS_FORMAT) else None


@lru_cache(maxsize=64)
def _manifest(data: bytes) -> IndexManifest:
    """Parse and check a manifest; cached, because each search reads the manifest to detect a newer index."""
    manifest = to_dataclass(IndexManifest, load_with_digest(data))
    for name in (manifest.generation, *manifest.files, *manifest.checksums):
        checked_file_name(name)
    return manifest


@contextlib.contextmanager
def temporary_folder(layout: Layout, encoder: str, generation: str, n_bytes: int) -> Iterator[Path]:
    """Provide a folder that is durably renamed to the generation on success, and removed otherwise.

    Raises:
        StoreError: the files, `n_bytes` to twice that, cannot be written.
    """
    root = layout.index(encoder)
    root.mkdir(parents=True, exist_ok=True)
    for stale in root.glob(".*.tmp"):
        remove(stale)
    folder = root / f".{generation}.{os.getpid()}.tmp"
    folder.mkdir()
    try:
        yield folder
        for path in folder.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        sync_directory(folder)
        shutil.rmtree(root / generation, ignore_errors=True)
        folder.replace(root / generation)
        sync_directory(root)
    except (OSError, RuntimeError) as error:  # FAISS reports a full disk as RuntimeError
        raise StoreError(
            f"The index of {encoder} could not be written: {error}",
            f"a writable folder with about {2 * n_bytes // 10**6 + 1} MB free",
            "free some disk space, then features build --only index",
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_rows(
    folder: Path, source: VectorSet, advance: Callable[[int], None]
) -> tuple[pl.Series, NDArray[np.float32], NDArray[np.bool_]]:
    """Write ids and matrix of all photos, and return both, the matrix memory-mapped, and a mask of the photos.

    Vectors that are not finite, which former versions stored, are left out; the mask says which were kept. Blocks are
    written instead of mapped, because a mapping would end the process on a full disk.

    Raises:
        StoreError: the number of vectors differs from the manifest.
    """
    known = source.manifest
    ids = pl.Series("photo_id", source.ids(), dtype=pl.String)
    if len(ids) != known.n_photos or not ids.is_unique().all():
        raise mismatch(known.encoder, f"there are vectors of {ids.n_unique()} photos", f"{known.n_photos}, each once")
    kept = np.ones(len(ids), np.bool_)
    with (folder / "vectors.npy").open("wb") as file:
        _write_header(file, len(ids), known.dim)
        at = 0
        for photo_ids, X in source.batches(rows=_BLOCK):
            finite = np.isfinite(X).all(axis=1)
            kept[at : at + len(photo_ids)] = finite
            at += len(photo_ids)
            file.write((unit_rows(X[finite]) if known.metric == "cosine" else X[finite]).data)
            advance(len(X))
        ids = ids.filter(pl.Series(kept))
        file.seek(0)
        _write_header(file, len(ids), known.dim)  # as long as before: numpy leaves room for a growing number
    names = io.BytesIO()  # polars raises its own exception on a full disk; a write in Python raises OSError
    pl.DataFrame([ids]).write_parquet(names)
    (folder / "ids.parquet").write_bytes(names.getbuffer())
    return ids, _matrix(folder, len(ids), known.dim), kept


def _write_header(file: BinaryIO, n: int, dim: int) -> None:
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (n, dim)})


def publish(layout: Layout, made: IndexManifest) -> None:
    """Make a finished generation the current one, and remove the others."""
    root = layout.index(made.encoder)
    write_atomically(root / "manifest.json", dump_with_digest(asdict(made)))
    for old in root.iterdir():
        if old.is_dir() and old.name != made.generation:
            shutil.rmtree(old)


def discard_parts(layout: Layout) -> None:
    """Remove the parts of builds that did not finish, of all encoders. They are a cache."""
    for root in layout.index("any").parent.glob("*/"):
        remove(root / PARTS)


def open_generation(layout: Layout, known: IndexManifest) -> Index:
    """Open the generation that `known` names; the matrix is memory-mapped.

    Raises:
        FileNotFoundError: a newer generation replaced it.
        StoreError: its files do not match its manifest.
    """
    folder = layout.index(known.encoder) / known.generation
    vectors = _matrix(folder, known.n_photos, known.dim)
    if vectors.shape != (known.n_photos, known.dim):
        raise mismatch(
            known.encoder, f"vectors.npy has shape {vectors.shape}", f"({known.n_photos}, {known.dim}), as its manifest"
        )
    found = sha256_of(folder / "ids.parquet")
    if found != known.files["ids.parquet"]:
        raise mismatch(known.encoder, f"ids.parquet has SHA-256 {found[:12]}", known.files["ids.parquet"][:12])
    for name, expected in known.checksums.items():
        if mark_of(folder / name, expected) != expected:
            raise mismatch(known.encoder, f"{name} is not what was written", f"the checksum {expected}")
    ids = pl.read_parquet(folder / "ids.parquet", glob=False)["photo_id"]
    return Index(folder, known, ids, vectors)


def mark_of(path: Path, expected: str | None = None) -> str:
    """The checksum of a file (warehouse/storage/checksum.py), or of a large one the text `SIZE bytes`.

    Args:
        path: the file.
        expected: the mark to compare it with; None makes a new one.
    """
    size = path.stat().st_size
    if (expected is None and size > _READ_BYTES) or (expected or "").endswith(" bytes"):
        return f"{size} bytes"
    return checksum(path)


def _matrix(folder: Path, n: int, dim: int) -> NDArray[np.float32]:
    """Map the matrix of a generation; an empty file cannot be mapped."""
    if n == 0:
        return np.empty((0, dim), np.float32)
    try:
        matrix: NDArray[np.float32] = np.load(folder / "vectors.npy", mmap_mode="r")
    except (ValueError, EOFError, SyntaxError, OverflowError) as error:
        raise mismatch(folder.parent.name, f"vectors.npy cannot be read ({error})", f"float32 ({n}, {dim})") from error
    return matrix


def mismatch(encoder: str, found: str, expected: str) -> StoreError:
    """The error of an index whose files do not match its manifest."""
    return StoreError(
        f"The search index of {encoder} is damaged: {found}.",
        expected,
        "features build --only index",
    )
