"""IVF index for large sets of vectors: search a few cells of an inverted file, then rank by true distance.

Vectors are grouped into about 4 sqrt(n) cells and compressed: SQ8 (one byte per number), or PQ (fewer bytes) for a low
memory limit. A query visits `nprobe` cells, fetches more than k candidates and ranks them by their distances to the
vectors of the matrix. So compression costs hardly any recall; only unvisited cells do. `nprobe` is raised until the
measured recall reaches the wanted one.

Source: Jegou, Douze and Schmid 2011 (inverted file, product quantization); Douze et al. 2024 (FAISS).
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import faiss
from photogenic.features.search.exact import Metric, distances, nearest, on_gpu, unit_rows
from photogenic.features.search.parts.sharded import ShardedIndex, map_lists, open_cells

__all__ = ["EXACT_BYTES", "IvfIndex", "ivf_bytes", "ivf_sample", "kind_for", "list_bytes"]

EXACT_BYTES = 256 * 10**6
"""Size of a matrix up to which search is exact: about 20 ms per query on two cores."""

_MIN_PHOTOS = 10_000
_PER_CELL = 50
_REFINE = {"SQ8": 1.5, "PQ": 10.0}
"""Candidates per result: SQ8 misorders few vectors, and each candidate costs a random read."""

_EXTRA = 4
_QUERIES = 1000


def kind_for(n: int, dim: int, memory: int | None = None) -> str:
    """The FAISS factory string for n vectors: `Flat`, or the most accurate IVF index within `memory` bytes.

    Where no kind fits, return the smallest one; the caller compares its `ivf_bytes`.
    """
    matrix = n * dim * 4
    if n < _MIN_PHOTOS or (matrix <= EXACT_BYTES and (memory is None or matrix <= memory)):
        return "Flat"
    cells = 2 ** round(math.log2(min(4 * math.sqrt(n), n / _PER_CELL)))
    kinds = [f"IVF{cells},SQ8", *(f"IVF{cells},PQ{dim // s}" for s in (4, 8, 16, 32) if dim % s == 0 and dim // s)]
    fitting = [kind for kind in kinds if memory is None or ivf_bytes(kind, n, dim) <= memory]
    return fitting[0] if fitting else kinds[-1]


def ivf_bytes(kind: str, n: int, dim: int) -> int:
    """Size in memory of an index of this kind; for `Flat`, of the matrix."""
    return n * dim * 4 if kind == "Flat" else list_bytes(kind, n, dim) + _cells(kind) * dim * 4


def list_bytes(kind: str, n: int, dim: int) -> int:
    """Size of the codes and ids of an IVF index."""
    code = kind.partition(",")[2]
    return n * ((dim if code == "SQ8" else int(code.removeprefix("PQ"))) + 8)


def ivf_sample(kind: str, n: int) -> int:
    """Number of rows that the cells of an IVF index are trained on."""
    return min(n, _PER_CELL * _cells(kind))


def _cells(kind: str) -> int:
    return int(kind.removeprefix("IVF").partition(",")[0])


@dataclass(slots=True)
class IvfIndex:
    """An inverted file over the rows of a matrix.

    Attributes:
        kind: FAISS factory string.
        index: the FAISS index, or a `ShardedIndex`; its ids are row numbers.
        nprobe: cells that a query visits.
        candidates: the matrix, mapped for reads of single rows; None: the matrix that a search is given.
    """

    kind: str
    index: Any
    nprobe: int
    candidates: NDArray[np.float32] | None = None

    @classmethod
    def train(cls, X: NDArray[np.float32], kind: str) -> IvfIndex:
        """Train the cells on a sample of X, float32 (n, d), and add every row."""
        made = cls(kind, cls.cells(X, kind, ivf_sample(kind, len(X))), 1)
        made.add(X, np.arange(len(X)))
        return made

    @staticmethod
    def cells(X: NDArray[np.float32], kind: str, size: int) -> Any:
        """Train the cells and codes of an empty FAISS index on `size` rows of X."""
        index = faiss.index_factory(X.shape[1], kind)
        index.cp.niter = 10
        index.cp.max_points_per_centroid = _PER_CELL
        index.cp.min_points_per_centroid = 1  # a sample within a memory limit may be small; FAISS would print a warning
        if on_gpu():
            index.clustering_index = faiss.index_cpu_to_all_gpus(faiss.IndexFlatL2(X.shape[1]))
        index.train(X[np.sort(np.random.default_rng(0).permutation(len(X))[:size])])
        return index

    @classmethod
    def read(cls, path: Path, kind: str, nprobe: int, parts: Sequence[Path] = ()) -> IvfIndex:
        """Open an index. The lists of parts, and of an index that was merged from parts, are mapped."""
        if not parts and not path.with_suffix(".ivfdata").exists():
            return cls(kind, faiss.read_index(str(path)), nprobe)
        index = ShardedIndex(open_cells(path), parts) if parts else map_lists(path)
        return cls(kind, index, nprobe, _mapped_for_rows(path.with_name("vectors.npy")))

    def write(self, path: Path) -> None:

        faiss.write_index(self.index, str(path))

    def add(self, X: NDArray[np.float32], rows: NDArray[np.int64], block: int = 65_536) -> None:
        """Add these rows of X to their cells."""
        for start in range(0, len(rows), block):
            part = rows[start : start + block]
            self.index.add_with_ids(np.ascontiguousarray(X[part]), part)

    def renumber(self, new_rows: NDArray[np.int64]) -> None:
        """Renumber row i to new_rows[i], or remove it where that is -1."""
        gone = np.flatnonzero(new_rows < 0)
        if len(gone):
            self.index.remove_ids(faiss.IDSelectorBatch(gone))
        lists = self.index.invlists
        for cell in range(self.index.nlist):
            size = lists.list_size(cell)
            if size:
                ids = faiss.rev_swig_ptr(lists.get_ids(cell), size)
                ids[:] = new_rows[ids]

    def search(
        self,
        X: NDArray[np.float32],
        Q: NDArray[np.float32],
        k: int,
        metric: Metric,
        keep: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Find approximately the k nearest rows of each query, nearest first, by true distance in float32.

        Args:
            X: float32 (n, d), the matrix of this IVF index.
            Q: float32 (q, d).
            k: number of rows.
            metric: see `features.search.exact.Metric`.
            keep: bool (n,), the rows that may be results; None allows all. Fewer rows need a visit to more cells.

        Returns:
            distances float64 (q, k) and rows int64 (q, k), padded with infinity and -1.
        """
        if metric == "cosine":
            Q = unit_rows(Q)
        X = X if self.candidates is None else self.candidates
        nprobe, options = self.nprobe, {}
        if keep is not None:
            nprobe = math.ceil(nprobe * len(keep) / max(int(keep.sum()), 1))
            options["sel"] = faiss.IDSelectorBitmap(np.packbits(keep, bitorder="little"))
        parameters = faiss.SearchParametersIVF(nprobe=min(nprobe, self.index.nlist), **options)
        fetch = max(k + _EXTRA, math.ceil(k * _REFINE["SQ8" if self.kind.endswith("SQ8") else "PQ"]))
        _, rows = self.index.search(Q, fetch, params=parameters)
        rows.sort(axis=1)  # so that equal distances are in order of row
        scores = _scores(X, rows, Q, metric)
        best = np.argsort(scores, axis=1, kind="stable")[:, :k]
        found = np.take_along_axis(scores, best, 1).astype(np.float64)
        np.maximum(found, 0.0, out=found)
        near = np.take_along_axis(rows, best, 1)
        if metric == "l2" and not np.isfinite(found[near >= 0]).all():  # squares out of the range of float32
            true = distances(X, rows, Q, metric)
            best = np.argsort(true, axis=1, kind="stable")[:, :k]
            return np.take_along_axis(true, best, 1), np.take_along_axis(rows, best, 1)
        return (np.sqrt(found) if metric == "l2" else found), near

    def tune(self, X: NDArray[np.float32], metric: Metric, recall: float) -> float:
        """Raise `nprobe` until recall@10 over a sample of the rows reaches `recall` with a margin; return the recall.

        Stop at a quarter of the cells, even if the recall is lower.
        """
        rows = np.sort(np.random.default_rng(1).permutation(len(X))[:_QUERIES])
        truth = _without_self(nearest(X, X[rows], 11, metric)[1], rows)
        goal, self.nprobe = recall + (1 - recall) / 4, 1
        most = max(self.index.nlist // 4, min(self.index.nlist, 16))
        while True:
            found = _without_self(self.search(X, X[rows], 11, metric)[1], rows)
            measured = float(np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(found, truth, strict=True)]))
            if measured >= goal or self.nprobe == most:
                return measured
            self.nprobe = min(max(self.nprobe + 1, self.nprobe * 5 // 4), most)


def _mapped_for_rows(path: Path) -> NDArray[np.float32]:
    """Map a matrix that may be larger than the memory, so that a read of one row reads no other ones.

    Without the advice, Linux reads 128 kB around each row of 2 kB. Scans of the whole matrix have a mapping of their
    own, in which reading ahead helps.
    """
    matrix: NDArray[np.float32] = np.load(path, mmap_mode="r")
    mapping: mmap.mmap = matrix._mmap  # type: ignore[attr-defined]
    mapping.madvise(mmap.MADV_RANDOM)
    return matrix


def _without_self(found: NDArray[np.int64], rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The first ten rows of each query that are not the query itself."""
    return [line[line != row][:10] for line, row in zip(found, rows, strict=True)]


def _scores(
    X: NDArray[np.float32], rows: NDArray[np.int64], Q: NDArray[np.float32], metric: Metric
) -> NDArray[np.float32]:
    """Compute squared distances (l2) or 1 - cos (cosine) of each query to its candidates. float32 (q, c)."""
    out, (n, d) = np.empty(rows.shape, np.float32), Q.shape
    compare = faiss.fvec_L2sqr_by_idx if metric == "l2" else faiss.fvec_inner_products_by_idx
    # FAISS reads each vector in place, on all cores: gathering them first took nearly three times as long.
    arrays = out, np.ascontiguousarray(Q), np.ascontiguousarray(X), np.ascontiguousarray(rows)
    compare(*map(faiss.swig_ptr, arrays), d, n, rows.shape[1])
    if metric == "cosine":
        np.subtract(1.0, out, out=out)
    out[rows < 0] = np.inf
    return out
