"""Where new vectors are put: appended batch by batch while computing, put in order at the end.

`seal` makes the vectors those of the photos that are there now: photos that vanished or changed lose
theirs, a photo with the bytes of another gets a copy, small parts are merged, and the manifest is written.
Only parts that something happened to are rewritten.
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
from photogenic.features.vectors.reader import mapped
from photogenic.warehouse import Layout
from photogenic.warehouse.storage.parquet_parts import ROW_GROUP, Parts, changed_part_error, read_manifest, verify

__all__ = ["PLAIN", "VectorWriter", "content_of"]

_FULL = 65_536
"""Rows of a finished part."""

_SMALL = ROW_GROUP
"""Rows of a part that is merged whenever there is another, so that small stores look the same however they grew."""

PLAIN = "embedding.list.element"
"""The leaf column that is mapped, not read."""


class VectorWriter:
    """The vectors of one encoder, for writing.

    Args:
        layout: the store.
        encoder: whose vectors.
        faces: the digest of the face detector.
        dtype: how the numbers are stored; None: as they are, float32 where there are none.
    """

    def __init__(
        self, layout: Layout, encoder: Encoder, faces: str, dtype: Literal["float32", "float16"] | None = None
    ) -> None:
        self.encoder, self.dtype = encoder, dtype or _stored_dtype(layout, encoder)
        self.digest = encoder.digest(faces) + ("h" if self.dtype == "float16" else "")
        self.parts = Parts(layout.embeddings(encoder.name), self.digest, plain=[PLAIN])

    @property
    def columns(self) -> tuple[str, str]:
        """What its vectors are called in a table of work: those of the photos, those of their mirror images."""
        return self.encoder.name, f"{self.encoder.name}|flip"

    def stored(self) -> pl.DataFrame:
        """photo_id, sha256, flip, part, row: every vector in a complete part.

        Raises:
            StoreError: a part cannot be read.
        """
        frames = [_nothing()]
        for number, path in enumerate(self.parts.paths()):
            try:
                keys = pl.DataFrame(pq.read_table(path, columns=["photo_id", "sha256", "flip"]))
            except (OSError, ValueError, pa.ArrowException) as error:
                raise changed_part_error(path) from error
            frames.append(keys.with_columns(part=pl.lit(number, pl.Int64)).with_row_index("row"))
        return pl.concat(frames, how="diagonal_relaxed")

    def storable(self, X: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which vectors are finite numbers as they would be stored. Float16 ends at 65,504."""
        with np.errstate(over="ignore"):
            kept: NDArray[np.bool_] = np.isfinite(X.astype(self.dtype, copy=False)).all(axis=1)
        return kept

    def append(
        self, photo_ids: Sequence[str], sha256s: Sequence[str], flips: Sequence[bool], X: NDArray[np.float32]
    ) -> None:
        """Keep some, durably; not those that are not `storable`."""
        fit = np.flatnonzero(self.storable(X)).tolist()
        if not len(fit):
            return
        if len(fit) < len(X):
            photo_ids, sha256s = [photo_ids[at] for at in fit], [sha256s[at] for at in fit]
            flips, X = [flips[at] for at in fit], X[fit]
        # In order, so that a part merged with none looks as if it had been.
        order = sorted(range(len(photo_ids)), key=lambda at: (photo_ids[at], flips[at]))
        ids, digests = [photo_ids[at] for at in order], [sha256s[at] for at in order]
        self.parts.append(self._table(ids, digests, [flips[at] for at in order], X[order]))

    def commit(self, wanted: pl.DataFrame) -> None:
        """Hold exactly the vectors of `wanted` (photo_id, sha256), as far as they were computed; publish."""
        paths = self.parts.paths()
        stored = self.stored()
        current = stored.join(wanted, on=["photo_id", "sha256"], how="semi").unique(["photo_id", "flip"], keep="first")
        # A photo whose bytes another one has: its vectors are there under the other's name.
        twins = (
            wanted.join(stored.unique(["sha256", "flip"], keep="first").drop("photo_id"), on="sha256")
            .join(current, on=["photo_id", "flip"], how="anti")
            .select(current.columns)
        )
        sizes = dict(stored.group_by("part").len().iter_rows())
        n_current = dict(current.group_by("part").len().iter_rows())
        untouched = {part for part, n in sizes.items() if n_current.get(part) == n}
        fresh = len(twins) + sum(n_current.get(part, 0) for part in sizes if part not in untouched)
        moved = _mergeable({part: sizes[part] for part in untouched}, fresh)
        kept = [paths[part] for part in untouched - moved]
        rows = pl.concat([current.filter(~pl.col("part").is_in(list(untouched - moved))), twins]).sort(
            "photo_id", "flip"
        )
        kept += [self._gathered(paths, rows.slice(at, _FULL)) for at in range(0, len(rows), _FULL)]
        self._publish(kept, current["flip"].append(twins["flip"]))

    def _gathered(self, paths: list[Path], rows: pl.DataFrame) -> Path:
        """One new part with these rows of the old ones."""
        X = np.empty((len(rows), self.encoder.dim), np.float32)
        part, row = rows["part"].to_numpy(), rows["row"].to_numpy()
        for number in np.unique(part):
            verify(paths[number])  # or damage would be copied, and believed
            (places,) = np.nonzero(part == number)
            groups = [vectors for _, vectors in mapped(paths[number], self.digest, self.encoder.dim, self.dtype)]
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
    """Names the vectors in these parts."""
    return hashlib.sha256(" ".join([digest, *sorted(names)]).encode()).hexdigest()[:16]


def _stored_dtype(layout: Layout, encoder: Encoder) -> Literal["float32", "float16"]:
    facts = read_manifest(layout.embeddings(encoder.name))
    return "float16" if facts is not None and facts.get("dtype") == "float16" else "float32"


def _mergeable(sizes: dict[int, int], fresh: int) -> set[int]:
    """Which untouched parts join the rewritten rows: smallest first, while they do not outweigh what they join.

    Every row is so rewritten a logarithmic number of times, however many small builds there are.
    """
    moved: set[int] = set()
    small = sorted((rows, part) for part, rows in sizes.items() if rows < _FULL)
    total = fresh
    for rows, part in small:
        if total and rows > max(4 * total, _SMALL):
            break
        moved.add(part)
        total += rows
    return moved if fresh or len(moved) > 1 else set()


def _nothing() -> pl.DataFrame:

    return pl.DataFrame(
        schema={"photo_id": pl.String, "sha256": pl.String, "flip": pl.Boolean, "part": pl.Int64, "row": pl.UInt32}
    )
