"""Vectors at rest: Parquet parts of photo_id, sha256, flip, embedding (fixed-size list), under a manifest.

Parts are sorted by photo_id and the floats of a row group lie in one uncompressed page, so that reading maps
the file and copies each vector once, straight to its place: faster than reading the bytes of the file. For
everybody else (DuckDB, polars, Spark) they are ordinary Parquet.

    read(layout, "dlib_face")                  -> ids sorted, X float32 (n, 128)
    read(layout, "dlib_face", ["p7", "p2"])    -> in that order
    opened(layout, "dlib_face")                -> the same without opening it for every question
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import pa, pc, pq
from photogenic.warehouse import Layout, StoreError
from photogenic.warehouse.storage.manifest import to_dataclass
from photogenic.warehouse.storage.parquet_parts import MANIFEST, Part, read_manifest, verify_quickly

__all__ = ["Manifest", "VectorSet", "manifest", "mapped", "opened", "read"]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What made a set of vectors, and which parts hold them.

    Attributes:
        digest: of encoder, weights, crop rule and, for faces, the detector.
        content: of the parts; two manifests with equal contents hold the same vectors.
        n_photos: photos that have a vector (photos with equal bytes count each).
        n_flips: of these, how many have the vector of their mirror image too.
    """

    encoder: str
    dim: int
    input: Literal["photo", "face"]
    metric: Literal["l2", "cosine"]
    licence: str
    weights_sha256: str
    digest: str
    content: str
    dtype: Literal["float32", "float16"]
    n_photos: int
    n_flips: int
    created_at: str
    parts: tuple[Part, ...]


def manifest(layout: Layout, encoder: str) -> Manifest:
    """The manifest of an encoder's vectors.

    Raises:
        StoreError: there are none, or the manifest does not fit what lies beside it.
    """
    folder = layout.embeddings(encoder)
    facts = read_manifest(folder)
    if facts is None:
        raise StoreError(
            f"The store {layout.root} holds no {encoder} vectors.",
            f"{folder / MANIFEST}",
            f"features build --encoder {encoder} --store {layout.root}",
        )
    try:
        return to_dataclass(Manifest, {**facts, "parts": [asdict(part) for part in facts["parts"]]})
    except ValueError as error:
        raise StoreError(
            f"{folder / MANIFEST} is from another version: {error}.", "a manifest of this version", "features build"
        ) from error


def read(
    layout: Layout, encoder: str, photo_ids: Sequence[str] | None = None, flip: bool = False
) -> tuple[list[str], NDArray[np.float32]]:
    """Ids and vectors, float32 (n, dim): all, sorted by id, or those asked for, in the order asked.

    Args:
        layout: the store.
        encoder: its name.
        photo_ids: whose vectors; None for all there are.
        flip: those of the mirror images.

    Raises:
        StoreError: there are no such vectors; an id has none.
    """
    return opened(layout, encoder).read(photo_ids, flip=flip)


def opened(layout: Layout, encoder: str) -> VectorSet:
    """The encoder's vectors, mapped. Kept between calls while the manifest is the same."""
    path = layout.embeddings(encoder) / MANIFEST
    for attempt in range(3):
        try:
            stat = path.stat()
            return _opened(layout, encoder, (stat.st_ino, stat.st_mtime_ns))
        except (FileNotFoundError, StoreError):
            # A build may publish the next manifest, and remove parts of this one, between two looks.
            if attempt == 2 or not path.exists():
                break
    return VectorSet(layout, encoder)


