"""The report of each loaded file: read = kept + rejected, by reason."""

from __future__ import annotations

from dataclasses import dataclass, field

from photogenic.ingest.readers.input_files import printable_name
from photogenic.ingest.tabular.schemas import Kind, Reason

__all__ = ["IngestReport"]


@dataclass(frozen=True, slots=True)
class IngestReport:
    """Counts of one file.

    Attributes:
        kind: kind of the rows.
        source: the file, as given, on one line of UTF-8; stdin.
        n_read: number of rows found, valid or not, without blank lines.
        n_kept: number of these rows that are now in the store.
        n_unchanged: number of kept rows that were in the store already, with equal values (users and photos).
        rejected: number of the other rows by reason; each is in `rejects` with its line.
        repeated: whether the same file was loaded before, with the same mapping, and loading it again would change
            nothing: nothing was read.
        n_main_photos: number of main-photo events added from the `set_at` of photos.
        pictures: number of pictures of the file's photos by `photos.status`; only pictures that this run looked for.
        ignored: columns of the file that are not ours.
        notes: other notes, e.g. a guessed encoding.
    """

    kind: Kind
    source: str
    n_read: int = 0
    n_kept: int = 0
    n_unchanged: int = 0
    rejected: dict[Reason, int] = field(default_factory=dict)
    repeated: bool = False
    n_main_photos: int = 0
    pictures: dict[str, int] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def n_new(self) -> int:
        """Number of rows with new values."""
        return self.n_kept - self.n_unchanged

    @property
    def n_rejected(self) -> int:
        return sum(self.rejected.values())

    @property
    def n_found(self) -> int:
        """Number of pictures that are now in the store."""
        return self.pictures.get("ok", 0)

    def __str__(self) -> str:
        if self.repeated:
            parts = [f"{self.source}: taken in before, nothing to do"]
        else:
            parts = [f"{self.source}: {self.n_read:,} read = {self.n_kept:,} kept + {self.n_rejected:,} rejected"]
            if self.rejected:
                parts[0] += f" ({_counts(self.rejected)})"
        if self.n_unchanged:
            parts.append(f"{self.n_unchanged:,} of the kept were held already")
        if self.n_main_photos:
            parts.append(f"{self.n_main_photos:,} main-photo events")
        if self.pictures:
            parts.append(f"pictures: {_counts(self.pictures)}")
        if self.ignored:
            parts.append(f"ignored columns: {', '.join(map(printable_name, self.ignored))}")
        return "; ".join([*parts, *self.notes])


def _counts(numbers: dict[Reason, int] | dict[str, int]) -> str:
    ordered = sorted(numbers.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {n:,}" for name, n in ordered)
