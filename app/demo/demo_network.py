"""`features demo --network`: the pipeline of posts, from a login to labels, with a simulated network on this machine.

1. Make a world of people, posts and drawn portraits, and a network that serves it with faults.
2. Log in three accounts by OAuth; their tokens are deleted when the demo ends.
3. Crawl the posts and follower counts of all accounts; download the pictures.
4. Build labels from likes per follower, faces and vectors.
5. Print the contents of the store beside those of the network, and the request counts of the network.
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
from photogenic.app.terminal.output import Table, print_table
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
"""Fault -> expected status of its pictures. Pictures with other faults must be downloaded."""


def run_network_demo(
    root: Path,
    *,
    users: int = USERS,
    seed: int = 0,
    progress: Progress = no_progress,
    print_line: Callable[[str], None] = print,
) -> list[Finding]:
    """Run the pipeline of posts and print its findings; tables go to stdout.

    Args:
        root: Folder of the store, absent or empty.
        users: Number of people in the world, at least 200.
        seed: Seed of the world.
        progress: Callback for progress updates.
        print_line: Function that prints a line of text.

    Raises:
        InputError: The store is in use, or there are too few users.
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
        print_line(f"A network of {len(world.accounts):,} people is at {fake.base}. None of these people exist.")
        keys = [_log_in(fake, Vault(Path(vault)), number) for number in range(_LOGINS)]
        print_line(f"{_LOGINS} accounts have logged in. The names of their tokens: {', '.join(keys)}.\n")
        findings = [_print_finding(_crawl(store, fake, Vault(Path(vault))), print_line)]
        findings.append(_print_finding(_fetch(store, fake), print_line))
    with FeatureStore(root, progress=progress) as store:
        store.build(encoders=["dlib_face"])
        findings.append(_print_finding(_labels(store), print_line))
    agreed = all(finding.agrees is not False for finding in findings)
    verdict = "Everything that can be downloaded was downloaded." if agreed else "NOT everything is as expected."
    print_line(f"{verdict} {time.monotonic() - started:.0f} s.")
    print_line(f"Next command: features sql 'select * from follower_ratios' --store {root}")
    return findings


def _log_in(fake: FakeNetwork, vault: Vault, number: int) -> str:
    """Log in one account; a thread gives the consent that a user gives in a browser."""
    fake.login.person = f"1784140000000{number:04d}"
    base = fake.base / "v23.0"
    app = oauth.App("1000001", Secret(fake.office.apps["1000001"]), base, base)

    def consent(address: str) -> None:
        threading.Thread(target=lambda: urllib.request.urlopen(address).close(), daemon=True).start()  # noqa: S310

    return asyncio.run(oauth.login(app, vault, now=time.time(), show=consent, port=0)).key


def _crawl(store: FeatureStore, fake: FakeNetwork, vault: Vault) -> Finding:
    """Crawl all accounts, and compare accounts, followers, posts and likes with the network."""
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
    """Download all pictures, and compare the final status of each with the status that its fault must lead to."""
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
    """Compare two statuses. The world holds some damaged files, which a host without faults serves unchanged."""
    damaged = {"not_an_image", "truncated", "unreadable", "empty"}
    return found == expected or (expected == "ok" and found in damaged)


def _labels(store: FeatureStore) -> Finding:
    """Count the posts with and without a label, by reason."""
    table = Table.of(
        store.sql(
            "select coalesce(dropped, 'kept') as post, count(*) as n_posts, median(ratio) as median_likes_per_follower"
            " from follower_ratios group by all order by n_posts desc, post"
        )
    )
    return Finding("Labelled", table, None, "Likes per follower, and the reason why a post has no label.")


def _print_finding(finding: Finding, print_line: Callable[[str], None]) -> Finding:
    print_table(finding.table, title=finding.title)
    mark = {True: "As expected. ", False: "NOT as expected. ", None: ""}[finding.agrees]
    print_line(f"{mark}{finding.remark}\n")
    return finding
