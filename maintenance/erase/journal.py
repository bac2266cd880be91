"""The journal of an erase while it runs, and its receipt when it has finished."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from photogenic.warehouse import Layout, StoreError
from photogenic.warehouse.erasure.delete_rows import ErasedRecords
from photogenic.warehouse.storage.layout import write_atomically
from photogenic.warehouse.storage.manifest import (
    checked_file_name,
    checked_relative_path,
    parse_object,
    read_limited,
    to_dataclass,
)

__all__ = ["Journal", "Receipt"]


@dataclass(frozen=True, slots=True)
class Receipt:
    """Result of an erase; stored in erased/receipts without any id.

    Attributes:
        erase_id: name of the erase.
        erased_at: time of the erase; UTC, ISO 8601.
        people: salted hashes of the people.
        counts: number of removed rows of relations, vectors and files.
        runs: heads that were trained with their data: run_id -> number of erased people in its training data so far.
        runs_removed: runs among these whose weights held vectors of the people, and were removed.
        looked_at: how much was searched afterwards; nothing was found.
        left: rows of others whose path, address or hashtag has an id of the people as a word, by `TABLE.COLUMN`.
        photos: salted hashes of the photos, if photos were purged and no person was erased; `runs` counts photos then.
    """

    erase_id: str
    erased_at: str
    people: tuple[str, ...]
    counts: dict[str, int]
    runs: dict[str, int]
    runs_removed: tuple[str, ...]
    looked_at: dict[str, int]
    left: dict[str, int] = field(default_factory=dict)
    photos: tuple[str, ...] = ()

    def save(self, layout: Layout) -> None:
        """Write the receipt into the store."""
        text = json.dumps(asdict(self), indent=1)
        write_atomically(layout.erased / "receipts" / f"{self.erase_id}.json", text.encode())


@dataclass(frozen=True, slots=True)
class Journal:
    """State of an erase, in its only file with ids, which only the owner can read.

    Attributes:
        prepared: whether the new state is complete in erased/work.
        folders: folder of the store to replace -> names that it will have.
        runs, runs_removed, counts: values of the receipt.
        leftovers: folders of models/ that belong to no run of the warehouse.
        orphans: digests of pictures that the warehouse does not know.
    """

    erase_id: str
    gone: ErasedRecords
    prepared: bool = False
    folders: dict[str, list[str]] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)
    runs_removed: tuple[str, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    leftovers: tuple[str, ...] = ()
    orphans: tuple[str, ...] = ()

    @classmethod
    def read(cls, layout: Layout) -> Journal:
        """Read the journal of the interrupted erase.

        Raises:
            StoreError: it is damaged, or names files outside of the store; nothing was removed.
        """
        try:
            found = to_dataclass(cls, parse_object(read_limited(layout.erase_journal)))
            pictures = (*found.gone.sha256s, *found.orphans)
            for name in (found.erase_id, *found.runs_removed, *found.leftovers, *found.runs, *pictures):
                checked_file_name(name)
            for place, names in found.folders.items():
                checked_relative_path(place)
                for name in names:
                    checked_relative_path(name)
        except ValueError as error:
            raise StoreError(
                f"{layout.erase_journal} is damaged: {error}.",
                "the journal that `features erase` wrote",
                f"rm {layout.erase_journal}, then features erase USER_ID --yes --store {layout.root} for the same "
                "people; an erase may be repeated",
            ) from error
        return found

    def write(self, layout: Layout) -> Journal:
        """Write the journal, replacing an earlier one."""
        write_atomically(layout.erase_journal, json.dumps(asdict(self)).encode(), mode=0o600)
        return self
