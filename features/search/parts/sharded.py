"""One inverted file in several mapped files: search them part by part, and merge the results.

All parts have the cells of one training. So the candidates of a query are those of one index with all photos: the cells
are chosen once, each part is searched in these cells, and the nearest candidates of all parts are kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import faiss
from photogenic.warehouse.processes.threads import available_cores

__all__ = ["ShardedIndex", "map_lists", "open_cells"]

Answer = tuple[NDArray[np.float32], NDArray[np.int64]]


def open_cells(path: Path) -> Any:
    """Read the trained cells of an index file without its lists; its own lists are empty."""
    index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
    lists = faiss.ArrayInvertedLists(index.nlist, index.code_size)
    index.replace_invlists(lists, True)
    lists.this.disown()
    index.ntotal = 0
    return index


def map_lists(path: Path) -> Any:
    """Open an index file with its lists mapped, not read. The lists of a merged index are in the file `*.ivfdata`."""
    index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
    lists = faiss.downcast_InvertedLists(index.invlists)
    lists.prefetch_nthread = 0  # its threads cost more than they save where the pages are in memory
    data = path.with_suffix(".ivfdata")
    if not lists.ptr:  # merged lists, which FAISS would search for under the name that they had while they were made
        if not data.exists():
            raise FileNotFoundError(2, "No such file", str(data))
        lists.filename, lists.read_only = str(data), True
        lists.do_mmap()
    return index


class ShardedIndex:
    """The parts of one inverted file, with the methods of a FAISS index that `IvfIndex` uses.

    Args:
        cells: trained index without photos.
        parts: files of the parts; each has the same cells. They are mapped.
    """

    def __init__(self, cells: Any, parts: Sequence[Path]) -> None:
        self.cells, self.parts = cells, [map_lists(path) for path in parts]
        self.nlist, self.d = int(cells.nlist), int(cells.d)
        self.ntotal = sum(int(part.ntotal) for part in self.parts)
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def search(self, Q: NDArray[np.float32], k: int, *, params: Any) -> Answer:
        """Find the k candidates of each query with the smallest code distances, equal ones in order of row.

        Args:
            Q: float32 (q, d).
            k: number of candidates.
            params: FAISS parameters of the search, with `nprobe` and perhaps a selector.

        Returns:
            squared distances of the codes float32 (q, k) and rows int64 (q, k), padded with infinity and -1.
        """
        Q = np.ascontiguousarray(Q, np.float32)
        distances, cells = self.cells.quantizer.search(Q, params.nprobe)
        asked = cells, distances
        found = self._each(len(Q), lambda part: _search(part, Q, k, asked, params))
        D = np.concatenate([near for near, _ in found], axis=1)
        rows = np.concatenate([near for _, near in found], axis=1)
        D[rows < 0] = np.inf
        best = np.lexsort((rows, D))[:, :k]
        return np.take_along_axis(D, best, 1), np.take_along_axis(rows, best, 1)

    def _each(self, n_queries: int, search: Callable[[Any], Answer]) -> list[Answer]:
        """Search every part: in threads for a few queries, because FAISS answers each query on one core."""
        if len(self.parts) == 1 or n_queries >= available_cores():
            return [search(part) for part in self.parts]
        with self._lock:
            if self._pool is None:
                n = min(len(self.parts), available_cores())
                self._pool = ThreadPoolExecutor(n, thread_name_prefix="search-parts")
        return list(self._pool.map(search, self.parts))


def _search(
    part: Any, Q: NDArray[np.float32], k: int, cells: tuple[NDArray[np.int64], NDArray[np.float32]], params: Any
) -> Answer:
    """Search one part in cells that were chosen for all parts, given with their distances."""
    D, rows = np.empty((len(Q), k), np.float32), np.empty((len(Q), k), np.int64)
    arrays = map(faiss.swig_ptr, (*cells, D, rows))
    part.search_preassigned_c(len(Q), faiss.swig_ptr(Q), k, *arrays, False, params)
    return D, rows