class VectorSet:
    """The vectors of one encoder as one manifest lists them. Stays readable when newer ones replace them."""

    def __init__(self, layout: Layout, encoder: str) -> None:
        self.manifest = manifest(layout, encoder)
        folder = layout.embeddings(encoder)
        for part in self.manifest.parts:
            verify_quickly(folder, part)
        self._groups = [
            group
            for part in self.manifest.parts
            for group in mapped(folder / part.file, self.manifest.digest, self.dim, self.manifest.dtype)
        ]

    @property
    def dim(self) -> int:
        return self.manifest.dim

    def ids(self, *, flip: bool = False) -> list[str]:
        """The photos that have a vector, sorted."""
        return self._sorted(flip)[0]

    def read(
        self, photo_ids: Sequence[str] | None = None, *, flip: bool = False
    ) -> tuple[list[str], NDArray[np.float32]]:
        """As the module's `read`."""
        ids, rows = self._sorted(flip)
        if photo_ids is None:
            return list(ids), self._gathered(rows)
        return list(photo_ids), self._gathered(rows[self._positions(photo_ids, flip)])

    def positions(self, photo_ids: Sequence[str], *, flip: bool = False) -> NDArray[np.int64]:
        """Of each photo its place in `ids`; -1 where it has no vector. int64 (len(photo_ids),)."""
        place = self._index(flip).get
        return np.fromiter((place(photo_id, -1) for photo_id in photo_ids), np.int64, len(photo_ids))

    def at(self, positions: NDArray[np.int64], *, flip: bool = False) -> NDArray[np.float32]:
        """The vectors at these places of `ids`. float32 (len(positions), dim)."""
        return self._gathered(self._sorted(flip)[1][positions])

    def _gathered(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        out = np.empty((len(rows), self.dim), np.float32)
        starts = np.cumsum([0, *(len(vectors) for _, vectors in self._groups)])
        for (_, vectors), start, end in zip(self._groups, starts[:-1], starts[1:], strict=True):
            (places,) = np.nonzero((rows >= start) & (rows < end))
            if len(places) == 0:
                continue
            chosen = rows[places] - start
            if _consecutive(places) and _consecutive(chosen):
                out[places[0] : places[-1] + 1] = vectors[chosen[0] : chosen[-1] + 1]
            else:
                out[places] = vectors[chosen]
        return out

    def batches(self, *, flip: bool = False, rows: int = 65_536) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        """All of them, in order of id, a bounded number at a time."""
        ids, _ = self._sorted(flip)
        for at in range(0, len(ids), rows):
            yield self.read(ids[at : at + rows], flip=flip)

    def _positions(self, photo_ids: Sequence[str], flip: bool) -> NDArray[np.int64]:
        places = self.positions(photo_ids, flip=flip)
        absent = [photo_id for photo_id, place in zip(photo_ids, places, strict=True) if place < 0]
        if not absent:
            return places
        name, some = self.manifest.encoder, ", ".join(absent[:3])
        raise StoreError(
            f"{len(absent)} photos have no {'mirrored ' if flip else ''}{name} vector, such as {some}.",
            "photos with readable bytes" + (" and exactly one face" if self.manifest.input == "face" else ""),
            f"features build --encoder {name}{' --flip' if flip else ''}",
        )

    @functools.cache  # noqa: B019  lives as long as the set
    def _sorted(self, flip: bool) -> tuple[list[str], NDArray[np.int64]]:
        """Ids in order, and the row of each, counted through all groups."""
        if not self._groups:
            return [], np.empty(0, np.int64)
        keys = pa.concat_tables([keys for keys, _ in self._groups])
        rows = np.flatnonzero(keys["flip"].to_numpy() == flip)
        ids = keys["photo_id"].take(pa.array(rows))
        order = pc.array_sort_indices(ids.combine_chunks()).to_numpy()
        return ids.take(pa.array(order)).to_pylist(), rows[order]

    @functools.cache  # noqa: B019
    def _index(self, flip: bool) -> dict[str, int]:
        return {photo_id: at for at, photo_id in enumerate(self._sorted(flip)[0])}


@functools.lru_cache(maxsize=16)
def _opened(layout: Layout, encoder: str, _state: tuple[int, int]) -> VectorSet:
    return VectorSet(layout, encoder)


def mapped(path: Path, digest: str, dim: int, dtype: str) -> Iterator[tuple[pa.Table, NDArray[np.floating]]]:
    """Keys and vectors (rows, dim) of each row group of a part; the vectors are a view of the mapped file.

    A column without nulls, uncompressed, plain, in one page: its values are the last bytes of its chunk.

    Raises:
        StoreError: something else made the part.
    """
    with pq.ParquetFile(path) as file:
        said = (file.schema_arrow.metadata or {}).get(b"digest", b"").decode()
        if said != digest:
            raise StoreError(
                f"{path} was made by {said or 'nobody known'}, and is listed as made by {digest}.",
                "parts and manifest of one encoder",
                f"remove {path.parent} and run `features build`",
            )
        data = np.memmap(path, np.uint8, "r")
        kind = np.dtype(dtype)
        for at in range(file.num_row_groups):
            group = file.metadata.row_group(at)
            chunk = group.column(group.num_columns - 1)
            end = chunk.data_page_offset + chunk.total_compressed_size
            n_bytes = group.num_rows * dim * kind.itemsize
            keys = file.read_row_group(at, columns=["photo_id", "sha256", "flip"])
            yield keys, data[end - n_bytes : end].view(kind).reshape(group.num_rows, dim)


def _consecutive(values: NDArray[np.int64]) -> bool:
    return bool(values[-1] - values[0] == len(values) - 1 and np.all(np.diff(values) == 1))
