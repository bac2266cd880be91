"""Write embeddings: append them batch by batch during a run, then commit them under a manifest.

`commit` keeps exactly the vectors of the current photos: it removes vectors of photos that vanished or changed, copies
the vector of a photo with equal bytes, merges small parts and writes the manifest. It rewrites changed parts only.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import pa, pl, pq
from photogenic.features.encoders.base import Encoder
from photogenic.features.vectors.reader import map_row_groups
from photogenic.warehouse import Layout
from photogenic.warehouse.storage.parquet_parts import ROW_GROUP, Parts, changed_part_error, read_manifest, verify

__all__ = ["PLAIN", "VectorWriter", "content_of"]

_FULL = 65_536
"""Rows of a finished part."""

_SMALL = ROW_GROUP
"""Rows of a part that is always merged with another, so small stores have the same parts whatever their history."""

PLAIN = "embedding.list.element"
"""Leaf column that readers map instead of reading."""


class VectorWriter:
    """Writer of the vectors of one encoder.

    Args:
        layout: paths of the store.
        encoder: encoder that computes the vectors.
        faces: digest of the face detector.
        dtype: storage type; None keeps the type of the stored vectors, float32 for new ones.
    """

    def __init__(
        self, layout: Layout, encoder: Encoder, faces: str, dtype: Literal["float32", "float16"] | None = None
    ) -> None:
        self.encoder, self.dtype = encoder, dtype or _stored_dtype(layout, encoder)
        self.digest = encoder.digest(faces) + ("h" if self.dtype == "float16" else "")
        self.parts = Parts(layout.embeddings(encoder.name), self.digest, plain=[PLAIN])

    @property
    def columns(self) -> tuple[str, str]:
        """Names of its two columns in the table of pending work: for the photos, and for their mirror images."""
        return self.encoder.name, f"{self.encoder.name}|flip"

    def stored(self) -> pl.DataFrame:
        """List every vector in a complete part: photo_id, sha256, flip, part, row.

        Raises:
            StoreError: a part cannot be read.
        """
        frames = [_no_rows()]
        for number, path in enumerate(self.parts.paths()):
            try:
                keys = pl.DataFrame(pq.read_table(path, columns=["photo_id", "sha256", "flip"]))
            except (OSError, ValueError, pa.ArrowException) as error:
                raise changed_part_error(path) from error
            frames.append(keys.with_columns(part=pl.lit(number, pl.Int64)).with_row_index("row"))
        return pl.concat(frames, how="diagonal_relaxed")

    def storable(self, X: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Whether each vector is finite in the storage type; the largest float16 is 65,504. bool (n,)."""
        with np.errstate(over="ignore"):
            kept: NDArray[np.bool_] = np.isfinite(X.astype(self.dtype, copy=False)).all(axis=1)
        return kept

    def append(
        self, photo_ids: Sequence[str], sha256s: Sequence[str], flips: Sequence[bool], X: NDArray[np.float32]
    ) -> None:
        """Write a durable part with the vectors that are `storable`, and skip the others."""
        finite = np.flatnonzero(self.storable(X)).tolist()
        if not len(finite):
            return
        if len(finite) < len(X):
            photo_ids, sha256s = [photo_ids[at] for at in finite], [sha256s[at] for at in finite]
            flips, X = [flips[at] for at in finite], X[finite]
        # Sorted, so that a part that is never merged has the same order as a merged one.
        order = sorted(range(len(photo_ids)), key=lambda at: (photo_ids[at], flips[at]))
        ids, digests = [photo_ids[at] for at in order], [sha256s[at] for at in order]
        self.parts.append(self._table(ids, digests, [flips[at] for at in order], X[order]))

    def commit(self, wanted: pl.DataFrame) -> None:
        """Keep exactly the computed vectors of `wanted` (photo_id, sha256), and publish the manifest."""
        paths = self.parts.paths()
        stored = self.stored()
        current = stored.join(wanted, on=["photo_id", "sha256"], how="semi").unique(["photo_id", "flip"], keep="first")
        # Vectors of a photo with equal bytes may be stored under the id of the other photo.
        copies = (
            wanted.join(stored.unique(["sha256", "flip"], keep="first").drop("photo_id"), on="sha256")
            .join(current, on=["photo_id", "flip"], how="anti")
            .select(current.columns)
        )
        sizes = dict(stored.group_by("part").len().iter_rows())
        n_current = dict(current.group_by("part").len().iter_rows())
        untouched = {part for part, n in sizes.items() if n_current.get(part) == n}
        n_new = len(copies) + sum(n_current.get(part, 0) for part in sizes if part not in untouched)
        moved = _mergeable({part: sizes[part] for part in untouched}, n_new)
        kept = [paths[part] for part in untouched - moved]
        rows = pl.concat([current.filter(~pl.col("part").is_in(list(untouched - moved))), copies]).sort(
            "photo_id", "flip"
        )
        kept += [self._rewrite(paths, rows.slice(at, _FULL)) for at in range(0, len(rows), _FULL)]
        self._publish(kept, current["flip"].append(copies["flip"]))

    def _rewrite(self, paths: list[Path], rows: pl.DataFrame) -> Path:
        """Write one new part with these rows of existing parts."""
        X = np.empty((len(rows), self.encoder.dim), np.float32)
        part, row = rows["part"].to_numpy(), rows["row"].to_numpy()
        for number in np.unique(part):
            verify(paths[number])  # a copy of damaged bytes would get a valid checksum
            (places,) = np.nonzero(part == number)
            groups = [
                vectors for _, vectors in map_row_groups(paths[number], self.digest, self.encoder.dim, self.dtype)
            ]
            for at, vectors in enumerate(groups):
                inside = places[row[places] // ROW_GROUP == at]
                X[inside] = vectors[row[inside] - at * ROW_GROUP]
        return self.parts.append(
            self._table(rows["photo_id"].to_list(), rows["sha256"].to_list(), rows["flip"].to_list(), X)
        )

    def _table(
        self, photo_ids: Sequence[str], sha256s: Sequence[str], flips: Sequence[bool], X: NDArray[np.float32]
    ) -> pa.Table:

        kind = pa.list_(pa.field("element", pa.type_for_alias(self.dtype), nullable=False), self.encoder.dim)
        schema = pa.schema(
            [
                pa.field("photo_id", pa.string(), nullable=False),
                pa.field("sha256", pa.string(), nullable=False),
                pa.field("flip", pa.bool_(), nullable=False),
                pa.field("embedding", kind, nullable=False),
            ],
            metadata={"encoder": self.encoder.name, "digest": self.digest},
        )
        values = pa.array(np.ascontiguousarray(X, self.dtype).ravel())
        vectors = pa.FixedSizeListArray.from_arrays(values, type=kind)
        return pa.table([pa.array(photo_ids), pa.array(sha256s), pa.array(flips), vectors], schema=schema)

    def _publish(self, kept: list[Path], flips: pl.Series) -> None:
        names = sorted(path.name for path in kept)
        if self.parts.are_published(names):
            return
        e = self.encoder
        n_flips = int(flips.sum())
        facts = {
            "encoder": e.name,
            "dim": e.dim,
            "input": e.input,
            "metric": e.metric,
            "licence": e.licence,
            "weights_sha256": e.backbone.weights_sha256(),
            "digest": self.digest,
            "content": content_of(self.digest, names),
            "dtype": self.dtype,
            "n_photos": len(flips) - n_flips,
            "n_flips": n_flips,
            "created_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        }
        self.parts.publish(facts, kept)


def content_of(digest: str, names: Sequence[str]) -> str:
    """Digest of the vectors in these parts, 16 hex digits."""
    return hashlib.sha256(" ".join([digest, *sorted(names)]).encode()).hexdigest()[:16]


def _stored_dtype(layout: Layout, encoder: Encoder) -> Literal["float32", "float16"]:
    facts = read_manifest(layout.embeddings(encoder.name))
    return "float16" if facts is not None and facts.get("dtype") == "float16" else "float32"


def _mergeable(sizes: dict[int, int], n_new: int) -> set[int]:
    """Choose the untouched parts to merge with the rewritten rows: smallest first, up to a multiple of those rows.

    This bounds how often a row is rewritten by the logarithm of the number of builds.

    Args:
        sizes: part number -> rows of the untouched parts.
        n_new: rows that are written anyway.
    """
    moved: set[int] = set()
    small = sorted((rows, part) for part, rows in sizes.items() if rows < _FULL)
    total = n_new
    for rows, part in small:
        if total and rows > max(4 * total, _SMALL):
            break
        moved.add(part)
        total += rows
    return moved if n_new or len(moved) > 1 else set()


def _no_rows() -> pl.DataFrame:

    return pl.DataFrame(
        schema={"photo_id": pl.String, "sha256": pl.String, "flip": pl.Boolean, "part": pl.Int64, "row": pl.UInt32}
    )
