"""Read embeddings: Parquet parts with photo_id, sha256, flip, embedding (fixed-size list), listed in a manifest.

Parts are sorted by photo_id. The floats of a row group are one uncompressed page, so the reader maps the file and
copies each vector once, which is faster than a read of the whole file. DuckDB, polars and Spark read the parts as
ordinary Parquet.

    read(layout, "dlib_face")                  -> ids sorted, X float32 (n, 128)
    read(layout, "dlib_face", ["p7", "p2"])    -> in that order
    open_vectors(layout, "dlib_face")          -> a VectorSet, cached between calls
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from photogenic import sql
from photogenic._lazy import pa, pc, pq
from photogenic.warehouse import Database, Layout, StoreError
from photogenic.warehouse.storage.manifest import to_dataclass
from photogenic.warehouse.storage.parquet_parts import MANIFEST, Part, read_manifest, verify_quickly

__all__ = ["Manifest", "VectorSet", "manifest", "map_row_groups", "map_vectors", "open_vectors", "read", "read_living"]


@dataclass(frozen=True, slots=True)
class Manifest:
    """Origin and parts of a set of vectors.

    Attributes:
        digest: digest of the encoder, its weights, its crop rule and, for faces, the detector.
        content: digest of the parts; manifests with equal contents list the same vectors.
        n_photos: photos with a vector; photos with equal bytes are counted separately.
        n_flips: photos that also have a vector of their mirror image.
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
    """Read the manifest of an encoder's vectors.

    Raises:
        StoreError: the store has no such vectors, or the manifest is of another version.
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
    """Read ids and vectors, float32 (n, dim): all of them sorted by id, or those of `photo_ids` in that order.

    Args:
        layout: paths of the store.
        encoder: name of the encoder.
        photo_ids: photos to read; None reads all.
        flip: whether to read the vectors of the mirror images.

    Raises:
        StoreError: the store has no such vectors, or a photo has no vector.
    """
    return open_vectors(layout, encoder).read(photo_ids, flip=flip)


def read_living(
    db: Database, encoder: str, photo_ids: Sequence[str] | None = None, flip: bool = False
) -> tuple[list[str], NDArray[np.float32]]:
    """Read like `read`, without deleted photos.

    Raises:
        StoreError: the store has no such vectors, or a photo has no vector, or was deleted.
    """
    held = open_vectors(db.layout, encoder)
    gone = (
        {photo_id for (photo_id,) in db.rows(sql.read("features/deleted_now"))} if db.layout.snapshot.exists() else ()
    )
    if not gone:
        return held.read(photo_ids, flip=flip)
    if photo_ids is None:
        return held.read([photo_id for photo_id in held.ids(flip=flip) if photo_id not in gone], flip=flip)
    for photo_id in photo_ids:
        if photo_id in gone:
            raise StoreError(
                f"Photo {photo_id!r} was deleted.", "photos that are not deleted", 'features sql "from deleted_photos"'
            )
    return held.read(photo_ids, flip=flip)


def open_vectors(layout: Layout, encoder: str) -> VectorSet:
    """Map the vectors of an encoder; the result is cached until the manifest changes."""
    path = layout.embeddings(encoder) / MANIFEST
    for attempt in range(3):
        try:
            stat = path.stat()
            return _open_cached(layout, encoder, (stat.st_ino, stat.st_mtime_ns))
        except (FileNotFoundError, StoreError):
            # A build may publish the next manifest and remove parts of this one between the two reads.
            if attempt == 2 or not path.exists():
                break
    return VectorSet(layout, encoder)


class VectorSet:
    """The vectors of one encoder that one manifest lists. It stays readable after newer vectors replace them."""

    def __init__(self, layout: Layout, encoder: str) -> None:
        self.manifest = manifest(layout, encoder)
        folder = layout.embeddings(encoder)
        for part in self.manifest.parts:
            verify_quickly(folder, part)
        self._groups = [
            group
            for part in self.manifest.parts
            for group in map_row_groups(folder / part.file, self.manifest.digest, self.dim, self.manifest.dtype)
        ]
        self._sorted_by_flip: dict[bool, tuple[list[str], NDArray[np.int64]]] = {}
        self._index_by_flip: dict[bool, dict[str, int]] = {}

    @property
    def dim(self) -> int:
        return self.manifest.dim

    def groups(self) -> Iterator[tuple[pa.Table, NDArray[np.floating]]]:
        """Yield the keys and vectors of each row group, as `map_row_groups` does."""
        yield from self._groups

    def ids(self, *, flip: bool = False) -> list[str]:
        """Photos with a vector, sorted by id."""
        return self._sorted(flip)[0]

    def read(
        self, photo_ids: Sequence[str] | None = None, *, flip: bool = False
    ) -> tuple[list[str], NDArray[np.float32]]:
        """Read ids and vectors like the function `read` of this module."""
        ids, rows = self._sorted(flip)
        if photo_ids is None:
            return list(ids), self._gather(rows)
        return list(photo_ids), self._gather(rows[self._positions(photo_ids, flip)])

    def positions(self, photo_ids: Sequence[str], *, flip: bool = False) -> NDArray[np.int64]:
        """Position of each photo in `ids`; -1 where it has no vector. int64 (len(photo_ids),)."""
        place = self._index(flip).get
        return np.fromiter((place(photo_id, -1) for photo_id in photo_ids), np.int64, len(photo_ids))

    def stored_rows(self, *, flip: bool = False) -> NDArray[np.int64]:
        """The row of each of `ids`, counted over all rows of the parts in their order. int64 (len(ids),)."""
        return self._sorted(flip)[1]

    def at(self, positions: NDArray[np.int64], *, flip: bool = False) -> NDArray[np.float32]:
        """The vectors at these positions of `ids`. float32 (len(positions), dim)."""
        return self._gather(self._sorted(flip)[1][positions])

    def _gather(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
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
        """Yield all ids and vectors in order of id, at most `rows` at a time."""
        ids, places = self._sorted(flip)
        for at in range(0, len(ids), rows):
            yield ids[at : at + rows], self._gather(places[at : at + rows])

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

    def _sorted(self, flip: bool) -> tuple[list[str], NDArray[np.int64]]:
        """Sorted ids, and the row of each, counted over all row groups."""
        if flip not in self._sorted_by_flip:
            self._sorted_by_flip[flip] = self._sort(flip)
        return self._sorted_by_flip[flip]

    def _sort(self, flip: bool) -> tuple[list[str], NDArray[np.int64]]:
        if not self._groups:
            return [], np.empty(0, np.int64)
        keys = pa.concat_tables([keys for keys, _ in self._groups])
        rows = np.flatnonzero(keys["flip"].to_numpy() == flip)
        ids = keys["photo_id"].take(pa.array(rows))
        order = pc.array_sort_indices(ids.combine_chunks()).to_numpy()
        return ids.take(pa.array(order)).to_pylist(), rows[order]

    def _index(self, flip: bool) -> dict[str, int]:
        if flip not in self._index_by_flip:
            self._index_by_flip[flip] = {photo_id: at for at, photo_id in enumerate(self._sorted(flip)[0])}
        return self._index_by_flip[flip]


_MOST_OPEN = 16
_OPEN: dict[tuple[Layout, str], tuple[tuple[int, int], VectorSet]] = {}
"""The newest vectors of each encoder. Former ones are unmapped: a mapped file keeps its disk space, and erased people
their vectors, after it was removed."""


def _open_cached(layout: Layout, encoder: str, state: tuple[int, int]) -> VectorSet:
    held = _OPEN.get((layout, encoder))
    if held is None or held[0] != state:
        _OPEN.pop((layout, encoder), None)
        held = _OPEN[layout, encoder] = state, VectorSet(layout, encoder)
        for former in list(_OPEN)[:-_MOST_OPEN]:
            _OPEN.pop(former, None)
    return held[1]


def map_row_groups(path: Path, digest: str, dim: int, dtype: str) -> Iterator[tuple[pa.Table, NDArray[np.floating]]]:
    """Yield the keys and vectors (rows, dim) of each row group of a part, like `map_vectors`."""
    vectors = map_vectors(path, digest, dim, dtype)
    with pq.ParquetFile(path) as file:
        for at, X in enumerate(vectors):
            yield file.read_row_group(at, columns=["photo_id", "sha256", "flip"]), X


def map_vectors(path: Path, digest: str, dim: int, dtype: str) -> Iterator[NDArray[np.floating]]:
    """Yield the vectors (rows, dim) of each row group of a part, as a view of the mapped file.

    The column has no nulls and one uncompressed, plain-encoded page, so its values are the last bytes of its chunk.

    Raises:
        StoreError: the part has another digest.
    """
    with pq.ParquetFile(path) as file:
        recorded = (file.schema_arrow.metadata or {}).get(b"digest", b"").decode()
        if recorded != digest:
            raise StoreError(
                f"{path} was made by {recorded or 'an unknown program'}, and is listed as made by {digest}.",
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
            yield data[end - n_bytes : end].view(kind).reshape(group.num_rows, dim)


def _consecutive(values: NDArray[np.int64]) -> bool:
    return bool(values[-1] - values[0] == len(values) - 1 and np.all(np.diff(values) == 1))
