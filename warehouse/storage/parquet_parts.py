"""Parquet files that only ever appear whole, under a manifest that says which of them count.

    folder/<digest>-<content>.parquet     a part: complete from the moment it has this name
    folder/manifest.json                  written last; a reader sees the parts it lists and no others

A part that no manifest lists yet is work saved from a run that was killed: the next run adopts it. The
name begins with the digest of what made it, so parts made by something else are never mistaken for ours.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from photogenic.warehouse import StoreError
from photogenic.warehouse.storage.checksum import checksum, differs
from photogenic.warehouse.storage.checksum import digest as file_digest
from photogenic.warehouse.storage.layout import sync_directory, write_atomically
from photogenic.warehouse.storage.manifest import contents, name_in, sealed, shaped, unsealed

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["MANIFEST", "ROW_GROUP", "Part", "Parts", "changed", "read_manifest", "verify", "verify_quickly"]

MANIFEST = "manifest.json"

ROW_GROUP = 8192
"""Rows whose ids are looked through, by their least and greatest, to find one."""


@dataclass(frozen=True, slots=True)
class Part:
    """A line of the manifest. `checksum`: checksum.py; empty in manifests of versions that had none."""

    file: str
    rows: int
    bytes: int
    sha256: str
    checksum: str = ""


class Parts:
    """The parts of one folder that one maker wrote.

    Args:
        folder: created with the first part.
        digest: of the maker, hex.
        plain: leaf columns stored uncompressed in one page per row group, so that they can be mapped.
    """

    def __init__(self, folder: Path, digest: str, *, plain: Sequence[str] = ()) -> None:
        self.folder, self.digest, self.plain = folder, digest, frozenset(plain)

    def paths(self) -> list[Path]:
        """Every complete part, listed or not, by name."""
        return sorted(self.folder.glob(f"{self.digest}-*.parquet"))

    def sound_paths(self) -> list[Path]:
        """As `paths`, every byte read first. For what is small beside the photos it is made from.

        Raises:
            StoreError: a part is not what was written.
        """
        paths = self.paths()
        for path in paths:
            verify(path)
        return paths

    def append(self, table: pa.Table) -> Path:
        """Write a part: temporary name, sync, rename. The same rows give the same file."""
        import pyarrow.parquet as pq

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
                # One page per row group, whatever its size. A batch's buffers are laid out at once, so it is no
                # larger than it must be: no column has more values than the table has bytes.
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
                "a writable folder with free disk; what was written before is kept",
                "free some disk and run the command again: it goes on where it stopped",
            ) from error
        finally:
            temporary.unlink(missing_ok=True)
        sync_directory(self.folder)
        return path

    def describe(self, path: Path) -> Part:
        """The manifest's line for a part."""
        import pyarrow.parquet as pq

        verify(path)
        rows = pq.read_metadata(path).num_rows
        return Part(path.name, rows, path.stat().st_size, file_digest(path), checksum(path))

    def are_published(self, names: list[str]) -> bool:
        """Whether the manifest lists exactly these parts, and nothing else of ours lies about."""
        try:
            facts = read_manifest(self.folder)
        except StoreError:  # damaged: the next publication heals it
            return False
        if facts is None or facts["digest"] != self.digest or len(self.paths()) != len(names):
            return False
        return [part.file for part in facts["parts"]] == names

    def publish(self, facts: dict[str, Any], paths: Iterable[Path]) -> None:
        """Write the manifest over these parts; then remove every other part, and what a killed run left."""
        self.folder.mkdir(parents=True, exist_ok=True)
        parts = [self.describe(path) for path in sorted(paths)]
        data = sealed({**facts, "parts": [asdict(part) for part in parts]})
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
    """What the folder's manifest says, or None where there is none.

    Raises:
        StoreError: it is damaged, or a part that it lists is absent or of another size.
    """
    path = folder / MANIFEST
    try:
        facts = unsealed(contents(path))
        if not isinstance(facts["parts"], list):
            raise ValueError("parts is no list")
        parts = [shaped(Part, part, where=f"parts[{i}]") for i, part in enumerate(facts["parts"])]
        for part in parts:
            name_in(part.file)
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
            raise _damaged(path, f"it lists {part.file}, which is not there") from None
        if size != part.bytes:
            raise _damaged(path, f"it says that {part.file} has {part.bytes} bytes, and that file has {size}")
    return {**facts, "parts": parts}


def verify(path: Path) -> None:
    """Read every byte of a part, listed or not: its name ends with the beginning of its SHA-256.

    Raises:
        StoreError: it is not what was written.
    """
    if not file_digest(path).startswith(path.stem.rpartition("-")[2]):
        raise changed(path)


def verify_quickly(folder: Path, part: Part) -> None:
    """As `verify`, of a listed part, by its checksum.

    Raises:
        StoreError: likewise.
    """
    if differs(folder / part.file, part.checksum):
        raise changed(folder / part.file)


def changed(path: Path) -> StoreError:
    """The error of a part that is not what was written."""
    return StoreError(
        f"{path} is damaged: its bytes are not those that were written.",
        "the file that its name and its manifest tell of",
        f"features doctor --thorough --fix --store {path.parents[2]}, then features build: it computes these again",
    )


def _damaged(path: Path, why: str) -> StoreError:
    return StoreError(
        f"{path} is damaged: {why}.",
        "a manifest beside exactly the parts it lists",
        f"remove {path.parent} and run `features build`: it computes these again",
    )


def _leaves(schema: pa.Schema) -> list[str]:
    """Parquet's own names of the columns that hold values."""
    from pyarrow import types

    found: list[str] = []

    def visit(kind: pa.DataType, name: str) -> None:
        if types.is_list(kind) or types.is_fixed_size_list(kind):
            visit(kind.value_type, f"{name}.list.element")
        elif types.is_struct(kind):
            for field in kind:
                visit(field.type, f"{name}.{field.name}")
        else:
            found.append(name)

    for field in schema:
        visit(field.type, field.name)
    return found
