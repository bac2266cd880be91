"""`features demo --network`: the road of posts, from a login to labels, over a network on this machine.

1. Make a world of people, posts and drawn portraits, and a network that serves it, with faults.
2. Log in three accounts by OAuth; their tokens are gone when the demo ends.
3. Crawl everybody's posts and follower counts; download the pictures.
4. Build labels from likes per follower, faces and vectors.
5. Print what arrived beside what the network has, and what it counted meanwhile.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from photogenic import FeatureStore
from photogenic.app.demo.planted_vs_found import Finding
from photogenic.app.terminal.output import Table, show
from photogenic.ingest.config import CrawlSettings, Limits
from photogenic.ingest.download.fetch import FetchReport
from photogenic.ingest.instagram import oauth
from photogenic.ingest.instagram.crawl import crawl
from photogenic.ingest.instagram.token_store import Secret, Vault
from photogenic.synthetic.network import FakeNetwork, FakeWorld, Faults, serving
from photogenic.synthetic.network.faults import FaultKind
from photogenic.synthetic.swipes.world import make_world
from photogenic.warehouse import InputError
from photogenic.warehouse.option_ranges import check
from photogenic.warehouse.progress import Progress, no_progress

__all__ = ["USERS", "run_network_demo"]

USERS = 300
_LOGINS = 3
_BUDGET = 5_000
_RATES: dict[FaultKind, float] = {
    "http_500": 0.02,
    "http_429": 0.01,
    "truncated": 0.01,
    "html": 0.01,
    "reset": 0.01,
    "noai": 0.01,
}
_EXPECTED = {"html": "not_an_image", "noai": "opted_out"}
"""Fault -> status that its pictures must end in; those of all other faults must arrive."""


def run_network_demo(
    root: Path,
    *,
    users: int = USERS,
    seed: int = 0,
    progress: Progress = no_progress,
    tell: Callable[[str], None] = print,
) -> list[Finding]:
    """Walk the road of posts; tell the story line by line, tables on stdout.

    Args:
        root: the store; absent or empty.
        users: people in the world; at least 200.
        seed: another number, another world.
        progress: hears of everything that takes long.
        tell: what is done with a line of the story.

    Raises:
        InputError: the store is in use; too few users.
    """
    check(users=users, seed=seed)
    if root.exists() and any(root.iterdir()):
        raise InputError(
            f"{root} is in use.", "an empty or absent folder", f"--store {root.with_name(root.name + '-2')}"
        )
    started = time.monotonic()
    folder = root / "demo" / "network"
    make_world(folder, users=users, swipes=1_000, seed=seed, progress=progress)
    world = FakeWorld.from_folder(folder)
    faults = Faults(rates=_RATES, seed=seed)
    network = FakeNetwork(world, faults=faults, budget=_BUDGET)
    with (
        serving(network) as fake,
        tempfile.TemporaryDirectory() as vault,
        FeatureStore(root, progress=progress) as store,
    ):
        tell(f"A network of {len(world.accounts):,} people is at {fake.base}. Nobody in it exists.")
        keys = [_log_in(fake, Vault(Path(vault)), number) for number in range(_LOGINS)]
        tell(f"{_LOGINS} accounts have logged in; their tokens are called {', '.join(keys)}.\n")
        told = [_told(_crawl(store, fake, Vault(Path(vault))), tell)]
        told.append(_told(_fetch(store, fake), tell))
    with FeatureStore(root, progress=progress) as store:
        store.build(encoders=["dlib_face"])
        told.append(_told(_labels(store), tell))
    agreed = all(finding.agrees is not False for finding in told)
    verdict = "Everything that could arrive did." if agreed else "NOT everything is as it should be."
    tell(f"{verdict} {time.monotonic() - started:.0f} s.")
    tell(f"Ask on: features sql 'select * from follower_ratios' --store {root}")
    return told


def _log_in(fake: FakeNetwork, vault: Vault, number: int) -> str:
    """One person's login, consenting as a browser would."""
    fake.login.person = f"1784140000000{number:04d}"
    base = fake.base / "v23.0"
    app = oauth.App("1000001", Secret(fake.office.apps["1000001"]), base, base)

    def consent(address: str) -> None:
        threading.Thread(target=lambda: urllib.request.urlopen(address).close(), daemon=True).start()  # noqa: S310

    return asyncio.run(oauth.login(app, vault, now=time.time(), show=consent, port=0)).key


