"""The crawl's side of the warehouse: where the crawl of each account or hashtag stands, and what its pages contain.

A page goes into the journal as one record, its rows together with the cursor that follows them, so that a crash never
separates the two. Merging turns records into observations (one per page read), and into versions of users and photos
(only what changed).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from photogenic import sql
from photogenic._lazy import duckdb
from photogenic.ingest.instagram.api import Page, Target
from photogenic.ingest.instagram.client import CrawlStatus
from photogenic.ingest.instagram.refused_pages import readable_copy
from photogenic.warehouse import Database, Layout
from photogenic.warehouse.erasure.tombstones import Tombstones

__all__ = ["Walk", "merge", "record", "walks"]


@dataclass(slots=True)
class Walk:
    """State of the crawl of one target, a walk.

    Attributes:
        target: the account or hashtag.
        began_at: start, UTC without zone.
        status: open while there are more pages.
        cursor: cursor of the next page; None at the beginning and at the end.
        n_posts: number of pictures stored so far.
        page: number of the last page read, 0 before the first.
    """

    target: Target
    began_at: dt.datetime
    status: CrawlStatus = "open"
    cursor: str | None = None
    n_posts: int = 0
    page: int = 0


def walks(db: Database, targets: Sequence[Target], *, now: dt.datetime, refresh: dt.timedelta | None) -> list[Walk]:
    """The walks to make: new ones, unfinished ones, and finished ones that began at least `refresh` ago.

    Accounts of erased people are left out.
    """
    rows = db.rows(sql.read("network/crawl_targets"), {"targets": [str(t) for t in targets]})
    known, tombstones = {row[0]: row[1:] for row in rows}, Tombstones(db.layout)
    found = []
    for target in targets:
        if tombstones.contains("target", str(target)):
            continue
        status, cursor, n_posts, began_at, page = known.get(str(target), ("open", None, 0, now, 0))
        if status in {"open", "unavailable"}:
            found.append(Walk(target, began_at, "open", cursor, n_posts, page))
        elif refresh is not None and now - began_at >= refresh:
            found.append(Walk(target, now))
    return found


def record(walk: Walk, observed_at: dt.datetime, page: Page | None = None, detail: str | None = None) -> dict[str, Any]:
    """Make a journal record: a page and the cursor after it, or the reason why there is no page."""
    return {
        "target": str(walk.target),
        "status": walk.status,
        "detail": detail,
        "cursor": walk.cursor,
        "n_posts": walk.n_posts,
        "began_at": walk.began_at.isoformat(),
        "page": walk.page,
        "observed_at": observed_at.isoformat(),
        "account": asdict(page.account) if page and page.account else None,
        "posts": [
            {**asdict(post), "posted_at": post.posted_at.isoformat() if post.posted_at else None}
            for post in (page.posts if page else ())
        ],
    }


def merge(con: duckdb.DuckDBPyConnection, segment: Path, layout: Layout) -> None:
    """Load one segment's pages into the base tables, without those of erased people."""
    now = {"now": dt.datetime.now(dt.UTC).replace(tzinfo=None)}
    with readable_copy(segment) as (path, bad):
        rows = [(one.line, one.why, now["now"]) for one in bad]
        con.execute(f"create or replace temp table pages as {sql.read('network/read_pages')}", {"path": str(path)})
    if rows:
        con.executemany("insert into facts.rejects values ('photos', 'crawl', $1, 'bad_page', $2, null, $3)", rows)
    tombstones = Tombstones(layout)
    if tombstones:
        _refuse_erased(con, tombstones, now)
    con.execute(f"insert into facts.crawl_targets {sql.read('network/merge_targets')}", now)
    con.execute(f"insert into facts.observations {sql.read('network/merge_observations')}", now)
    con.execute(f"insert into facts.users by name {sql.read('network/merge_users')}", now)
    con.execute(f"insert into facts.photos by name {sql.read('network/merge_photos')}", now)
    con.execute("drop table pages")


def _refuse_erased(con: duckdb.DuckDBPyConnection, tombstones: Tombstones, now: dict[str, dt.datetime]) -> None:
    """Move erased accounts and posts from `pages` to the rejects, and remember their accounts as erased."""
    tombstones.prepare(con)
    con.execute(f"create or replace temp table judged_pages as {sql.read('network/erased_pages')}")
    con.execute(f"insert into facts.rejects {sql.read('network/reject_erased')}", now)
    targets = con.execute("select distinct target from judged_pages where is_erased").fetchall()
    tombstones.add(("target", target) for (target,) in targets if target.startswith("user:"))
    con.execute("drop table pages")
    con.execute(
        "create temp table pages as select * exclude (is_erased, n_erased) from judged_pages where not is_erased"
    )
    con.execute("drop table judged_pages")
