"""How large the parts of an index are, when an index is made in parts, and when its parts are merged.

All follow from the memory limit of the store (`FEATURES_MEMORY_LIMIT`), half of which a build of an index uses.
"""

from __future__ import annotations

from collections.abc import Sequence

from photogenic.warehouse.errors import StoreError

__all__ = ["MERGED_BYTES", "add_block", "build_bytes", "groups", "sample_size", "slices"]

MERGED_BYTES = 16 * 10**9
"""Size of lists up to which parts are merged to one file; larger indices have several such files."""

_MOST_ROWS = 1 << 20
"""Most photos of a part: a task of some minutes, and of a few GB."""

_LEAST_ROWS = 4096
"""Photos that FAISS assigns to cells at a time; parts are multiples of it."""

_ADD_BYTES = 1 << 27
_LEAST_PER_CELL = 10
_COPIES = 3
"""Copies of the sample in memory while FAISS trains: the sample, the residuals and the rows of a block."""


def build_bytes(list_bytes: int, sample: int, dim: int) -> int:
    """Memory that a build in one piece takes, in bytes: growing lists, and the sample of the training."""
    return 2 * list_bytes + _COPIES * sample * dim * 4


def slices(n: int, list_bytes: int, memory: int) -> list[tuple[int, int]]:
    """Divide n rows into parts whose lists take at most a quarter of `memory` while they grow to twice their size.

    Args:
        n: number of rows, at least 1.
        list_bytes: size of the lists of all rows.
        memory: memory for the build of the index, in bytes.

    Returns:
        The first row of each part, and the one after its last.
    """
    per_row = max(list_bytes // n, 1)
    rows = min(max(memory // 8 // per_row, 1), _MOST_ROWS)
    rows = max(rows // _LEAST_ROWS, 1) * _LEAST_ROWS
    return [(start, min(start + rows, n)) for start in range(0, n, rows)]


def add_block(dim: int) -> int:
    """Rows that are assigned to cells at a time: at most 65,536, and 128 MB."""
    return min(max(_ADD_BYTES // (4 * dim) // _LEAST_ROWS, 1) * _LEAST_ROWS, 65_536)


def sample_size(wanted: int, cells: int, dim: int, memory: int) -> int:
    """Number of rows to train on: `wanted`, or as many as fit into `memory`.

    Raises:
        StoreError: fewer than ten rows per cell fit.
    """
    fitting = memory // (_COPIES * dim * 4)
    least = min(_LEAST_PER_CELL * cells, wanted)
    if fitting < least:
        needed = 2 * least * _COPIES * dim * 4  # the build uses half of the limit
        raise StoreError(
            f"The training of {cells:,} cells of {dim} numbers takes {needed / 2e6:.0f} MB of memory.",
            f"at most {memory / 1e6:.0f} MB, half of the memory limit of the store",
            f"FEATURES_MEMORY_LIMIT={needed // 10**6 + 1}MB features build --only index",
        )
    return min(wanted, fitting)


def groups(parts: Sequence[tuple[int, int]], row_bytes: int) -> list[tuple[int, int]]:
    """Join neighboring parts to files of at most `MERGED_BYTES`; a larger part stays alone.

    Args:
        parts: first row of each part, and the one after its last, in order.
        row_bytes: size of a row in the lists.

    Returns:
        The first row of each file, and the one after its last.
    """
    joined: list[tuple[int, int]] = []
    for first, end in parts:
        if joined and (end - joined[-1][0]) * row_bytes <= MERGED_BYTES:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((first, end))
    return joined
