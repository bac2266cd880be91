"""Store the values of a feature: one row per photo bytes, or one per face.

    sha256, face_no, status, detail, and a column for each value

A part has the digest of the code in its name, so values of former code are never mixed with those of the present one.
They stay until the values of the present code are published in one step.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from photogenic._lazy import pa, pl, pq
from photogenic.features.pictures.definition import TYPES, PictureColumn, PictureFeature
from photogenic.features.pictures.work import FeatureRow
from photogenic.warehouse import Layout, StoreError
from photogenic.warehouse.storage.parquet_parts import Parts, read_manifest

__all__ = ["NOT_TRIED_AGAIN", "FeatureValues", "StoredFeature", "count_statuses", "held_features", "stored_feature"]

NOT_TRIED_AGAIN = ("ok", "no_face")
"""Statuses that are not tried again where failures are."""

_SMALL = 32_768
_FULL = 1 << 20


@dataclass(frozen=True, slots=True)
class StoredFeature:
    """A feature as its manifest describes it, which is enough to read its values without its code.

    Attributes:
        n_photos: photo bytes that were computed.
        statuses: status -> photo bytes, each counted with its worst status.
    """

    name: str
    input: str
    digest: str
    version: int
    summary: str
    columns: tuple[PictureColumn, ...]
    n_photos: int
    statuses: dict[str, int]

    @property
    def n_errors(self) -> int:
        """Number of photo bytes whose computation failed."""
        return sum(n for status, n in self.statuses.items() if status not in NOT_TRIED_AGAIN)


class FeatureValues:
    """The stored values of one feature, made by its present code.

    Args:
        layout: paths of the store.
        feature: the feature, or what its manifest says where its code is not there.
        digest: digest of everything that decides its values.
    """

    def __init__(self, layout: Layout, feature: PictureFeature | StoredFeature, digest: str) -> None:
        self.feature, self.digest = feature, digest
        self.parts = Parts(layout.picture_feature(feature.name), digest)
        self._types = {"double": pa.float64(), "bigint": pa.int64(), "boolean": pa.bool_(), "varchar": pa.string()}

    @classmethod
    def of(cls, layout: Layout, feature: PictureFeature, faces: str) -> Self:
        """The values of a feature whose code is there. `faces`: see `PictureFeature.digest`."""
        return cls(layout, feature, feature.digest(faces))

    def append(self, rows: Sequence[FeatureRow]) -> None:
        """Write a durable part with these rows."""
        ordered = sorted(rows, key=lambda row: (row.sha256, -1 if row.face_no is None else row.face_no))
        lists: list[Any] = [list(some) for some in zip(*(_flat(row) for row in ordered), strict=True)]
        self.parts.append(
            pa.Table.from_arrays(
                [pa.array(x, t) for x, t in zip(lists, self._kinds(), strict=True)], schema=self._schema()
            )
        )

    def computed(self, *, failed: bool = True) -> pl.Series:
        """Digests of the photo bytes with values. `failed`: whether those count that failed."""
        paths = self.parts.verified_paths()
        if not paths:
            return pl.Series("sha256", [], pl.String)
        rows = pl.scan_parquet(paths, glob=False).select("sha256", "status")
        if not failed:
            bad = rows.filter(~pl.col("status").is_in(NOT_TRIED_AGAIN)).select("sha256")
            rows = rows.join(bad, on="sha256", how="anti")
        return rows.select("sha256").unique().collect()["sha256"]

    def commit(self, current: pl.Series) -> None:
        """Keep only the photos whose digest is in `current`, merge small parts, and publish the manifest.

        A photo whose failure was tried again has rows in two parts: those without a failure are kept.
        """
        paths = self.parts.verified_paths()
        tables = [pq.read_table(path) for path in paths]
        chosen = _chosen(tables, set(current))
        small = [path for path, table in zip(paths, tables, strict=True) if len(table) < _SMALL]
        kept, rewritten = [], []
        for path, table, mask in zip(paths, tables, chosen, strict=True):
            if all(mask) and (path not in small or len(small) < 2):
                kept.append(path)
            else:
                rewritten.append(table.filter(pa.array(mask, pa.bool_())))
        if rewritten:
            table = pa.concat_tables(rewritten).sort_by([("sha256", "ascending"), ("face_no", "ascending")])
            kept += [self.parts.append(table.slice(at, _FULL)) for at in range(0, len(table), _FULL)]
        names = sorted(path.name for path in kept)
        if not self.parts.are_published(names) or not self._is_described():
            self.parts.publish(self._facts(kept), kept)

    def _is_described(self) -> bool:
        """Whether the manifest describes the columns as the code does; a comment may change without its digest."""
        held = stored_feature(self.parts.folder)
        return held is not None and (held.columns, held.summary) == (self.feature.columns, self.feature.summary)

    def _facts(self, paths: Sequence[Path]) -> dict[str, Any]:
        feature = self.feature
        return {
            "feature": feature.name,
            "input": feature.input,
            "digest": self.digest,
            "version": feature.version,
            "summary": feature.summary,
            "columns": [[c.name, c.type, c.comment] for c in feature.columns],
            **count_statuses(paths),
            "created_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        }

    def _kinds(self) -> list[Any]:
        text = pa.string()
        return [text, pa.int32(), text, text, *(self._types[column.type] for column in self.feature.columns)]

    def _schema(self) -> pa.Schema:
        names = ["sha256", "face_no", "status", "detail", *(column.name for column in self.feature.columns)]
        return pa.schema(list(zip(names, self._kinds(), strict=True)), metadata={"feature": self.feature.name})


def stored_feature(folder: Path) -> StoredFeature | None:
    """Read the manifest of a feature; None: there is none.

    Raises:
        StoreError: it is damaged.
    """
    facts = read_manifest(folder)
    if facts is None:
        return None
    try:
        columns = tuple(PictureColumn(*map(str, column)) for column in facts["columns"])
        statuses = {str(status): int(n) for status, n in facts["statuses"].items()}
        texts = [str(facts[name]) for name in ("feature", "input", "digest")]
        version, summary, n_photos = int(facts["version"]), str(facts["summary"]), int(facts["n_photos"])
        if any(column.type not in TYPES for column in columns):
            raise ValueError("a column has another type")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(
            f"{folder} has a manifest that is not one of a feature: {error}.",
            "the manifest that a build writes",
            f"remove {folder} and run `features build`: it computes these again",
        ) from error
    name, kind, digest = texts
    return StoredFeature(name, kind, digest, version, summary, columns, n_photos, statuses)


def count_statuses(paths: Sequence[Path]) -> dict[str, Any]:
    """Count the photos of parts: n_photos, and statuses with the photos by their worst status."""
    statuses = Counter[str]()
    if paths:
        rows = pl.scan_parquet(list(paths), glob=False).select("sha256", "status").collect()
        is_bad = ~pl.col("status").is_in(NOT_TRIED_AGAIN)
        worst = rows.sort(is_bad, "status", descending=[True, False]).unique(
            "sha256", keep="first", maintain_order=True
        )
        statuses.update(worst["status"].to_list())
    return {"n_photos": statuses.total(), "statuses": dict(sorted(statuses.items()))}


def held_features(layout: Layout) -> dict[str, StoredFeature]:
    """The features with values in the store, by name.

    Raises:
        StoreError: a manifest is damaged.
    """
    return {held.name: held for held in _held(layout)}


def _held(layout: Layout) -> Iterator[StoredFeature]:
    for folder in sorted(layout.pictures.glob("*/")):
        held = stored_feature(folder)
        if held is not None and held.name == folder.name:
            yield held


def _chosen(tables: Sequence[pa.Table], current: set[str]) -> list[list[bool]]:
    """For each row of each table, whether to keep it: the rows of one table per photo, of one without a failure."""
    chosen: dict[str, tuple[bool, int]] = {}
    for at, table in enumerate(tables):
        failed = {
            digest
            for digest, status in zip(table["sha256"].to_pylist(), table["status"].to_pylist(), strict=True)
            if status not in NOT_TRIED_AGAIN
        }
        for digest in set(table["sha256"].to_pylist()) & current:
            rank = (digest in failed, at)
            if digest not in chosen or rank < chosen[digest]:
                chosen[digest] = rank
    return [
        [chosen.get(digest, (False, -1))[1] == at for digest in table["sha256"].to_pylist()]
        for at, table in enumerate(tables)
    ]


def _flat(row: FeatureRow) -> tuple[Any, ...]:
    return row.sha256, row.face_no, row.status, row.detail, *row.values
