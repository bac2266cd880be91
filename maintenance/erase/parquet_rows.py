"""Remove rows of some photos from Parquet parts, and replace the content of a folder.

For readers a folder stays valid: its parts appear only when complete, and its manifest, which is replaced last, lists
the parts that count.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from photogenic._lazy import pa, pc, pq
from photogenic.features.pictures.values import count_statuses
from photogenic.features.vectors.writer import PLAIN, content_of
from photogenic.warehouse import StoreError
from photogenic.warehouse.storage.layout import remove, sync_directory
from photogenic.warehouse.storage.parquet_parts import MANIFEST, Part, Parts, read_manifest, verify

__all__ = ["install", "link_tree", "purge"]


def purge(folder: Path, column: str, gone: Collection[str]) -> int:
    """Remove rows from the parts of a folder. Returns their number.

    A part that no manifest lists is saved work of a killed build: if it has such a row, the whole part is removed.

    Args:
        folder: folder of parts, with or without a manifest.
        column: column that identifies the photo of a row.
        gone: values whose rows are removed.

    Raises:
        StoreError: the manifest or a part is damaged.
    """
    facts = read_manifest(folder)
    listed = {part.file for part in facts["parts"]} if facts else set()
    kept: list[Path] = []
    n_gone = n_flips = 0
    for path in sorted(folder.glob("*.parquet")):
        table, mask = _read_affected(path, column, gone)
        if mask is None:
            kept += [path] if path.name in listed else []
            continue
        theirs = table.filter(mask)
        n_gone += len(theirs)
        if path.name not in listed:
            path.unlink()
            continue
        n_flips += sum(theirs["flip"].to_pylist()) if "flip" in theirs.column_names else 0
        n_listed = len(table) - len(theirs)
        if n_listed:
            kept.append(_parts(path, table).append(_without(table, mask)))
    if facts is not None and {path.name for path in kept} != listed:
        _publish(folder, facts, kept, n_flips)
    return n_gone


def link_tree(source: Path, target: Path) -> None:
    """Hard-link the files of a folder into another one, without temporary files."""
    if source.is_dir():
        shutil.copytree(source, target, copy_function=_link, ignore=shutil.ignore_patterns(".*"))


def install(made: Path, live: Path, names: Sequence[str]) -> None:
    """Give `live` the entries `names` of `made`, manifest last, and no others. May be interrupted and done again."""
    live.mkdir(parents=True, exist_ok=True)
    for name in (*(name for name in names if name != MANIFEST), MANIFEST):
        if name in names and (made / name).exists():
            if (live / name).is_dir():
                shutil.rmtree(live / name)
            (made / name).replace(live / name)
            sync_directory(live)
    for path in live.iterdir():
        if path.name not in names:
            remove(path)


def _read_affected(path: Path, column: str, gone: Collection[str]) -> tuple[pa.Table, pa.Array | None]:
    """Read the part, and which of its rows are removed; only `column` is read if none are."""
    try:
        table = pq.read_table(path, columns=[column])
        mask = pc.is_in(table[column], value_set=pa.array(sorted(gone), pa.string()))
        if not pc.any(mask).as_py():
            return table, None
        verify(path)  # else damaged data would be copied
        return pq.read_table(path), mask
    except (OSError, pa.ArrowException) as error:
        raise StoreError(
            f"{path} cannot be read: {error}",
            "a whole Parquet file",
            f"remove {path.parent}, erase, then run `features build`: it computes these again",
        ) from error


def _without(table: pa.Table, mask: pa.Array) -> pa.Table:

    return table.filter(pc.invert(mask)).combine_chunks()


def _parts(path: Path, table: pa.Table) -> Parts:
    return Parts(path.parent, path.name.rpartition("-")[0], plain=[PLAIN] if "embedding" in table.column_names else [])


def _publish(folder: Path, facts: dict[str, Any], kept: Sequence[Path], n_flips: int) -> None:

    former: list[Part] = facts.pop("parts")
    n_rows = sum(pq.read_metadata(path).num_rows for path in kept)
    n_gone = sum(part.rows for part in former) - n_rows
    if "statuses" in facts:  # a feature of faces has several rows per photo
        facts |= count_statuses(kept)
    else:
        facts["n_photos"] -= n_gone - n_flips
    if "n_flips" in facts:
        facts["n_flips"] -= n_flips
    if "content" in facts:
        facts["content"] = content_of(facts["digest"], [path.name for path in kept])
    Parts(folder, facts["digest"]).publish(facts, kept)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copy2(source, target)
