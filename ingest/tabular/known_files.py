"""Decide whether a file that was loaded before must be loaded again.

Swipes and main photos are events: a file says what happened, or takes it back, and its rows arrived when it was loaded
first. So the same file again is skipped, also if its rows were corrected since; to state them again, change the file.
Users and photos are descriptions, of which the last counts: the same file again changes something if another one was
loaded in between. So it is skipped only if it and the files before it in the same call are, in this order, what the
store loaded last. Then a repeated call does nothing, also after a crash, and a file that restores an earlier state is
loaded. A file of `features retract` is another one than the same file of `features ingest`, and is read again if
another file was loaded in between: that one may have said again what it took back.

The list of loaded files is read once per call, so that a known file costs no query.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from typing import NamedTuple

from photogenic._lazy import duckdb
from photogenic.ingest.tabular.schemas import Kind, Reason

__all__ = ["KnownFile", "KnownFiles"]


class KnownFile(NamedTuple):
    """A file that was loaded before.

    Attributes:
        refused: number of refused rows by reason.
        ingested_at: when it was loaded.
    """

    ingest_id: str
    n_read: int
    refused: dict[Reason, int]
    ingested_at: dt.datetime


class KnownFiles:
    """The files of one kind that the store has loaded, in the order of loading.

    Args:
        con: writing connection.
        kind: kind of the rows.
        retract: whether the files of the call take rows back.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, kind: Kind, *, retract: bool = False) -> None:
        self.con, self.kind = con, kind
        rows = con.execute(
            "select ingest_id, n_read, refused, ingested_at from facts.ingests where kind = $1 order by batch", [kind]
        ).fetchall()
        self._held = [KnownFile(ingest_id, n, json.loads(refused), at) for ingest_id, n, refused, at in rows]
        self._ids = [held.ingest_id for held in self._held]
        self._last = {held.ingest_id: held for held in self._held}
        is_event = kind in {"swipes", "main_photos"}
        self._is_said_once = is_event and not retract
        self._written_at = None if is_event else self._written_by_others()

    def add(self, file: KnownFile) -> None:
        """Add a file that was loaded now."""
        self._held.append(file)
        self._ids.append(file.ingest_id)
        self._last[file.ingest_id] = file

    def find(self, call: Sequence[str]) -> KnownFile | None:
        """Return the first file of `call` as it was loaded before, if loading it again would change nothing.

        Args:
            call: ids of the files that the call has not loaded yet.
        """
        known = self._last.get(call[0])
        if known is None or self._is_said_once:
            return known
        for at, ingest_id in enumerate(self._ids):
            if ingest_id == call[0] and self._ids[at:] == list(call[: len(self._ids) - at]):
                since = self._held[at].ingested_at
                return known if self._written_at is None or self._written_at < since else None
        return None

    def _written_by_others(self) -> dt.datetime | None:
        """When something else than a file, which is a crawl, wrote users or photos last; None: never."""
        [(written_at,)] = self.con.execute(
            f"""
            select max(ingested_at)
            from facts.{self.kind}
            where batch = 0 and ingested_at not in (select ingested_at from facts.ingests where kind = $1)
            """,
            [self.kind],
        ).fetchall()
        return written_at  # type: ignore[no-any-return]
