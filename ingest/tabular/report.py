"""The account that every file ends with: read = kept + rejected, by reason."""

from __future__ import annotations

from dataclasses import dataclass, field

from photogenic.ingest.readers.input_files import shown
from photogenic.ingest.tabular.schemas import Kind, Reason

__all__ = ["Account"]


@dataclass(frozen=True, slots=True)
class Account:
    """What became of the rows of one file.

    Attributes:
        kind: of the rows.
        source: the file, as given, on one line of UTF-8; stdin.
        n_read: rows found, well formed or not; blank lines are none.
        n_kept: of these, rows that are now held.
        n_unchanged: of the kept, rows that were held already, word for word (users and photos).
        rejected: the others by reason; each stands in `rejects` with its line.
        repeated: the file was taken in before, word for word, with the same mapping, and taking it in again would
            change nothing: nothing was read.
        n_main_photos: main-photo events added from the `set_at` of photos.
        pictures: what was found where the pictures of the file's photos should be, by `photos.status`;
            only pictures that were looked at in this run.
        ignored: columns of the file that are not ours.
        notes: what else one should know, such as an encoding that was guessed.
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
        """Rows that told something new."""
        return self.n_kept - self.n_unchanged

    @property
    def n_rejected(self) -> int:
        return sum(self.rejected.values())

    @property
    def n_found(self) -> int:
        """Pictures whose bytes are now held."""
        return self.pictures.get("ok", 0)

    @property
    def n_missing(self) -> int:
        """Pictures that are not where the file says."""
        return self.pictures.get("missing", 0)

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
            parts.append(f"ignored columns: {', '.join(map(shown, self.ignored))}")
        return "; ".join([*parts, *self.notes])


def _counts(numbers: dict[Reason, int] | dict[str, int]) -> str:
    ordered = sorted(numbers.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {n:,}" for name, n in ordered)
