"""Login with the fake network."""

from __future__ import annotations

import asyncio
import json
import logging

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from photogenic.ingest.instagram.oauth import App, login, refresh_tokens
from photogenic.ingest.instagram.token_store import Secret, Token, Vault
from photogenic.synthetic.network import FakeNetwork, FakeWorld
from photogenic.warehouse import NetworkError
from tests.ingest.network_store import START

WORLD = FakeWorld({}, lambda _: b"")
DAY = 86400.0


def app_of(fake, secret="the-secret-of-app-1000001") -> App:
    return App("1000001", Secret(secret), fake.base / "v23.0", fake.base / "v23.0")


class Browser:
    """Follows the redirect of the dialog, as a user who consents."""

    def __init__(self, spoil=lambda url: url):
        self.spoil, self.seen, self.answers, self.tasks = spoil, [], [], []

    def __call__(self, address: str) -> None:
        self.tasks.append(asyncio.create_task(self.visit(address)))

    async def visit(self, address: str) -> None:
        self.seen.append(URL(address))
        async with aiohttp.ClientSession() as session:
            async with session.get(address, allow_redirects=False) as response:
                back = URL(response.headers["Location"])
            for url in (self.spoil(back), back):
                if url != back or not self.answers or self.answers[-1] != 200:
                    async with session.get(url) as response:
                        self.answers.append(response.status)


async def test_a_login_ends_in_a_long_lived_token(tmp_path):
    vault, browser = Vault(tmp_path / "vault"), Browser()
    async with FakeNetwork(WORLD, now=lambda: START) as fake:
        token = await login(app_of(fake), vault, now=START, show=browser, port=0)
        assert fake.office.tokens[token.secret.reveal()].expires_at == START + 60 * DAY
    assert vault.tokens() == [token]
    assert (token.ig_user_id, token.username, token.state) == ("17841400000000001", "person_001", "ready")
    assert token.expires_at == START + 60 * DAY
    assert vault.app("1000001") == Secret("the-secret-of-app-1000001")
    asked = browser.seen[0].query
    assert asked["redirect_uri"].startswith("http://localhost:")
    assert len(asked["state"]) >= 32
    assert "client_secret" not in asked


async def test_the_same_person_again_replaces_the_token(tmp_path):
    vault = Vault(tmp_path / "vault")
    async with FakeNetwork(WORLD) as fake:
        first = await login(app_of(fake), vault, now=START, show=Browser(), port=0)
        again = await login(app_of(fake), vault, now=START, show=Browser(), port=0)
        fake.login.person = "17841400000000002"
        await login(app_of(fake), vault, now=START, show=Browser(), port=0)
    assert first.key == again.key
    assert len(vault.tokens()) == 2


async def test_a_callback_with_another_state_is_refused_and_the_login_continues(tmp_path):
    browser = Browser(spoil=lambda url: url.update_query(state="guessed", code="stolen"))
    async with FakeNetwork(WORLD) as fake:
        await login(app_of(fake), Vault(tmp_path / "vault"), now=START, show=browser, port=0)
    assert browser.answers == [400, 200]


async def test_a_user_may_decline(tmp_path):
    vault = Vault(tmp_path / "vault")
    async with FakeNetwork(WORLD) as fake:
        fake.login.denies = True
        with pytest.raises(NetworkError, match="user_denied"):
            await login(app_of(fake), vault, now=START, show=Browser(), port=0)
    assert vault.tokens() == []


async def test_a_login_without_an_answer_times_out(tmp_path):
    async with FakeNetwork(WORLD) as fake:
        with pytest.raises(NetworkError, match="There was no login"):
            await login(app_of(fake), Vault(tmp_path), now=START, show=lambda _: None, port=0, timeout_s=0.05)


