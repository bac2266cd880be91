"""Walk along accounts and hashtags of the Instagram Graph API, and take in posts, owners and counts.

The story of `crawl`:
1. merge what a crash left in the journal; 2. see which walks are new, open, or due again;
3. a few workers take one walk each and read it page by page; 4. every request asks the pool for a token,
which may mean waiting until budgets come back; 5. a page and the cursor after it go to the journal as one
record; 6. the journal is made durable every second and merged now and then; 7. report.
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
from photogenic.ingest.download.no_silent_retry import once
from photogenic.ingest.instagram import cursors
from photogenic.ingest.instagram.api import Page, Target, account_page, hashtag_id, hashtag_page, target
from photogenic.ingest.instagram.client import Graph, Refusal
from photogenic.ingest.instagram.cursors import Walk
from photogenic.ingest.instagram.loop_guard import Trail
from photogenic.ingest.instagram.oauth import refresh_tokens
from photogenic.ingest.instagram.token_pool import TokenPool
from photogenic.ingest.instagram.token_store import Vault
from photogenic.ingest.journal.clock import Clock, SystemClock, instant
from photogenic.ingest.journal.writer import Scribe
from photogenic.warehouse import InputError, Progress, Store
from photogenic.warehouse.storage.lock import locked

__all__ = ["CrawlReport", "crawl"]


@dataclass(slots=True)
class CrawlReport:
    """What a crawl did.

    Attributes:
        n_targets: accounts and hashtags asked for.
        n_skipped: of them, walked before and not due again.
        statuses: walks of this run by where they ended.
        n_posts: pictures seen.
        n_others: videos seen, and left.
        n_requests: made to the API.
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
    """Walk along accounts and hashtags. May be killed and started again at any time.

    Args:
        store: the store; made if it does not exist.
        usernames: professional accounts: `name`, `@name` or the profile's address.
        hashtags: with or without #.
        top: the hashtags' top posts instead of the recent ones.
        vault: the tokens.
        settings: limits, budgets, where the API is.
        clock: what waiting goes by.
        rng: of the jitter.

    Raises:
        InputError: a name that cannot be one, or no name at all.
        NetworkError: no token can be used (any more); what was read is kept.
        LockedError: another crawl runs.
    """
    db = store.database
    settings, clock, vault = settings or CrawlSettings(), clock or SystemClock(), vault or Vault()
    targets = _targets(usernames, hashtags, "top" if top else "recent")
    with db.write("crawl"):
        pass  # so that there is a store
    with locked(store.layout.crawl / "lock", "crawl", db.settings.lock_timeout_s), vault.in_use():
        scribe = Scribe(
            store,
            store.layout.crawl,
            "crawl",
            merge=lambda con, path: cursors.merge(con, path, store.layout),
            merge_every_s=settings.merge_every_s,
        )
        scribe.drain()
        vault.forget_spent(clock.now() - settings.window_s - settings.request_s)
        refresh = None if settings.refresh_days is None else dt.timedelta(days=settings.refresh_days)
        todo = cursors.walks(db, targets, now=instant(clock.now()), refresh=refresh)
        run = _Crawl(settings, clock, rng or random.Random(), store.progress)
        run.report.n_targets, run.report.n_skipped = len(targets), len(targets) - len(todo)
        try:
            asyncio.run(run.run(todo, vault, scribe))
        finally:
            scribe.drain()
        return run.report


class _Crawl:
    """The state of one crawl."""

    def __init__(self, settings: CrawlSettings, clock: Clock, rng: random.Random, progress: Progress) -> None:
        self.settings, self.clock, self.rng, self.progress = settings, clock, rng, progress
        self.report = CrawlReport()

    async def run(self, todo: list[Walk], vault: Vault, scribe: Scribe) -> None:
        settings = self.settings
        base = URL(settings.api) / settings.version
        session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=settings.request_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(once,),
        )
        async with scribe, session:
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
                        await self.walk(graph, walk, scribe)
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

    async def walk(self, graph: Graph, walk: Walk, scribe: Scribe) -> None:
        """Read one account or hashtag from where it stands to its end or its limits."""
        tag = await hashtag_id(graph, walk.target.name) if walk.target.kind != "user" else ""
        trail, refused = Trail(walk.cursor), False
        while walk.status == "open":
            page = tag if isinstance(tag, Refusal) else await self.page(graph, walk, tag)
            if isinstance(page, Refusal) and page.status in {"unknown", "api_error"} and walk.cursor is not None:
                if not refused and not page.odd:  # a cursor that the network has forgotten: once from the top
                    trail, refused = Trail(None), True
                    walk.cursor, walk.n_posts = None, 0
                    continue
                page = Refusal("api_error", page.detail if page.odd else f"a cursor refused twice ({page.detail})")
            now = instant(self.clock.now())
            walk.page += 1
            if isinstance(page, Refusal):
                walk.status = page.status
                scribe.append(cursors.record(walk, now, detail=page.detail))
                return
            kept, astray = self.within(page, walk), None
            walk.n_posts += len(kept.posts)
            walk.cursor = page.after
            if page.after is None or self.enough(page, walk):
                walk.status, walk.cursor = "done", None
            elif astray := trail.astray(page):
                walk.status, walk.cursor = "api_error", None
            scribe.append(cursors.record(walk, now, kept, astray))
            self.report.n_posts += len(kept.posts)
            self.report.n_others += page.n_others

    async def page(self, graph: Graph, walk: Walk, tag: str) -> Page | Refusal:
        limit = self.settings.page_posts
        if self.settings.max_posts is not None:
            limit = max(min(limit, self.settings.max_posts - walk.n_posts), 1)
        if walk.target.kind == "user":
            return await account_page(graph, walk.target.name, walk.cursor, limit)
        return await hashtag_page(graph, walk.target.kind, tag, walk.cursor, limit)

    def within(self, page: Page, walk: Walk) -> Page:
        """The page less the posts beyond the limits."""
        since, most = self.settings.since, self.settings.max_posts
        posts = [p for p in page.posts if since is None or p.posted_at is None or p.posted_at >= since]
        if most is not None:
            posts = posts[: max(most - walk.n_posts, 0)]
        return Page(page.account, posts, page.n_others, page.oldest, page.after)

    def enough(self, page: Page, walk: Walk) -> bool:
        """Whether the limits are reached; top posts are not in order of time."""
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
        raise InputError("There is nobody to crawl.", "usernames or hashtags", "--usernames FILE or --hashtag TAG")
    return list(found)
