"""The fake network follows the API of the original, and injects exactly the faults that it announces."""

from __future__ import annotations

import asyncio
import io
import json
import random
from collections import Counter
from typing import get_args

import aiohttp
import pytest

from photogenic.ingest.download.no_silent_retry import send_once
from photogenic.ingest.images.image_header import decode, inspect_file
from photogenic.synthetic.network import FakeNetwork, FakeWorld, Faults
from photogenic.synthetic.network.faults import LASTING, FaultKind
from tests.ingest.network_store import START

FIELDS = "business_discovery.username({name}){{followers_count,media_count,media{mods}{{id,like_count,timestamp}}}}"


async def ask(fake, token, path="17841400000000001", **parameters):
    async with (
        aiohttp.ClientSession() as session,
        session.get(
            fake.base / "v23.0" / path, params=parameters, headers={"Authorization": f"Bearer {token}"}
        ) as response,
    ):
        return response, json.loads(await response.read())


async def test_an_account_is_read_in_pages():
    world = FakeWorld.tiny(2, 7, random.Random(0))
    async with FakeNetwork(world) as fake:
        token = fake.office.issue("17841400000000001").secret
        seen, after = [], None
        while True:
            mods = f".after({after}).limit(3)" if after else ".limit(3)"
            _, body = await ask(fake, token, fields=FIELDS.format(name="person_1", mods=mods))
            found = body["business_discovery"]
            assert (found["followers_count"], found["media_count"]) == (world.accounts["person_1"].followers, 7)
            seen += [media["id"] for media in found["media"]["data"]]
            after = found["media"]["paging"]["cursors"].get("after")
            if after is None:
                break
    assert seen == [post.media_id for post in world.accounts["person_1"].posts]
    assert body["id"] == "17841400000000001"


async def test_hidden_likes_and_owners_of_hashtag_posts_are_left_out():
    world = FakeWorld.tiny(30, 10, random.Random(0))
    hidden = {post.media_id for account in world.accounts.values() for post in account.posts if post.likes is None}
    async with FakeNetwork(world) as fake:
        token = fake.office.issue("17841400000000001").secret
        _, found = await ask(fake, token, "ig_hashtag_search", user_id="1", q="me")
        path = f"{found['data'][0]['id']}/recent_media"
        _, page = await ask(fake, token, path, user_id="1", fields="id,like_count,username,owner", limit="50")
    assert hidden
    for media in page["data"]:
        assert set(media) == ({"id"} if media["id"] in hidden else {"id", "like_count"})
    assert "access_token=" in page["paging"]["next"], "like the original: it must not be logged"


@pytest.mark.parametrize(
    ("spoil", "status", "code", "subcode"),
    [
        (lambda fake, token: fake.office.tokens.clear(), 401, 190, None),
        (lambda fake, token: setattr(token, "expires_at", START - 1), 401, 190, 463),
        (lambda fake, token: setattr(token, "permitted", False), 403, 10, None),
        (lambda fake, token: setattr(fake.office, "budget", 0), 403, 80002, None),
        (lambda fake, token: fake.world.accounts.clear(), 400, 110, 2207013),
    ],
)
async def test_errors_are_those_of_the_original(spoil, status, code, subcode):
    async with FakeNetwork(FakeWorld.tiny(1, 1, random.Random(0)), now=lambda: START) as fake:
        token = fake.office.issue("17841400000000001")
        fields = FIELDS.format(name="person_0", mods="")
        response, body = await ask(fake, token.secret, fields=fields)
        assert response.status == 200
        spoil(fake, token)
        if fake.office.budget == 0:
            fake.office.budget = 1
        response, body = await ask(fake, token.secret, fields=fields)
    assert (response.status, body["error"]["code"], body["error"].get("error_subcode")) == (status, code, subcode)
    assert {"message", "type", "fbtrace_id", "is_transient"} <= body["error"].keys()


