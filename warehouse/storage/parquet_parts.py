"""Write Parquet files in parts that are always complete, with a manifest that lists the valid ones.

    folder/<digest>-<content>.parquet     a part: complete from the moment it has this name
    folder/manifest.json                  written last; a reader sees the parts it lists and no others

A part that is not in the manifest yet comes from a run that was killed, and the next run uses it. The name begins
with the digest of the settings that produced the part, so parts with other settings are never mixed with these.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from photogenic._lazy import pa, pq
from photogenic.warehouse import StoreError
from photogenic.warehouse.storage.checksum import checksum, has_changed
from photogenic.warehouse.storage.checksum import digest as file_digest
from photogenic.warehouse.storage.layout import sync_directory, write_atomically
from photogenic.warehouse.storage.manifest import (
    checked_file_name,
    dump_with_digest,
    load_with_digest,
    read_limited,
    to_dataclass,
)

__all__ = ["MANIFEST", "ROW_GROUP", "Part", "Parts", "changed_part_error", "read_manifest", "verify", "verify_quickly"]

MANIFEST = "manifest.json"

ROW_GROUP = 8192
"""Rows per row group. A reader skips row groups by the least and the greatest id in them."""


@dataclass(frozen=True, slots=True)
class Part:
    """Entry of the manifest. `checksum` is that of checksum.py; it is empty in manifests of earlier versions."""

    file: str
    rows: int
    bytes: int
    sha256: str
    checksum: str = ""


class Parts:
    """The parts in one folder with one digest.

    Args:
        folder: folder of the parts; it is created with the first part.
        digest: digest of the settings that produced the parts, in hex.
        plain: leaf columns stored uncompressed in one page per row group, so that they can be memory-mapped.
    """

    def __init__(self, folder: Path, digest: str, *, plain: Sequence[str] = ()) -> None:
        self.folder, self.digest, self.plain = folder, digest, frozenset(plain)

    def paths(self) -> list[Path]:
        """Return every complete part by name, whether the manifest lists it or not."""
        return sorted(self.folder.glob(f"{self.digest}-*.parquet"))

    def verified_paths(self) -> list[Path]:
        """Return the same as `paths`, after a check of every byte. For parts that are small compared with the photos.

        Raises:
            StoreError: a part is damaged.
        """
        paths = self.paths()
        for path in paths:
            verify(path)
        return paths

    def append(self, table: pa.Table) -> Path:
        """Write a part with a temporary name, sync and rename. The same rows give the same file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / f".{os.getpid()}.tmp"
        leaves = _leaves(table.schema)
        try:
            pq.write_table(
                table,
                temporary,
                row_group_size=ROW_GROUP,
                use_dictionary=False,
                compression={leaf: "none" if leaf in self.plain else "zstd" for leaf in leaves},
                column_encoding=dict.fromkeys(self.plain, "PLAIN") or None,
                write_statistics=[leaf for leaf in leaves if leaf not in self.plain],
                # One page per row group of any size. The buffers of a batch are allocated at once, so the batch is
                # no larger than necessary: no column has more values than the table has bytes.
                data_page_size=1 << 30,
                write_batch_size=max(table.nbytes, 1),
                max_rows_per_page=1 << 30,
            )
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            path = self.folder / f"{self.digest}-{file_digest(temporary)[:16]}.parquet"
            temporary.replace(path)
        except OSError as error:
            raise StoreError(
                f"{self.folder} cannot be written: {error}",
                "a writable folder with free disk; finished work is kept",
                "free some disk and run the command again: it resumes where it stopped",
            ) from error
        finally:
            temporary.unlink(missing_ok=True)
        sync_directory(self.folder)
        return path

    def describe(self, path: Path) -> Part:
        """Return the entry of the manifest for a part."""
        verify(path)
        rows = pq.read_metadata(path).num_rows
        return Part(path.name, rows, path.stat().st_size, file_digest(path), checksum(path))

    def are_published(self, names: list[str]) -> bool:
        """Whether the manifest lists exactly these parts, and there are no other parts with this digest."""
        try:
            facts = read_manifest(self.folder)
        except StoreError:  # damaged: the next publication repairs it
            return False
        if facts is None or facts["digest"] != self.digest or len(self.paths()) != len(names):
            return False
        return [part.file for part in facts["parts"]] == names

    def publish(self, facts: dict[str, Any], paths: Iterable[Path]) -> None:
        """Write the manifest of these parts, then remove every other part and leftovers of killed runs."""
        self.folder.mkdir(parents=True, exist_ok=True)
        parts = [self.describe(path) for path in sorted(paths)]
        data = dump_with_digest({**facts, "parts": [asdict(part) for part in parts]})
        try:
            write_atomically(self.folder / MANIFEST, data)
        except OSError as error:
            raise StoreError(
                f"{self.folder / MANIFEST} cannot be written: {error}",
                "a writable folder with free disk",
                "free some disk and run the command again",
            ) from error
        listed = {part.file for part in parts}
        for path in self.folder.iterdir():
            if path.suffix == ".tmp" or (path.suffix == ".parquet" and path.name not in listed):
                path.unlink(missing_ok=True)


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Read the manifest of a folder; None: it does not exist.

    Raises:
        StoreError: it is damaged, or a listed part is absent or has another size.
    """
    path = folder / MANIFEST
    try:
        facts = load_with_digest(read_limited(path))
        if not isinstance(facts["parts"], list):
            raise ValueError("parts is not a list")
        parts = [to_dataclass(Part, part, where=f"parts[{i}]") for i, part in enumerate(facts["parts"])]
        for part in parts:
            checked_file_name(part.file)
        for name in ("n_photos", "n_flips"):
            if not isinstance(facts.get(name, 0), int):
                raise ValueError(f"{name} is {facts[name]!r}, and should be int")
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, f"it cannot be read ({error})") from error
    for part in parts:
        try:
            size = (folder / part.file).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            raise _damaged(path, f"it lists {part.file}, which does not exist") from None
        if size != part.bytes:
            raise _damaged(path, f"it says that {part.file} has {part.bytes} bytes, and that file has {size}")
    return {**facts, "parts": parts}


def verify(path: Path) -> None:
    """Check every byte of a part: its name ends with the beginning of its SHA-256.

    Raises:
        StoreError: the part is damaged.
    """
    if not file_digest(path).startswith(path.stem.rpartition("-")[2]):
        raise changed_part_error(path)


def verify_quickly(folder: Path, part: Part) -> None:
    """Check a listed part by its checksum.

    Raises:
        StoreError: the part is damaged.
    """
    if has_changed(folder / part.file, part.checksum):
        raise changed_part_error(folder / part.file)


def changed_part_error(path: Path) -> StoreError:
    """Return the error for a damaged part."""
    return StoreError(
        f"{path} is damaged: its bytes are not those that were written.",
        "the content that its name and its manifest describe",
        f"features doctor --thorough --fix --store {path.parents[2]}, then features build: it computes these again",
    )


def _damaged(path: Path, why: str) -> StoreError:
    return StoreError(
        f"{path} is damaged: {why}.",
        "a manifest beside exactly the parts it lists",
        f"remove {path.parent} and run `features build`: it computes these again",
    )


def _leaves(schema: pa.Schema) -> list[str]:
    """Return Parquet's names of the leaf columns."""
    found: list[str] = []

    def visit(kind: pa.DataType, name: str) -> None:
        if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
            visit(kind.value_type, f"{name}.list.element")
        elif pa.types.is_struct(kind):
            for field in kind:
                visit(field.type, f"{name}.{field.name}")
        else:
            found.append(name)

    for field in schema:
        visit(field.type, field.name)
    return found
