"""The report of each loaded file: read = new + corrected + retracted + known + refused, by reason."""

from __future__ import annotations

from dataclasses import dataclass, field

from photogenic.ingest.readers.input_files import printable_name
from photogenic.ingest.tabular.schemas import Kind, Reason

__all__ = ["Account", "IngestReport"]


@dataclass(frozen=True, slots=True)
class Account:
    """Numbers of the rows of a file that were not refused.

    Attributes:
        n_new: rows about something that the store did not have.
        n_corrected: rows that replaced values of the store.
        n_retracted: rows that took something back.
        n_known: rows that the store had already, or that a later row of the file repeats.
        n_main_photos: main-photo events in the `set_at` of photos; their rows are in the other numbers.
        n_unmatched: those of n_retracted of which the store knows nothing yet.
        n_back: users whose values are again what they were before another file changed them.
    """

    n_new: int = 0
    n_corrected: int = 0
    n_retracted: int = 0
    n_known: int = 0
    n_main_photos: int = 0
    n_unmatched: int = 0
    n_back: int = 0


@dataclass(frozen=True, slots=True)
class IngestReport:
    """Counts of one file.

    Attributes:
        kind: kind of the rows.
        source: the file, as given, on one line of UTF-8; stdin.
        n_read: number of rows found, valid or not, without blank lines.
        n_new: number of these rows about something that the store did not have.
        n_corrected: number of rows that replaced values of the store.
        n_retracted: number of rows that took something back.
        n_known: number of rows that the store had already; they changed nothing.
        refused: number of the other rows by reason; each is in `rejects` with its line.
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
    n_new: int = 0
    n_corrected: int = 0
    n_retracted: int = 0
    n_known: int = 0
    refused: dict[Reason, int] = field(default_factory=dict)
    repeated: bool = False
    n_main_photos: int = 0
    pictures: dict[str, int] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def n_refused(self) -> int:
        return sum(self.refused.values())

    @property
    def n_found(self) -> int:
        """Number of pictures that are now in the store."""
        return self.pictures.get("ok", 0)

    def __str__(self) -> str:
        if self.repeated:
            parts = [f"{self.source}: taken in before, nothing to do"]
        else:
            parts = [
                f"{self.source}: {self.n_read:,} read = {self.n_new:,} new + {self.n_corrected:,} corrected"
                f" + {self.n_retracted:,} retracted + {self.n_known:,} known + {self.n_refused:,} refused"
            ]
            if self.refused:
                parts[0] += f" ({_counts(self.refused)})"
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
