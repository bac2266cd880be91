"""Encode one part of an index: the cells and codes of a slice of the photos, as a FAISS file that is written once.

    .parts/trained-<what it was trained on>-<checksum>.faiss        cells without photos
    .parts/part-<first row>-<last row>-<recipe>-<checksum>.faiss    a part: complete from the moment it has this name

The name of a part has a digest of all that it depends on, and the checksum of its bytes. So the next build uses each
part of a killed one, and a damaged part is made again. Codes of photos that did not change are copied from the former
index; all others are computed.
"""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import faiss
from photogenic.features.search.parts.sharded import map_lists, open_cells
from photogenic.features.search.parts.sizes import add_block
from photogenic.warehouse.storage.checksum import checksum
from photogenic.warehouse.storage.layout import sync_directory

__all__ = [
    "PARTS",
    "FormerLists",
    "Recipe",
    "digest_of",
    "encode",
    "finished",
    "keep",
    "name_of_part",
    "rows_of_name",
]

PARTS = ".parts"
"""Folder of unfinished parts, beside the generations of an index."""

_PART = re.compile(r"part-(\d{12})-(\d{12})(-.*)?\.faiss")

Read = Callable[[int, int], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class FormerLists:
    """A file of the former index.

    Attributes:
        path: index file.
        first, end: its photos are among these rows of the former index, without `end`.
    """

    path: str
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """What all parts of a build have in common. It is plain data, which Spark sends to its workers.

    Attributes:
        folder: folder of the parts.
        trained: file name of the trained cells in it.
        digest: digest of the vectors, the cells and the former index.
        former: files of the former index whose codes are kept; empty if all are computed.
        former_rows: file name of an int64 array (n,): the row in the former index of each photo; -1: not there or
            changed.
    """

    folder: str
    trained: str
    digest: str
    former: tuple[FormerLists, ...] = ()
    former_rows: str = ""


def encode(recipe: Recipe, first: int, end: int, read: Read) -> str:
    """Write the part with the rows from `first` to `end`, and return its file name.

    Args:
        recipe: what all parts have in common.
        first: first row of the part.
        end: row after its last.
        read: function from a first row and an end to vectors float32 (end - first, d).
    """
    folder = Path(recipe.folder)
    index = open_cells(folder / recipe.trained)
    fresh = np.arange(first, end)
    if recipe.former:
        former_rows = np.load(folder / recipe.former_rows, mmap_mode="r")[first:end]
        for lists in recipe.former:
            _copy_codes(index, lists, np.asarray(former_rows), first)
        fresh = first + np.flatnonzero(former_rows < 0)
    block = add_block(index.d)
    for start in range(first, end, block):
        rows = fresh[np.searchsorted(fresh, start) : np.searchsorted(fresh, start + block)]
        if len(rows):
            X = read(start, min(start + block, end))
            index.add_with_ids(np.ascontiguousarray(X[rows - start]), rows)
    if index.ntotal != end - first:
        raise OSError(f"the part has {index.ntotal} photos in place of {end - first}")
    return keep(folder, index, name_of_part(recipe, first, end))


def keep(folder: Path, index: Any, name: str) -> str:
    """Write an index file durably as `<name>-<checksum>.faiss`, and return that name."""
    temporary = folder / f"{uuid.uuid4().hex}.tmp"  # another try of the same task may be running
    try:
        faiss.write_index(index, str(temporary))
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        made = f"{name}-{checksum(temporary)}.faiss"
        temporary.replace(folder / made)
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(folder)
    return made


def finished(folder: Path, name: str) -> str | None:
    """The whole name of a file that `keep` wrote and that has not changed since; damaged ones are removed."""
    for path in sorted(folder.glob(f"{name}-*.faiss")):
        if checksum(path) == path.stem.rpartition("-")[2]:
            return path.name
        path.unlink()
    return None


def name_of_part(recipe: Recipe, first: int, end: int) -> str:
    """The name of a part without its checksum."""
    return f"part-{first:012d}-{end:012d}-{recipe.digest}"


def rows_of_name(name: str) -> tuple[int, int] | None:
    """The first row of a part and the one after its last, from its file name; None: it is not a part."""
    match = _PART.fullmatch(name)
    return None if match is None else (int(match[1]), int(match[2]))


def digest_of(*facts: object) -> str:
    """A digest of values, 16 hex digits."""
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def _copy_codes(index: Any, lists: FormerLists, former_rows: NDArray[np.int64], first: int) -> None:
    """Add the codes of the photos that the former file has to the lists, under their new rows."""
    here = np.flatnonzero((former_rows >= lists.first) & (former_rows < lists.end))
    if not len(here):
        return
    new_rows = np.full(lists.end - lists.first, -1)
    new_rows[former_rows[here] - lists.first] = first + here
    former = map_lists(Path(lists.path))
    for cell, ids, codes in _entries(former):
        rows = new_rows[ids - lists.first]
        kept = np.flatnonzero(rows >= 0)
        if len(kept):
            entries = np.ascontiguousarray(rows[kept]), np.ascontiguousarray(codes[kept])
            index.invlists.add_entries(cell, len(kept), *map(faiss.swig_ptr, entries))
            index.ntotal += len(kept)


def _entries(index: Any) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.uint8]]]:
    """Yield number, ids and codes of the cells of an index that are not empty."""
    lists = index.invlists
    for cell in range(index.nlist):
        size = lists.list_size(cell)
        if size:
            ids = faiss.rev_swig_ptr(lists.get_ids(cell), size)
            codes = faiss.rev_swig_ptr(lists.get_codes(cell), size * lists.code_size)
            yield cell, ids, codes.reshape(size, lists.code_size)