def _crawl(store: FeatureStore, fake: FakeNetwork, vault: Vault) -> Finding:
    """Everybody, with every post and the follower count that the network has."""
    world = fake.world
    settings = CrawlSettings(api=str(fake.base), budget=_BUDGET)
    crawl(store.store, usernames=list(world.accounts), vault=vault, settings=settings)
    posts = [post for account in world.accounts.values() for post in account.posts]
    there = {
        "accounts": len(world.accounts),
        "followers": sum(account.followers for account in world.accounts.values()),
        "posts": len(posts),
        "likes": sum(post.likes or 0 for post in posts),
    }
    held = store.sql(
        "select (select count(*) from users) as accounts, (select sum(followers) from users) as followers,"
        " count(*) as posts, sum(likes) as likes from photos"
    ).row(0, named=True)
    tokens = [token for token in fake.office.tokens.values() if token.n_requests]
    most, refused = max(token.peak for token in tokens), sum(token.n_refused for token in tokens)
    rows = [(name, n, held[name]) for name, n in there.items()]
    return Finding(
        "Crawled",
        Table(("what", "on the network", "in the store"), rows),
        all(n == int(held[name]) for name, n in there.items()) and most <= _BUDGET and not refused,
        f"The network counted at most {most:,} requests of one token in an hour; {_BUDGET:,} are allowed.",
    )


def _fetch(store: FeatureStore, fake: FakeNetwork) -> Finding:
    """Every picture that can arrive did, whatever went wrong first; every other one has its word."""
    limits = Limits(allow_private=True, read_s=5, backoff_s=0.1)
    report = store.fetch(limits=limits)
    settled = dict(
        store.sql("select photo_id, arg_max(status, attempt) from fetch_attempts group by photo_id").iter_rows()
    )
    return _by_fault(fake.world, fake, settled, report)


def _by_fault(world: FakeWorld, fake: FakeNetwork, settled: dict[str, str], report: FetchReport) -> Finding:
    counts: Counter[tuple[str, str, str]] = Counter()
    for account in world.accounts.values():
        for post in account.posts:
            fault: str = fake.pictures.faults.of(post.picture) or "none"
            try:
                world.picture(post.picture)
            except KeyError:
                fault = "no such file"
            expected = "http_404" if fault == "no such file" else _EXPECTED.get(fault, "ok")
            counts[fault, expected, settled.get(post.media_id, "not tried")] += 1
    rows = [(fault, expected, found, n) for (fault, expected, found), n in sorted(counts.items())]
    return Finding(
        "Downloaded",
        Table(("fault", "must end as", "ended as", "pictures"), rows),
        all(_fits(expected, found) for _, expected, found, _ in rows),
        f"{report.n_attempts:,} attempts for {report.n_pending:,} pictures in {report.duration_s:.1f} s.",
    )


def _fits(expected: str, found: str) -> bool:
    """The world itself holds some damaged files, which a good host serves as they are."""
    damaged = {"not_an_image", "truncated", "unreadable", "empty"}
    return found == expected or (expected == "ok" and found in damaged)


def _labels(store: FeatureStore) -> Finding:
    """What became of the posts on the way to a label."""
    table = Table.of(
        store.sql(
            "select coalesce(dropped, 'kept') as post, count(*) as n_posts, median(ratio) as median_likes_per_follower"
            " from follower_ratios group by all order by n_posts desc, post"
        )
    )
    return Finding("Labelled", table, None, "Likes per follower; why each of the other posts has no label.")


def _told(finding: Finding, tell: Callable[[str], None]) -> Finding:
    show(finding.table, title=finding.title)
    mark = {True: "As it should be. ", False: "NOT as it should be. ", None: ""}[finding.agrees]
    tell(f"{mark}{finding.remark}\n")
    return finding
