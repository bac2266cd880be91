"""crawl, fetch, login and tokens from the command line, against the fake network."""

from __future__ import annotations

import asyncio
import json
import os
import random
import stat
import sys
from pathlib import Path

import aiohttp
import pytest

from photogenic.synthetic.network import FakeNetwork, FakeWorld, Faults

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


async def features(folder: Path, *arguments: str, stdin: str = "", status: int = 0) -> tuple[str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FEATURES_")}
    environment |= {"PYTHONPATH": str(ROOT), "FEATURES_STORE": str(folder / "store")}
    environment |= {"FEATURES_TOKENS": str(folder / "tokens"), "FEATURES_APP_SECRET": "the-secret-of-app-1000001"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from photogenic.app.cli.main import main; main()",
        *arguments,
        cwd=folder,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    if "login" in arguments:
        assert process.stderr is not None
        address = (await process.stderr.readline()).decode().removeprefix("Log in at ").strip()
        async with aiohttp.ClientSession() as session, session.get(address) as response:
            assert response.status == 200
    out, err = await process.communicate(stdin.encode())
    assert process.returncode == status, err.decode()
    return out.decode(), err.decode()


async def test_from_login_to_pictures(tmp_path):
    world = FakeWorld.tiny(5, 6, random.Random(0))
    n_pictures = sum(post.kind == "IMAGE" for account in world.accounts.values() for post in account.posts)
    async with FakeNetwork(world, faults=Faults(rates={"http_404": 0.2})) as fake:
        api = ("--api", str(fake.base))
        none, _ = await features(tmp_path, "tokens", "--format", "json")
        assert json.loads(none) == []
        _, told = await features(
            tmp_path, "login", "--app-id", "1000001", "--port", "0", "--no-browser", *api, "--dialog", str(fake.base)
        )
        assert "person_001" in told
        secret = max(fake.office.tokens.values(), key=lambda token: token.expires_at).secret
        assert stat.S_IMODE((tmp_path / "tokens" / "tokens.json").stat().st_mode) == 0o600

        names = "\n".join([*world.accounts, "nobody_here"])
        walked, crawl_told = await features(
            tmp_path, "crawl", "instagram", "--usernames", "-", *api, "--format", "json", stdin=names
        )
        assert {row["status"]: row["n_walks"] for row in json.loads(walked)} == {"done": 5, "unknown": 1}
        assert f"{n_pictures} pictures seen" in crawl_told
        status, _ = await features(tmp_path, "status", "--format", "json")
        assert json.loads(status)[0]["labels"]["ingested_at"] is not None

        listed, _ = await features(tmp_path, "tokens", "--format", "json")
        [row] = json.loads(listed)
        assert (row["username"], row["state"], row["left"]) == ("person_001", "ready", 200 - 6)

        fetched, fetch_told = await features(tmp_path, "fetch", "--allow-private", "--format", "json")
        statuses = {row["status"]: row["n_photos"] for row in json.loads(fetched)}
        assert statuses["ok"] + statuses["http_404"] == n_pictures
        again, _ = await features(tmp_path, "fetch", "--allow-private", "--format", "json")
        assert json.loads(again) == []
        counts, _ = await features(
            tmp_path, "sql", "select status, count(*) as n from photos group by all order by all", "--format", "json"
        )
        assert {row["status"]: row["n"] for row in json.loads(counts)} == {
            "missing": statuses["http_404"],
            "ok": statuses["ok"],
        }
        shown = none + told + walked + crawl_told + listed + fetched + fetch_told
        assert secret not in shown
        await features(tmp_path, "tokens", "--forget", row["token"])
        _, error = await features(tmp_path, "crawl", "instagram", "--hashtag", "me", *api, status=1)
        assert "features login --app-id ID" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fetch", "--retry", "tiemout"), "features fetch --retry timeout"),
        (("fetch", "--concurrency", "0"), "--concurrency is 0"),
        (("crawl", "instagram"), "nothing to crawl"),
        (("crawl", "instagram", "--usernames", "absent.txt"), "absent.txt cannot be read"),
        (("tokens", "--forget", "x"), "There is no token 'x'"),
    ],
)
async def test_errors_say_what_to_do(tmp_path, arguments, message):
    _, error = await features(tmp_path, *arguments, status=1)
    assert message in error
    assert "Traceback" not in error
