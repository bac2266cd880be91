"""Remove rows of erased people and purged photos from named training sets.

A version that has such rows is made again beside the store that readers see, without them: it keeps its number, and
its manifest says how many rows left and when. Texts of other rows that mention an erased id are emptied. Folders that
`facts.training_sets` does not list are removed.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from photogenic._lazy import duckdb, pa, pc, pq
from photogenic.warehouse import Layout, Store, StoreError
from photogenic.warehouse.erasure.delete_rows import ErasedRecords, id_words, sought_ids
from photogenic.warehouse.erasure.id_words import IdWords
from photogenic.warehouse.storage.training_set_files import (
    Manifest,
    Removal,
    check_files,
    damaged,
    describe,
    folders,
    read_manifest,
    write_manifest,
)

__all__ = ["Remade", "record", "remake"]


@dataclass(frozen=True, slots=True)
class Remade:
    """A version that was made again; `manifest` None: its folder is removed."""

    place: str
    manifest: Manifest | None = None
    n_rows: int = 0


def remake(store: Store, work: Layout, gone: ErasedRecords) -> list[Remade]:
    """Make the versions without what is erased in the folder `work`, and return those that change.

    Args:
        store: the open store.
        work: paths of the new state.
        gone: what is erased.

    Raises:
        StoreError: a version is damaged.
    """
    layout, found = store.layout, list[Remade]()
    if not layout.training_sets.is_dir():
        return found
    with store.database.read() as con:
        listed = set(con.execute("select name, version from training_sets where status <> 'removed'").fetchall())
        words, ids_of = id_words(con, gone), sought_ids(con, gone)
    for name, version, folder in folders(layout):
        place = str(folder.relative_to(layout.root))
        manifest = read_manifest(folder) if (name, version) in listed else None
        if manifest is None:
            if (name, version) in listed:
                raise damaged(folder, "it has no manifest")
            (work.root / place).mkdir(parents=True)
            found.append(Remade(place))
            continue
        made = _remade(folder, work.root / place, manifest, ids_of, words)
        if made is not None:
            found.append(Remade(place, made, manifest.n_rows - made.n_rows))
    return found


def record(con: duckdb.DuckDBPyConnection, remade: list[Remade]) -> None:
    """Write the new versions into `facts.training_sets`, in the caller's transaction."""
    for one in remade:
        manifest = one.manifest
        if manifest is not None:
            files = {part.file: part.sha256 for part in manifest.parts}
            con.execute(
                "update facts.training_sets set n_rows = $1, digests = $2, status = $3"
                " where name = $4 and version = $5",
                [
                    manifest.n_rows,
                    json.dumps({**manifest.digests, "files": files}),
                    manifest.status,
                    manifest.name,
                    manifest.version,
                ],
            )


def _remade(
    folder: Path, made: Path, manifest: Manifest, ids_of: Callable[[str], list[str]], words: IdWords
) -> Manifest | None:
    """Write a version without the rows of these ids. None: nothing in it changes."""
    keys = {
        column.name: pa.array(ids_of(column.name), pa.string()) for column in manifest.columns if column.role == "key"
    }
    texts = [column.name for column in manifest.columns if column.type == "varchar" and column.role in _OF_USERS]
    try:
        changed = [part for part in manifest.parts if _is_affected(folder / part.file, keys, texts, words)]
        if not changed:
            return None
        check_files(folder, manifest, thorough=True)  # else damaged rows would be copied
        made.mkdir(parents=True)
        parts, counted, n_values = [], _Counted(), 0
        for part in manifest.parts:
            temporary = made / f"{part.file}.tmp"
            with (
                pq.ParquetFile(folder / part.file) as file,
                pq.ParquetWriter(temporary, file.schema_arrow, compression="zstd") as writer,
            ):
                for batch in file.iter_batches():
                    kept, n = _without(batch, keys, texts, words)
                    n_values += n
                    counted.add(kept)
                    writer.write_batch(kept)
            parts.append(describe(temporary))
    except (OSError, pa.ArrowException) as error:
        raise StoreError(
            f"{folder} cannot be rewritten: {error}",
            "whole Parquet files, and free disk",
            f"features training-set remove {manifest.name} --version {manifest.version}, then erase again",
        ) from error
    n_rows = sum(part.rows for part in parts)
    removal = Removal(dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), manifest.n_rows - n_rows, n_values)
    removals = (*manifest.removals, removal)
    found = replace(
        manifest,
        n_rows=n_rows,
        parts=tuple(parts),
        removals=removals,
        counts=_recounted(manifest.counts, counted, sum(one.n_rows for one in removals)),
    )
    write_manifest(made, found)
    return found


_OF_USERS = ("feature", "target")
"""Roles of columns whose texts may mention people."""


class _Counted:
    """Counts of the rows that stay."""

    def __init__(self) -> None:
        self.rows, self.splits, self.missing = 0, Counter[str](), Counter[str]()

    def add(self, batch: pa.RecordBatch) -> None:
        self.rows += len(batch)
        for entry in pc.value_counts(batch["split"]).to_pylist():
            self.splits[str(entry["values"])] += entry["counts"]
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if column.null_count:
                self.missing[name] += column.null_count


def _recounted(counts: dict[str, Any], counted: _Counted, n_removed: int) -> dict[str, Any]:
    """Return the account after the removal: matched and unmatched rows are those of the creation."""
    relations = {place: {**found, "removed": n_removed} for place, found in counts["relations"].items()}
    return {
        **counts,
        "rows": counted.rows,
        "left_out": {**counts["left_out"], "erased": n_removed},
        "relations": relations,
        "missing": dict(sorted(counted.missing.items())),
        "splits": {name: counted.splits.get(name, 0) for name in ("train", "dev", "test")},
    }


def _is_affected(path: Path, keys: Mapping[str, pa.Array], texts: list[str], words: IdWords) -> bool:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=[*keys, *texts]):
            if any(pc.any(pc.is_in(_text(batch[name]), value_set=ids)).as_py() for name, ids in keys.items()):
                return True
            if any(words.is_one(text) for name in texts for text in _distinct(batch[name])):
                return True
    return False


def _without(
    batch: pa.RecordBatch, keys: Mapping[str, pa.Array], texts: list[str], words: IdWords
) -> tuple[pa.RecordBatch, int]:
    """Return the rows that stay, and the number of texts that were emptied in them."""
    for name, ids in keys.items():
        batch = batch.filter(pc.invert(pc.is_in(_text(batch[name]), value_set=ids)))
    n_values = 0
    for name in texts:
        mentions = [text for text in _distinct(batch[name]) if words.is_one(text)]
        if mentions:
            hit = pc.is_in(_text(batch[name]), value_set=pa.array(mentions, pa.string()))
            n_values += pc.sum(hit).as_py() or 0
            column = pc.if_else(hit, pa.scalar(None, batch[name].type), batch[name])
            batch = batch.set_column(batch.schema.get_field_index(name), batch.schema.field(name), column)
    return batch, n_values


def _distinct(column: pa.Array) -> Iterator[str]:
    return (text for text in pc.unique(column).to_pylist() if text is not None)


def _text(column: pa.Array) -> pa.Array:
    return column.cast(pa.string())