async def test_budgets_have_a_rolling_window_and_are_in_headers():
    clock = [START]
    async with FakeNetwork(
        FakeWorld.tiny(1, 1, random.Random(0)), budget=4, window_s=3600, now=lambda: clock[0]
    ) as fake:
        token = fake.office.issue("17841400000000001")
        percents, minutes = [], []
        for _ in range(5):
            response, _ = await ask(fake, token.secret, fields=FIELDS.format(name="person_0", mods=""))
            [[usage]] = json.loads(response.headers["X-Business-Use-Case-Usage"]).values()
            percents.append(usage["call_count"])
            minutes.append(usage["estimated_time_to_regain_access"])
            assert json.loads(response.headers["X-App-Usage"])["call_count"] == usage["call_count"]
            clock[0] += 60
        assert response.status == 403
    assert percents == [25, 50, 75, 100, 125]
    assert minutes == [0, 0, 0, 58, 58]
    assert (token.peak, token.n_refused) == (5, 1)


def test_faults_fall_on_the_same_keys_at_the_rates_asked_for():
    rates = dict.fromkeys(get_args(FaultKind), 0.05)
    faults, again, other = Faults(rates=rates), Faults(rates=rates), Faults(rates=rates, seed=1)
    keys = [f"k{n}" for n in range(20_000)]
    drawn = [faults.of(key) for key in keys]
    assert drawn == [again.of(key) for key in keys]
    assert drawn != [other.of(key) for key in keys]
    shares = {kind: n / len(keys) for kind, n in Counter(drawn).items()}
    assert all(abs(shares[kind] - 0.05) < 0.008 for kind in rates)
    for kind in rates:
        key = keys[drawn.index(kind)]
        assert [faults.strikes(key, n) for n in range(3)] == ([kind] * 3 if kind in LASTING else [kind, None, None])


async def test_pictures_are_different_and_complete(tmp_path):
    world = FakeWorld.tiny(0, 0, random.Random(0))
    async with FakeNetwork(world, hosts=("127.0.0.1", "127.0.0.2")) as fake, aiohttp.ClientSession() as session:
        bodies = []
        for number in range(4):
            async with session.get(fake.picture_url(f"p{number}", number)) as response:
                bodies.append(await response.read())
        assert set(fake.pictures.peak) == {"127.0.0.1", "127.0.0.2"}
    assert len(set(bodies)) == 4
    path = tmp_path / "p.jpg"
    path.write_bytes(bodies[0])
    with path.open("rb") as file:
        assert decode(path, inspect_file(file)).status == "ok"


@pytest.mark.parametrize("kind", ["truncated", "reset", "hang", "drip"])
async def test_injected_faults_break_the_answer(kind):
    faults = Faults(rates={kind: 1.0})
    world = FakeWorld.tiny(0, 0, random.Random(0))
    async with FakeNetwork(world, faults=faults) as fake, aiohttp.ClientSession(middlewares=(send_once,)) as session:
        with pytest.raises((aiohttp.ClientError, TimeoutError)):
            async with asyncio.timeout(0.3), session.get(fake.picture_url("p")) as response:
                await response.read()
        async with session.get(fake.picture_url("p")) as response:
            assert inspect_file(io.BytesIO(await response.read())).status == "ok"


def test_a_world_on_disk_is_served_without_invalid_rows(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"bytes")
    (tmp_path / "users.csv").write_text("user_id,followers\nAnna,12\nBert,many\n,3\nAnna,13\n")
    (tmp_path / "photos.csv").write_text(
        "photo_id,user_id,path,posted_at,likes,hashtags\n"
        "p1,Anna,a.jpg,2024-01-01T10:00:00+02:00,5,#me #sun\n"
        "p2,Anna,b.jpg,2024-01-02,7,\n"
        "p3,Anna,c.jpg,yesterday,7,\n"
        "p4,Anna,d.jpg,2024-01-02,-7,\n"
        "p5,Bert,e.jpg,2024-01-02,1,\n"
    )
    world = FakeWorld.from_folder(tmp_path)
    assert list(world.accounts) == ["anna"]
    assert [post.media_id for post in world.accounts["anna"].posts] == ["p2", "p1"]
    assert world.accounts["anna"].posts[1].posted_at.hour == 8
    assert world.picture("a.jpg") == b"bytes"
    with pytest.raises(KeyError):
        world.picture("b.jpg")
