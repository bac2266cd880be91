"""What a sync did, or would do, for each source."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from photogenic.ingest.tabular.report import IngestReport
from photogenic.ingest.tabular.schemas import Kind

__all__ = ["SyncReport"]


@dataclass(frozen=True, slots=True)
class SyncReport:
    """One source.

    Attributes:
        name: its name.
        kind: kind of its rows.
        source: where it comes from, without secrets.
        reports: account of each piece or file that was read.
        old_position, new_position: position before and after, in words; None: there is none.
        n_rows: with `plan`: rows that would be read; None: it is not known before they are read.
        n_objects: with `plan`: files or objects that would be read; None: it is a database.
        n_bytes: with `plan`: their size; None: it is a database.
        duration_s: seconds that it took.
        notes: what is to say besides the counts.
        error: why it was not read to the end; empty: it was.
    """

    name: str
    kind: Kind
    source: str
    reports: tuple[IngestReport, ...] = ()
    old_position: str | None = None
    new_position: str | None = None
    n_rows: int | None = None
    n_objects: int | None = None
    n_bytes: int | None = None
    duration_s: float = 0.0
    notes: tuple[str, ...] = ()
    error: str = ""

    def count(self, name: str) -> int:
        """Number of rows by outcome: read, new, corrected, retracted, known, refused."""
        return sum(int(getattr(report, f"n_{name}")) for report in self.reports)

    @property
    def refused(self) -> dict[str, int]:
        """Number of refused rows by reason."""
        found: Counter[str] = Counter()
        for report in self.reports:
            found.update(report.refused)
        return dict(found)
