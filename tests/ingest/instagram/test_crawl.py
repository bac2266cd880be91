"""`features crawl instagram` with the fake network; the tests advance the clock and never wait."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import random
import signal
import sys
from pathlib import Path

import pytest

from photogenic.ingest.config import CrawlSettings
from photogenic.ingest.download.fetch import fetch
from photogenic.ingest.instagram.client import Graph
from photogenic.ingest.instagram.crawl import crawl
from photogenic.ingest.instagram.token_store import Secret, Token, Vault, token_key
from photogenic.ingest.journal.clock import instant
from photogenic.synthetic.network import FakeNetwork, FakeWorld, Faults
from photogenic.warehouse import Database, InputError, Layout, NetworkError, Settings, Store
from tests.ingest.network_store import QUICK, START, JumpingClock, rows

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


def store(folder: Path) -> Database:
    return Database(Layout(folder / "store"), Settings(memory_limit="500MB", threads=1, lock_timeout_s=5))


def vault_of(folder: Path, fake: FakeNetwork, n_tokens: int = 1, **issue) -> Vault:
    vault = Vault(folder / "vault")
    for number in range(n_tokens):
        user_id = f"1784140000000{number:04d}"
        issued = fake.office.issue(user_id, **issue)
        key = token_key(issued.app_id, user_id)
        vault.put(Token(key, Secret(issued.secret), user_id, f"asker_{number}", issued.app_id, issued.expires_at))
    return vault


def settings_of(fake: FakeNetwork, **changes) -> CrawlSettings:
    return CrawlSettings(api=str(fake.base), budget=fake.office.budget, window_s=fake.office.window_s, **changes)


async def run(db, fake, vault, clock, *, changes=None, **arguments):
    arguments.setdefault("usernames", list(fake.world.accounts))
    return await asyncio.to_thread(
        crawl,
        Store(db),
        vault=vault,
        clock=clock,
        settings=settings_of(fake, **(changes or {})),
        rng=random.Random(0),
        **arguments,
    )


def tags_of(post) -> list[str]:
    return sorted(word[1:] for word in post.caption.split() if word.startswith("#"))


def pictures(world: FakeWorld) -> dict[str, tuple]:
    return {
        post.media_id: (
            account.user_id,
            post.likes,
            post.posted_at,
            sorted(t[1:] for t in post.caption.split() if t[0] == "#"),
        )
        for account in world.accounts.values()
        for post in account.posts
        if post.kind == "IMAGE"
    }


def held(db) -> dict[str, tuple]:
    found = rows(db, "select photo_id, user_id, likes, posted_at, hashtags from photos")
    return {photo_id: (user, likes, posted, tags) for photo_id, user, likes, posted, tags in found}


async def test_posts_owners_and_counts_are_stored_with_the_time_of_the_request(tmp_path):
    world, clock = FakeWorld.tiny(12, 9, random.Random(0)), JumpingClock()
    async with FakeNetwork(world, now=clock.now) as fake:
        db, vault = store(tmp_path), vault_of(tmp_path, fake)
        report = await run(db, fake, vault, clock, changes={"page_posts": 4})
        assert fake.graph.tokens_in_urls == 0
    assert report.statuses == {"done": 12}
    assert held(db) == pictures(world)
    assert rows(db, "select user_id, followers, gender from users order by user_id") == sorted(
        (account.user_id, account.followers, None) for account in world.accounts.values()
    )
    assert rows(db, "select kind, count(*), min(observed_at) from observations group by kind order by kind") == [
        ("account", 12, instant(START)),
        ("post", len(pictures(world)), instant(START)),
    ]
    assert report.n_posts + report.n_others == 12 * 9
    assert report.n_requests == 12 * 3
    owners = {f"user:{account.username}": account.user_id for account in world.accounts.values()}
    assert dict(rows(db, "select target, user_id from crawl_targets where status = 'done' and n_pages = 3")) == owners
    assert rows(db, "select sum(n_posts) from crawl_targets") == [(len(pictures(world)),)]


@pytest.fixture
def under_way(monkeypatch):
    """The number of open requests; the clock must not jump by hours while there are any."""
    n, ask = [0], Graph._request

    async def counted(*arguments):
        n[0] += 1
        try:
            return await ask(*arguments)
        finally:
            n[0] -= 1

    monkeypatch.setattr(Graph, "_request", counted)
    return lambda: n[0]


@pytest.mark.parametrize("scale", [200, pytest.param(2000, marks=pytest.mark.thorough)])
async def test_many_accounts_within_every_tokens_budget(tmp_path, under_way, scale):
    world, clock = FakeWorld.tiny(scale, 10, random.Random(0)), JumpingClock(busy=under_way)
    faults = Faults(rates={"http_500": 0.02, "http_429": 0.01, "reset": 0.01}, retry_after_s=20)
    async with FakeNetwork(world, api_faults=faults, budget=max(scale // 20, 8), now=clock.now) as fake:
        db, vault = store(tmp_path), vault_of(tmp_path, fake, 3)
        report = await run(db, fake, vault, clock)
        spent = [(token.peak, token.n_refused) for token in fake.office.tokens.values()]
    assert report.statuses == {"done": scale}
    assert held(db) == pictures(world)
    assert all(0 < peak <= fake.office.budget for peak, _ in spent)
    assert all(refused == 0 for _, refused in spent)
    assert max(peak for peak, _ in spent) - min(peak for peak, _ in spent) <= fake.office.budget // 2
    assert clock.now() - START >= 3600


async def test_a_second_crawl_makes_versions_only_of_what_changed(tmp_path):
    world, clock = FakeWorld.tiny(3, 4, random.Random(1)), JumpingClock()
    first, second, third = world.accounts.values()
    async with FakeNetwork(world, now=clock.now) as fake:
        db, vault = store(tmp_path), vault_of(tmp_path, fake)
        with db.write("test") as con:
            con.execute(
                "insert into facts.users (user_id, gender, followers, created_at, ingested_at)"
                " values ($1, 'female', 1, '2020-01-01', '2024-01-01')",
                [first.user_id],
            )
        await run(db, fake, vault, clock)
        n_before = rows(db, "select (select count(*) from facts.users), (select count(*) from facts.photos)")[0]
        clock.at += 86400
        unchanged = await run(db, fake, vault, clock)
        assert (unchanged.n_skipped, unchanged.n_requests) == (3, 0)
        second.followers += 5
        third.posts[0].likes = 123456
        fake.graph.base = fake.base.with_host("localhost")
        report = await run(db, fake, vault, clock, changes={"refresh_days": 0.8})
    assert report.statuses == {"done": 3}
    n_photos = len(pictures(world))
    assert rows(db, "select (select count(*) from facts.users)")[0][0] == n_before[0] + 1
    assert rows(db, "select count(*) from facts.photos")[0][0] == n_before[1] + n_photos, "new URLs"
    assert rows(db, "select count(*) from facts.observations")[0][0] == 2 * (3 + n_photos)
    assert rows(db, f"select gender, followers, year(created_at) from users where user_id = '{first.user_id}'") == [
        ("female", first.followers, 2020)
    ]
    assert held(db)[third.posts[0].media_id][1] == 123456


async def test_a_stored_picture_needs_no_new_url(tmp_path):
    world, clock = FakeWorld.tiny(2, 4, random.Random(1)), JumpingClock()
    async with FakeNetwork(world, now=clock.now) as fake:
        db, vault = store(tmp_path), vault_of(tmp_path, fake)
        await run(db, fake, vault, clock)
        fetched = await asyncio.to_thread(fetch, Store(db), limits=QUICK)
        assert fetched.statuses == {"ok": len(pictures(world))}
        fake.graph.base = fake.base.with_host("localhost")
        clock.at += 10
        await run(db, fake, vault, clock, changes={"refresh_days": 5 / 86400})
        assert rows(db, "select count(*) from facts.photos") == [(len(pictures(world)),)]
        assert (await asyncio.to_thread(fetch, Store(db), limits=QUICK)).n_pending == 0


async def test_limits_of_number_and_time(tmp_path):
    world, clock = FakeWorld.tiny(3, 20, random.Random(2)), JumpingClock()
    async with FakeNetwork(world, now=clock.now) as fake:
        vault = vault_of(tmp_path, fake)
        few = store(tmp_path / "few")
        await run(few, fake, vault, clock, changes={"max_posts": 7, "page_posts": 5})
        since = dt.datetime(2023, 12, 22)
        late = store(tmp_path / "late")
        report = await run(late, fake, vault, clock, changes={"since": since, "page_posts": 5})
    assert rows(few, "select distinct count(*) over (partition by user_id) from photos") == [(7,)]
    newest = {k: v for k, v in pictures(world).items() if v[2] >= since}
    assert held(late) == newest
    assert report.n_requests < 3 * 4


async def test_failures_of_one_account_are_data(tmp_path):
    world, clock = FakeWorld.tiny(2, 3, random.Random(0)), JumpingClock()
    faults = Faults(rates={"http_500": 1.0}, times=99)
    async with FakeNetwork(world, now=clock.now) as fake:
        db, vault = store(tmp_path), vault_of(tmp_path, fake)
        report = await run(
            db, fake, vault, clock, usernames=["person_0", "@Nobody.Here", "https://x.example/person_1/"]
        )
        assert report.statuses == {"done": 2, "unknown": 1}
        fake.graph.faults = faults
        clock.at += 1
        broken = await run(db, fake, vault, clock, usernames=["person_0"], changes={"refresh_days": 0})
        assert broken.statuses == {"unavailable": 1}
        fake.graph.faults = Faults()
        assert (await run(db, fake, vault, clock, usernames=["person_0"])).statuses == {"done": 1}
    assert rows(db, "select detail from crawl_targets where status = 'unknown'") == [("code 110, subcode 2207013",)]


async def test_hashtags_find_posts_whose_owner_is_unknown_until_walked(tmp_path):
    world, clock = FakeWorld.tiny(6, 20, random.Random(3)), JumpingClock()
    async with FakeNetwork(world, now=clock.now) as fake:
        db, vault = store(tmp_path), vault_of(tmp_path, fake)
        report = await run(db, fake, vault, clock, usernames=[], hashtags=["#Me", "nosuchtag"])
        tagged = {key: value for key, value in pictures(world).items() if "me" in value[3]}
        assert report.statuses == {"done": 1, "unknown": 1}
        assert {key: value[1:] for key, value in held(db).items()} == {k: v[1:] for k, v in tagged.items()}
        assert all(value[0] == f"owner-of-{key}" for key, value in held(db).items())
        await run(db, fake, vault, clock)
        assert held(db) == pictures(world)
        clock.at += 10
        await run(db, fake, vault, clock, usernames=[], hashtags=["me"], changes={"refresh_days": 1 / 86400})
        assert held(db) == pictures(world), "a known owner is kept"
        top = await run(
            store(tmp_path / "top"),
            fake,
            vault,
            clock,
            usernames=[],
            hashtags=["me"],
            top=True,
            changes={"max_posts": 5},
        )
    assert top.n_posts == 5


async def test_invalid_tokens_are_dropped_and_the_others_are_used(tmp_path):
    world, clock = FakeWorld.tiny(30, 2, random.Random(0)), JumpingClock()
    async with FakeNetwork(world, now=clock.now) as fake:
        db, vault = store(tmp_path), vault_of(tmp_path, fake, 4)
        dead, expired, powerless, good = vault.tokens()
        del fake.office.tokens[dead.secret.reveal()]
        fake.office.tokens[expired.secret.reveal()].expires_at = START - 1
        fake.office.tokens[powerless.secret.reveal()].permitted = False
        report = await run(db, fake, vault, clock)
        assert report.statuses == {"done": 30}
        assert [t.state for t in vault.tokens()] == ["revoked", "expired", "no_permission", "ready"]
        vault.forget(good.key)
        with pytest.raises(NetworkError, match="None of the 3 tokens"):
            await run(db, fake, vault, clock, changes={"refresh_days": 0})


@pytest.mark.parametrize("code", [4, 17, 32, 613, 80002])
async def test_limits_of_the_network_lower_than_the_setting_are_respected(tmp_path, code):
    world, clock = FakeWorld.tiny(60, 1, random.Random(0)), JumpingClock()
    async with FakeNetwork(world, budget=20, now=clock.now) as fake:
        fake.graph.rate_code = code
        db, vault = store(tmp_path), vault_of(tmp_path, fake)
        setting = CrawlSettings(api=str(fake.base), budget=200)
        report = await asyncio.to_thread(
            crawl, Store(db), usernames=list(world.accounts), vault=vault, settings=setting, clock=clock
        )
        token = next(iter(fake.office.tokens.values()))
    assert report.statuses == {"done": 60}
    assert token.n_refused <= 2 * (setting.concurrency - 1), "requests that were open when the window was used up"
    assert clock.now() - START >= 2 * 3600


async def test_no_token_is_ever_shown(tmp_path, caplog):
    """No token is in logs, errors or files of the store, even when the network quotes it."""
    caplog.set_level(logging.DEBUG)
    world, clock = FakeWorld.tiny(2, 3, random.Random(0)), JumpingClock()
    async with FakeNetwork(world, now=clock.now) as fake:
        db, vault = store(tmp_path), vault_of(tmp_path, fake)
        await run(db, fake, vault, clock)
        secret = vault.tokens()[0].secret.reveal()
        fake.office.tokens.clear()  # every further answer quotes the token as malformed
        with pytest.raises(NetworkError) as caught:
            await run(db, fake, vault, clock, changes={"refresh_days": 0})
        assert fake.graph.tokens_in_urls == 0
    shown = str(caught.value) + repr(caught.value) + caplog.text
    assert secret not in shown
    for path in (tmp_path / "store").rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path


async def test_a_killed_crawl_continues_at_its_cursors(tmp_path):
    world = FakeWorld.tiny(60, 30, random.Random(4))
    rng = random.Random(0)
    async with FakeNetwork(world, budget=10_000, api_faults=Faults(latency_s=0.01)) as fake:
        vault = vault_of(tmp_path, fake)
        db = store(tmp_path)
        names = tmp_path / "names"
        names.write_text("\n".join(world.accounts))
        n_pages = 60 * 6
        command = [sys.executable, "-m", "tests.ingest.instagram.crawl_child", tmp_path, fake.base, names]
        for number in range(3):
            process = await asyncio.create_subprocess_exec(*map(str, command), cwd=ROOT)
            goal = n_pages * (number + 0.3 + 0.5 * rng.random()) / 4
            while fake.graph.seen["discovery"] < goal and process.returncode is None:
                await asyncio.sleep(0.005)
            process.send_signal(signal.SIGKILL)
            await process.wait()
        process = await asyncio.create_subprocess_exec(*map(str, command), cwd=ROOT)
        assert await process.wait() == 0
        assert vault.spent(0.0)
    assert held(db) == pictures(world)
    assert rows(db, "select count(*) from facts.photos") == [(len(pictures(world)),)]
    assert rows(db, "select count(*), count(distinct object_id) from facts.observations where kind = 'post'") == [
        (len(pictures(world)), len(pictures(world)))
    ]
    assert n_pages <= fake.graph.seen["discovery"] <= n_pages + 3 * CrawlSettings().concurrency


async def test_invalid_names_are_refused_at_once(tmp_path):
    db = store(tmp_path)
    with pytest.raises(InputError, match="cannot be a username"):
        crawl(Store(db), usernames=["two words"], vault=Vault(tmp_path))
    with pytest.raises(InputError, match="nothing to crawl"):
        crawl(Store(db), usernames=["  "], vault=Vault(tmp_path))
    with pytest.raises(InputError, match="cannot be a username"):
        crawl(Store(db), usernames=["x){id}"], vault=Vault(tmp_path))
