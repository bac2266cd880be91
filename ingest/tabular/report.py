"""The report of each loaded file: read = new + corrected + retracted + known + refused, by reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from photogenic.ingest.readers.input_files import printable_name
from photogenic.ingest.tabular.schemas import Kind, Reason

__all__ = ["Account", "IngestReport", "total_line"]


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
        n_revived: those of n_new that an earlier file had taken back.
        n_back: those of n_corrected whose values are again what they were before another row changed them.
    """

    n_new: int = 0
    n_corrected: int = 0
    n_retracted: int = 0
    n_known: int = 0
    n_main_photos: int = 0
    n_unmatched: int = 0
    n_revived: int = 0
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
        n_read_before, refused_before: of a repeated file, the same counts of the time when it was loaded.
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
    n_read_before: int = 0
    refused_before: dict[Reason, int] = field(default_factory=dict)

    @property
    def n_rows(self) -> int:
        """Number of rows of the file, whether it was read now or before."""
        return self.n_read_before if self.repeated else self.n_read

    @property
    def refused_rows(self) -> dict[Reason, int]:
        """Number of refused rows of the file by reason, whether it was read now or before."""
        return self.refused_before if self.repeated else self.refused

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
            parts = [f"{self.source}: {_account([self])}"]
        if self.n_main_photos:
            parts.append(f"{self.n_main_photos:,} main-photo events")
        if self.pictures:
            parts.append(f"pictures: {_counts(self.pictures)}")
        if self.ignored:
            parts.append(f"ignored columns: {', '.join(map(printable_name, self.ignored))}")
        return "; ".join([*parts, *self.notes])


def total_line(reports: Sequence[IngestReport]) -> str:
    """Return the account of all files of a call as one line."""
    n_repeated = sum(report.repeated for report in reports)
    line = f"{len(reports):,} files: {_account([report for report in reports if not report.repeated])}"
    n_main_photos = sum(report.n_main_photos for report in reports)
    pictures: Counter[str] = Counter()
    for report in reports:
        pictures.update(report.pictures)
    if n_main_photos:
        line += f"; {n_main_photos:,} main-photo events"
    if pictures:
        line += f"; pictures: {_counts(pictures)}"
    if n_repeated:
        line += f"; {n_repeated:,} of the files were taken in before"
    return line


def _account(reports: Sequence[IngestReport]) -> str:
    """Return `4 read = 2 new + 1 corrected + 0 retracted + 0 known + 1 refused (bad_liked 1)`."""
    n_read, *others = (
        sum(getattr(report, f"n_{name}") for report in reports)
        for name in ("read", "new", "corrected", "retracted", "known", "refused")
    )
    words = ("new", "corrected", "retracted", "known", "refused")
    account = f"{n_read:,} read = " + " + ".join(f"{n:,} {word}" for n, word in zip(others, words, strict=True))
    refused: Counter[Reason] = Counter()
    for report in reports:
        refused.update(report.refused)
    return f"{account} ({_counts(refused)})" if refused else account


def _counts(numbers: dict[Reason, int] | dict[str, int]) -> str:
    ordered = sorted(numbers.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {n:,}" for name, n in ordered)
