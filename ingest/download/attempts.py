"""The warehouse's side of `features fetch`: read the photos to download, and store the attempts.

Pending photos are read from the newest snapshot, one bucket at a time, so that a million of them are never in memory
together. Attempts go through the journal into facts.fetch_attempts and facts.photo_files.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from photogenic import sql
from photogenic._lazy import duckdb
from photogenic.ingest.download.address_guard import parse_url
from photogenic.ingest.download.request import Outcome
from photogenic.ingest.download.scheduler import Item
from photogenic.ingest.download.statuses import STATUSES, Status
from photogenic.ingest.journal.clock import instant
from photogenic.warehouse import Database, Layout

__all__ = ["Pending", "merge", "record"]

_BUCKET_PHOTOS = 10_000
_COUNT_PHOTOS = 200_000


class Pending:
    """The photos to download, in buckets.

    Args:
        db: the store's database.
        retry: final statuses whose photos are tried once more.
    """

    def __init__(self, db: Database, retry: tuple[Status, ...] = ()) -> None:
        self._db, self._retry = db, list(retry)
        with db.read() as con:
            ((n_versions,),) = con.execute("select count(*) from facts.photos").fetchall()
            self.n_buckets = n_versions // _BUCKET_PHOTOS + 1
            self.total = sum(self._counts(con, n_versions // _COUNT_PHOTOS + 1))

    def bucket(self, number: int) -> list[tuple[str | None, Item]]:
        """Read the items of one bucket, each with its host (None: no usable URL). Each photo is in one bucket."""
        rows = self._db.rows(_query(), self._parameters(self.n_buckets, number))
        return [(_host(url), Item(photo_id, url, attempts + 1)) for photo_id, url, attempts in rows]

    def _counts(self, con: duckdb.DuckDBPyConnection, n_buckets: int) -> Iterator[int]:
        query = f"select count(*) from ({_query()})"
        for number in range(n_buckets):
            ((n,),) = con.execute(query, self._parameters(n_buckets, number)).fetchall()
            yield n

    def _parameters(self, n_buckets: int, number: int) -> dict[str, Any]:
        return {"buckets": n_buckets, "bucket": number, "retry": self._retry}


def _query() -> str:
    """The query of the photos of one bucket, without deleted ones."""
    pending, deleted = sql.read("network/pending"), sql.read("features/deleted_now")
    return f"select * from ({pending}) as pending anti join ({deleted}) as deleted using (photo_id)"


def _host(url: str) -> str | None:
    parsed = parse_url(url)
    return parsed.raw_host if parsed else None


def record(item: Item, outcome: Outcome, *, settled: bool) -> dict[str, Any]:
    """Make a journal record of one attempt and its result."""
    return {
        "photo_id": item.photo_id,
        "url": item.url,
        "status": outcome.status,
        "detail": outcome.detail or None,
        "attempt": item.attempt,
        "started_at": instant(item.started_at or 0.0).isoformat(),
        "duration_s": round(item.spent_s, 6),
        "bytes": outcome.n_bytes,
        "settled": settled,
        "file_status": STATUSES[outcome.status].file_status,
        "sha256": outcome.sha256,
        "width": outcome.width,
        "height": outcome.height,
    }


def merge(con: duckdb.DuckDBPyConnection, segment: Path, layout: Layout) -> None:
    """Load one segment into the base tables, and delete pictures of photos that were erased meanwhile."""
    path, now = str(segment), dt.datetime.now(dt.UTC).replace(tzinfo=None)
    con.execute(f"insert into facts.fetch_attempts {sql.read('network/merge_attempts')}", {"path": path})
    con.execute(f"insert into facts.photo_files {sql.read('network/merge_files')}", {"path": path, "now": now})
    for (sha256,) in con.execute(sql.read("network/orphans"), {"path": path}).fetchall():
        layout.photo(sha256).unlink(missing_ok=True)