async def test_a_wrong_app_secret_is_an_error_that_does_not_show_it(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    async with FakeNetwork(WORLD) as fake:
        with pytest.raises(NetworkError) as caught:
            await login(app_of(fake, "not-the-secret"), Vault(tmp_path), now=START, show=Browser(), port=0)
    assert "code 1" in str(caught.value)
    assert "not-the-secret" not in str(caught.value) + repr(caught.value) + caplog.text


async def test_tokens_are_refreshed_in_their_last_week(tmp_path):
    vault = Vault(tmp_path / "vault")
    clock = [START]
    async with FakeNetwork(WORLD, now=lambda: clock[0]) as fake, aiohttp.ClientSession() as session:
        old = await login(app_of(fake), vault, now=START, show=Browser(), port=0)
        api = fake.base / "v23.0"
        assert await refresh_tokens(session, vault, api, now=START + 50 * DAY) == 0
        clock[0] = START + 55 * DAY
        assert await refresh_tokens(session, vault, api, now=clock[0]) == 1
        fresh = vault.tokens()[0]
        assert fresh.key == old.key
        assert fresh.secret != old.secret
        assert fresh.expires_at == clock[0] + 60 * DAY
        fake.office.tokens.clear()
        clock[0] = START + 110 * DAY
        assert await refresh_tokens(session, vault, api, now=clock[0]) == 0
        assert vault.tokens() == [fresh]


GOOD = {"access_token": "a-token", "expires_in": 5_184_000}
PAGES = {"data": [{"instagram_business_account": {"id": "178", "username": "person"}}]}
ODD_TOKENS = [
    {"access_token": None},
    {"access_token": ["a"]},
    {"access_token": ""},
    {"access_token": "two\r\nlines"},
    {"access_token": "\ud800"},
    {"access_token": "t" * 100_000},
    {"expires_in": float("nan")},
    {"expires_in": float("inf")},
    {"expires_in": 10**400},
    {"expires_in": -1},
    {"expires_in": True},
    {"expires_in": []},
    {"expires_in": "soon"},
]
ODD_PAGES = [
    {"data": [None]},
    {"data": {"a": 1}},
    {"data": "x"},
    {"data": [{"instagram_business_account": [1]}]},
    {"data": [{"instagram_business_account": {"username": "person"}}]},
    {"data": [{"instagram_business_account": {"id": {"a": 1}}}]},
    {"data": [{"instagram_business_account": {"id": "178", "username": ["x"]}}]},
]


class Noting:
    """A progress callback that stores the notes."""

    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


class Odd:
    """A network whose token endpoint and list of pages return given bytes."""

    def __init__(self, token: bytes, pages: bytes):
        self.said = {"oauth/access_token": token, "me/accounts": pages}

    async def __aenter__(self):
        app = web.Application()

        async def dialog(request):
            raise web.HTTPFound(URL(request.query["redirect_uri"]).with_query(code="c", state=request.query["state"]))

        async def answer(request):
            return web.Response(body=self.said[request.path.removeprefix("/v23.0/")])

        app.router.add_get("/v23.0/dialog/oauth", dialog)
        app.router.add_route("*", "/v23.0/{tail:.+}", answer)
        self.runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        return URL.build(scheme="http", host="127.0.0.1", port=self.runner.addresses[0][1])

    async def __aexit__(self, *_):
        await self.runner.cleanup()


@pytest.mark.parametrize(
    ("token", "pages"),
    [
        *((json.dumps(GOOD | odd).encode(), json.dumps(PAGES).encode()) for odd in ODD_TOKENS),
        *((json.dumps(GOOD).encode(), json.dumps(odd).encode()) for odd in ODD_PAGES),
        *((odd, json.dumps(PAGES).encode()) for odd in (b"", b"[]", b"null", b"<html>", b"\xff", b"[" * 100_000)),
        *((json.dumps(GOOD).encode(), odd) for odd in (b"", b"[]", b"7", b"<html>", b'{"a":' * 100_000)),
    ],
)
async def test_an_invalid_answer_ends_a_login_with_a_reason(tmp_path, token, pages):
    vault = Vault(tmp_path / "vault")
    async with Odd(token, pages) as base:
        app = App("1000001", Secret("the-secret"), base / "v23.0", base / "v23.0")
        with pytest.raises(NetworkError, match="features login"):
            await login(app, vault, now=START, show=Browser(), port=0)
    assert vault.tokens() == []


async def test_an_invalid_answer_does_not_change_a_token(tmp_path):
    vault, heard = Vault(tmp_path / "vault"), Noting()
    held = Token("k", Secret("old"), "178", "person", "1000001", START + DAY)
    vault.put(held)
    vault.put_app("1000001", Secret("the-secret"))
    for odd in ODD_TOKENS:
        async with Odd(json.dumps(GOOD | odd).encode(), b"") as base, aiohttp.ClientSession() as session:
            assert await refresh_tokens(session, vault, base / "v23.0", now=START, progress=heard) == 0
    assert vault.tokens() == [held]
    assert len(heard.notes) == len(ODD_TOKENS)


async def test_a_lifetime_may_be_digits_or_absent(tmp_path):
    for told, expires_at in (("5184000", START + 60 * DAY), (5_184_000, START + 60 * DAY), (None, None)):
        async with Odd(json.dumps(GOOD | {"expires_in": told}).encode(), json.dumps(PAGES).encode()) as base:
            app = App("1000001", Secret("the-secret"), base / "v23.0", base / "v23.0")
            token = await login(app, Vault(tmp_path / "vault"), now=START, show=Browser(), port=0)
        assert token.expires_at == expires_at
