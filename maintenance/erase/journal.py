"""An erase on paper: the journal while it is under way, the receipt when it has ended."""

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
    """What an erase did; kept in erased/receipts without any id.

    Attributes:
        erase_id: its name.
        erased_at: UTC, ISO 8601.
        people: their salted hashes.
        counts: what was removed, by store: rows of relations, vectors, files.
        runs: heads that learned from them: run_id -> how many erased people each has learned from by now.
        runs_removed: of these, whose weights held vectors of theirs, and are gone.
        looked_at: how much was searched afterwards; nothing was found.
        left: rows of others whose path, address or hashtag to crawl has an id of theirs as a word: `TABLE.COLUMN`.
    """

    erase_id: str
    erased_at: str
    people: tuple[str, ...]
    counts: dict[str, int]
    runs: dict[str, int]
    runs_removed: tuple[str, ...]
    looked_at: dict[str, int]
    left: dict[str, int] = field(default_factory=dict)

    def keep(self, layout: Layout) -> None:
        """Write it into the store."""
        text = json.dumps(asdict(self), indent=1)
        write_atomically(layout.erased / "receipts" / f"{self.erase_id}.json", text.encode())


@dataclass(frozen=True, slots=True)
class Journal:
    """What an erase is about and where it stands; the one file of it that has ids, readable by the owner only.

    Attributes:
        prepared: what the store will be is complete in erased/work.
        folders: of the store, to be replaced -> what each will hold.
        runs, runs_removed, counts: as the receipt will have them.
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
        """That of the erase that was cut off.

        Raises:
            StoreError: it is damaged, or names what does not lie in the store; nothing was removed.
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
                f"rm {layout.erase_journal}, then features erase USER_ID --yes --store {layout.root} for whom it was "
                "about: an erase may be given again",
            ) from error
        return found

    def write(self, layout: Layout) -> Journal:
        """Make it the one that counts."""
        write_atomically(layout.erase_journal, json.dumps(asdict(self)).encode(), mode=0o600)
        return self
