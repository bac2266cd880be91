"""The manifest of an export folder: its items, and the files of each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from photogenic.warehouse.errors import InputError
from photogenic.warehouse.export.writer import check_table
from photogenic.warehouse.filesystems import Location
from photogenic.warehouse.storage.manifest import (
    checked_relative_path,
    checked_sha256,
    dump_with_digest,
    load_with_digest,
    to_dataclass,
)

__all__ = ["MANIFEST", "OURS", "File", "Item", "Manifest", "read_manifest"]

MANIFEST = "_manifest.json"
OURS = re.compile(r"(?:[^/]+/)+[0-9a-f]{16}-\d+\.(?:parquet|csv)")
"""Path of a file that an export wrote. No other file is ever removed."""

_KIND = "photogenic export"
_MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class File:
    """One file.

    Attributes:
        file: its path below the folder of the manifest.
        rows: number of its rows.
        bytes: its size.
        sha256: digest of its bytes.
        partition: the partition that it belongs to; empty: none.
    """

    file: str
    rows: int
    bytes: int
    sha256: str
    partition: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One exported item; see `Target` for its attributes.

    Attributes:
        columns: name and Arrow type of each column, in order; those of `partition` are in the names of folders.
    """

    name: str
    item: str
    format: str
    digest: str
    n_rows: int
    columns: list[Any]
    partition: list[Any]
    partitions: dict[str, Any]
    about: dict[str, Any]
    files: list[File]


@dataclass(frozen=True, slots=True)
class Manifest:
    """All items of a folder, by name."""

    items: Mapping[str, Item]

    def write(self, root: Location) -> None:
        """Put the manifest in place of the former one, as a whole."""
        facts = {"kind": _KIND, "items": [asdict(self.items[name]) for name in sorted(self.items)]}
        (root / MANIFEST).write_bytes(dump_with_digest(facts))


def read_manifest(root: Location) -> Manifest | None:
    """Read the manifest of a folder; None: it has none.

    Raises:
        InputError: it is damaged, or it is the manifest of something else.
    """
    place = root / MANIFEST
    if place.find() is None:
        return None
    try:
        facts = load_with_digest(place.read_bytes(_MOST_BYTES))
        if facts.get("kind") != _KIND or not isinstance(facts.get("items"), list):
            raise ValueError("it is not one of an export")
        items = [_item(one, f"items[{number}]") for number, one in enumerate(facts["items"])]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{place.name} cannot be used: {error}.",
            "the manifest that `features export` wrote there",
            "--to another folder, or remove this one",
        ) from error
    return Manifest({item.name: item for item in items})


def _item(facts: Any, where: str) -> Item:
    item = to_dataclass(Item, facts, where=where)
    check_table(item.name)
    for file in item.files:
        checked_relative_path(file.file)
        checked_sha256(file.sha256)
        if not file.file.startswith(f"{item.name}/") or not OURS.fullmatch(file.file):
            raise ValueError(f"{where} lists {file.file!r}, which no export wrote")
    return item
