"""Crawl accounts and hashtags of the Instagram Graph API, and store posts, owners and counts.

Steps of `crawl`:
1. merge the journal that a killed run left; 2. find the targets that are new, unfinished, or due again;
3. a few workers take one target each and read it page by page; 4. each request takes a token of the pool, and waits
if all budgets are spent; 5. a page and the cursor after it go to the journal as one record; 6. the journal is synced
every second and merged now and then; 7. report.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

import aiohttp
from yarl import URL

from photogenic.ingest.config import CrawlSettings
from photogenic.ingest.download.no_silent_retry import send_once
from photogenic.ingest.instagram import cursors
from photogenic.ingest.instagram.api import Page, Target, account_page, hashtag_id, hashtag_page, target
from photogenic.ingest.instagram.client import Graph, Refusal
from photogenic.ingest.instagram.cursors import Walk
from photogenic.ingest.instagram.loop_guard import LoopGuard
from photogenic.ingest.instagram.oauth import refresh_tokens
from photogenic.ingest.instagram.token_pool import TokenPool
from photogenic.ingest.instagram.token_store import Vault
from photogenic.ingest.journal.clock import Clock, SystemClock, instant
from photogenic.ingest.journal.writer import JournalWriter
from photogenic.warehouse import InputError, Progress, Store
from photogenic.warehouse.storage.lock import locked

__all__ = ["CrawlReport", "crawl"]


@dataclass(slots=True)
class CrawlReport:
    """Result of a crawl.

    Attributes:
        n_targets: number of accounts and hashtags named.
        n_skipped: number of targets that were finished before and are not due again.
        statuses: number of targets by the status they ended with.
        n_posts: number of pictures found.
        n_others: number of videos found, which are not stored.
        n_requests: number of requests to the API.
    """

    n_targets: int = 0
    n_skipped: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    n_posts: int = 0
    n_others: int = 0
    n_requests: int = 0


def crawl(
    store: Store,
    *,
    usernames: Sequence[str] = (),
    hashtags: Sequence[str] = (),
    top: bool = False,
    vault: Vault | None = None,
    settings: CrawlSettings | None = None,
    clock: Clock | None = None,
    rng: random.Random | None = None,
) -> CrawlReport:
    """Crawl accounts and hashtags. May be killed and started again at any time.

    Args:
        store: the store; created if it does not exist.
        usernames: professional accounts: `name`, `@name` or the profile's URL.
        hashtags: hashtags, with or without #.
        top: whether to read the hashtags' top posts instead of the recent ones.
        vault: store of the tokens.
        settings: limits, budgets, URL of the API.
        clock: clock used for waiting.
        rng: random generator of the jitter.

    Raises:
        InputError: a name is not valid, or there is no name.
        NetworkError: no token can be used (any more); the pages read so far are kept.
        LockedError: another crawl is running.
    """
    db = store.database
    settings, clock, vault = settings or CrawlSettings(), clock or SystemClock(), vault or Vault()
    targets = _targets(usernames, hashtags, "top" if top else "recent")
    with db.write("crawl"):
        pass  # so that there is a store
    with locked(store.layout.crawl / "lock", "crawl", db.settings.lock_timeout_s), vault.in_use():
        journal = JournalWriter(
            store,
            store.layout.crawl,
            "crawl",
            merge=lambda con, path: cursors.merge(con, path, store.layout),
            merge_every_s=settings.merge_every_s,
        )
        journal.drain()
        vault.forget_spent(clock.now() - settings.window_s - settings.request_s)
        refresh = None if settings.refresh_days is None else dt.timedelta(days=settings.refresh_days)
        todo = cursors.walks(db, targets, now=instant(clock.now()), refresh=refresh)
        run = _Crawl(settings, clock, rng or random.Random(), store.progress)
        run.report.n_targets, run.report.n_skipped = len(targets), len(targets) - len(todo)
        try:
            asyncio.run(run.run(todo, vault, journal))
        finally:
            journal.drain()
        return run.report


class _Crawl:
    """The state of one crawl."""

    def __init__(self, settings: CrawlSettings, clock: Clock, rng: random.Random, progress: Progress) -> None:
        self.settings, self.clock, self.rng, self.progress = settings, clock, rng, progress
        self.report = CrawlReport()

    async def run(self, todo: list[Walk], vault: Vault, journal: JournalWriter) -> None:
        settings = self.settings
        base = URL(settings.api) / settings.version
        session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=settings.request_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(send_once,),
        )
        async with journal, session:
            await refresh_tokens(session, vault, base, now=self.clock.now(), progress=self.progress)
            pool = TokenPool(
                vault,
                self.clock,
                budget=settings.budget,
                window_s=settings.window_s,
                longest_request_s=settings.request_s,
                progress=self.progress,
            )
            graph = Graph(session, pool, base, clock=self.clock, backoff=settings.backoff, rng=self.rng)
            line = iter(todo)
            with self.progress.stage("crawl", len(todo), "accounts and hashtags") as advance:

                async def work(line: Iterator[Walk]) -> None:
                    for walk in line:
                        await self.walk(graph, walk, journal)
                        self.report.statuses[walk.status] += 1
                        advance(1)

                workers = [asyncio.create_task(work(line)) for _ in range(min(settings.concurrency, len(todo)))]
                try:
                    await asyncio.gather(*workers)
                finally:
                    for worker in workers:
                        worker.cancel()
                    await asyncio.gather(*workers, return_exceptions=True)
                    self.report.n_requests = graph.n_requests

    async def walk(self, graph: Graph, walk: Walk, journal: JournalWriter) -> None:
        """Read one account or hashtag from its cursor to its end or to the limits."""
        tag = await hashtag_id(graph, walk.target.name) if walk.target.kind != "user" else ""
        guard, refused = LoopGuard(walk.cursor), False
        while walk.status == "open":
            page = tag if isinstance(tag, Refusal) else await self.page(graph, walk, tag)
            if isinstance(page, Refusal) and page.status in {"unknown", "api_error"} and walk.cursor is not None:
                if not refused and not page.odd:  # an expired cursor: start once from the first page
                    guard, refused = LoopGuard(None), True
                    walk.cursor, walk.n_posts = None, 0
                    continue
                page = Refusal("api_error", page.detail if page.odd else f"a cursor refused twice ({page.detail})")
            now = instant(self.clock.now())
            walk.page += 1
            if isinstance(page, Refusal):
                walk.status = page.status
                journal.append(cursors.record(walk, now, detail=page.detail))
                return
            kept, loop = self.within_limits(page, walk), None
            walk.n_posts += len(kept.posts)
            walk.cursor = page.after
            if page.after is None or self.reached_limits(page, walk):
                walk.status, walk.cursor = "done", None
            elif loop := guard.find_loop(page):
                walk.status, walk.cursor = "api_error", None
            journal.append(cursors.record(walk, now, kept, loop))
            self.report.n_posts += len(kept.posts)
            self.report.n_others += page.n_others

    async def page(self, graph: Graph, walk: Walk, tag: str) -> Page | Refusal:
        limit = self.settings.page_posts
        if self.settings.max_posts is not None:
            limit = max(min(limit, self.settings.max_posts - walk.n_posts), 1)
        if walk.target.kind == "user":
            return await account_page(graph, walk.target.name, walk.cursor, limit)
        return await hashtag_page(graph, walk.target.kind, tag, walk.cursor, limit)

    def within_limits(self, page: Page, walk: Walk) -> Page:
        """Remove the posts beyond the limits from the page."""
        since, most = self.settings.since, self.settings.max_posts
        posts = [p for p in page.posts if since is None or p.posted_at is None or p.posted_at >= since]
        if most is not None:
            posts = posts[: max(most - walk.n_posts, 0)]
        return Page(page.account, posts, page.n_others, page.oldest, page.after)

    def reached_limits(self, page: Page, walk: Walk) -> bool:
        """Whether the limits are reached. Top posts are not ordered by time, so `since` does not end them."""
        settings = self.settings
        if settings.max_posts is not None and walk.n_posts >= settings.max_posts:
            return True
        if walk.target.kind == "top" or settings.since is None or page.oldest is None:
            return False
        return page.oldest < settings.since


def _targets(usernames: Sequence[str], hashtags: Sequence[str], kind: str) -> list[Target]:
    found: dict[Target, None] = {}
    for word, text in chain((("user", u) for u in usernames), ((kind, h) for h in hashtags)):
        if not text.strip():
            continue
        named = target(word, text)
        if named is None:
            raise InputError(
                f"{text.strip()!r} cannot be {'a username' if word == 'user' else 'a hashtag'}.",
                "letters, digits, underscores; dots in usernames",
                "one name a line, without spaces",
            )
        found[named] = None
    if not found:
        raise InputError("There is nothing to crawl.", "usernames or hashtags", "--usernames FILE or --hashtag TAG")
    return list(found)
