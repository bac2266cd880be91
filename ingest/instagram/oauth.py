"""Get tokens by the OAuth code flow with a local callback, and refresh them before they expire.

    browser -> dialog (consent) -> http://localhost:PORT/callback?code=...&state=...
    code -> short-lived token -> long-lived token (60 days) -> vault

Each login has a new random state, which must come back; a callback without it is answered and ignored. Codes, secrets
and tokens are sent in request bodies and headers, never in a URL that we make. Error texts contain the network's
numbers, never its text, which may quote a token.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import aiohttp
from aiohttp import web
from yarl import URL

from photogenic.ingest.instagram.rate_headers import ApiError, check_answer, read_answer
from photogenic.ingest.instagram.responses import InvalidAnswerError, as_object, items, number, read_id, text
from photogenic.ingest.instagram.token_store import Secret, Token, Vault, token_key
from photogenic.warehouse import NetworkError, Progress, no_progress

__all__ = ["App", "login", "refresh_tokens"]

SCOPES = "instagram_basic,pages_show_list,pages_read_engagement,business_management"
_REFRESH_BEFORE_S = 7 * 86400.0
_LONGEST_LIFE_S = 100 * 365 * 86400.0
_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}")


@dataclass(frozen=True, slots=True)
class App:
    """The app that users log in to.

    Attributes:
        app_id: public id.
        secret: secret of the app.
        dialog: base URL of the consent page, e.g. https://www.facebook.com/v23.0
        api: base URL of the API, e.g. https://graph.facebook.com/v23.0
    """

    app_id: str
    secret: Secret
    dialog: URL
    api: URL


async def login(
    app: App,
    vault: Vault,
    *,
    now: float,
    show: Callable[[str], None],
    port: int = 8765,
    timeout_s: float = 300.0,
) -> Token:
    """Let a user log in, and store the token.

    Args:
        app: app to log in to; `http://localhost:PORT/callback` must be one of its redirect URLs.
        vault: store of the token.
        now: current time, in seconds since 1970.
        show: function that shows a URL to the user, e.g. in a browser.
        port: port of the callback; 0 for a free one.
        timeout_s: time limit of the login, in seconds.

    Raises:
        NetworkError: the user declined or took too long, or the network refused.
    """
    state = secrets.token_urlsafe(32)
    answer: asyncio.Future[Mapping[str, str]] = asyncio.get_running_loop().create_future()

    async def callback(request: web.Request) -> web.Response:
        if not hmac.compare_digest(request.query.get("state", "").encode(), state.encode()) or answer.done():
            return web.Response(status=400, text="This is not the login that was asked for.")
        answer.set_result(dict(request.query))
        return web.Response(text="Done. You can close this page.")

    server = web.Application()
    server.router.add_get("/callback", callback)
    runner = web.AppRunner(server, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "localhost", port)
        await site.start()
        redirect = f"http://localhost:{runner.addresses[0][1]}/callback"
        query = {"client_id": app.app_id, "redirect_uri": redirect, "state": state, "scope": SCOPES}
        show(str((app.dialog / "dialog/oauth").with_query({**query, "response_type": "code"})))
        async with asyncio.timeout(timeout_s):
            given = await answer
    except TimeoutError:
        raise NetworkError(
            f"There was no login within {timeout_s:g} s.", "consent in the browser", "features login --app-id ID"
        ) from None
    finally:
        await runner.cleanup()
    if "code" not in given:
        raise NetworkError(
            f"The login was not granted ({given.get('error_reason') or given.get('error') or 'no code'}).",
            "consent to the permissions asked for",
            "features login --app-id ID",
        )
    timeout = aiohttp.ClientTimeout(total=60)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            credentials = {"client_id": app.app_id, "client_secret": app.secret.reveal()}
            short = await _exchange(session, app.api, {**credentials, "redirect_uri": redirect, "code": given["code"]})
            long = await _exchange(session, app.api, _long_lived(app.app_id, app.secret, Secret(short["access_token"])))
            token = await _owner(session, app, Secret(long["access_token"]), _expiry(long, now))
    except (aiohttp.ClientError, TimeoutError) as error:
        raise NetworkError(
            f"The login could not be completed ({type(error).__name__}).",
            f"answers of {app.api.host}",
            "features login --app-id ID, once the network answers",
        ) from error
    vault.put_app(app.app_id, app.secret)
    vault.put(token)
    return token


async def refresh_tokens(
    session: aiohttp.ClientSession, vault: Vault, api: URL, *, now: float, progress: Progress = no_progress
) -> int:
    """Exchange the tokens that expire within a week for new ones. Returns their number."""
    n = 0
    for token in vault.tokens():
        secret = vault.app(token.app_id)
        due = token.expires_at is not None and now < token.expires_at <= now + _REFRESH_BEFORE_S
        if token.state != "ready" or not due or secret is None:
            continue
        try:
            fresh = await _exchange(session, api, _long_lived(token.app_id, secret, token.secret))
        except (NetworkError, aiohttp.ClientError, TimeoutError) as error:
            why = error.what if isinstance(error, NetworkError) else type(error).__name__
            progress.note(f"Token {token.key} ({token.username}) expires soon and could not be refreshed: {why}")
            continue
        vault.put(replace(token, secret=Secret(fresh["access_token"]), expires_at=_expiry(fresh, now)))
        n += 1
    return n


def _long_lived(app_id: str, secret: Secret, token: Secret) -> dict[str, str]:
    return {
        "grant_type": "fb_exchange_token",
        "client_id": app_id,
        "client_secret": secret.reveal(),
        "fb_exchange_token": token.reveal(),
    }


async def _exchange(session: aiohttp.ClientSession, api: URL, form: dict[str, str]) -> dict[str, Any]:
    """POST to the token endpoint.

    Raises:
        NetworkError: the answer has no token.
    """
    async with session.post(api / "oauth/access_token", data=form, allow_redirects=False) as response:
        body, error = check_answer(response.status, await read_answer(response))
        if error is None and _is_token(body.get("access_token")) and _lifetime_s(body) is not False:
            return body
        raise _login_error("The login could not be completed", response.status, error)


async def _owner(session: aiohttp.ClientSession, app: App, secret: Secret, expires_at: float | None) -> Token:
    """Make the token, with the Instagram account that it belongs to."""
    headers = {"Authorization": f"Bearer {secret.reveal()}"}
    query = {"fields": "instagram_business_account{id,username}"}
    async with session.get(app.api / "me/accounts", params=query, headers=headers, allow_redirects=False) as response:
        body, error = check_answer(response.status, await read_answer(response))
        if error is not None:
            raise _login_error("The account behind the login cannot be read", response.status, error)
    try:
        for page in items(body.get("data"), "data"):
            if found := as_object(page.get("instagram_business_account"), "instagram_business_account"):
                user_id = read_id(found, "instagram_business_account")
                username = text(found.get("username"), "username", 200) or user_id
                return Token(token_key(app.app_id, user_id), secret, user_id, username, app.app_id, expires_at)
    except InvalidAnswerError as odd:
        error = ApiError("odd", 0, 0, str(odd))
        raise _login_error("The account behind the login cannot be read", response.status, error) from None
    raise NetworkError(
        "The person who logged in has no professional Instagram account.",
        "a Business or Creator account that is connected to a page",
        "features login --app-id ID, as a user who has one",
    )


def _expiry(body: dict[str, Any], now: float) -> float | None:
    lifetime_s = _lifetime_s(body)
    return now + lifetime_s if lifetime_s else None


def _lifetime_s(body: dict[str, Any]) -> float | Literal[False] | None:
    """Lifetime of a token, in seconds. None: not given. False: not a valid lifetime."""
    lifetime = body.get("expires_in")
    if lifetime is None:
        return None
    if isinstance(lifetime, str) and lifetime.isascii() and lifetime.isdecimal() and len(lifetime) < 12:
        lifetime = int(lifetime)
    lifetime_s = number(lifetime)
    return lifetime_s if 0 < lifetime_s <= _LONGEST_LIFE_S else False


def _is_token(value: Any) -> bool:
    """Whether the value can be sent in a header."""
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


def _login_error(what: str, status: int, error: ApiError | None) -> NetworkError:
    detail = error.detail if error and (error.code or error.why) else f"HTTP {status}"
    return NetworkError(
        f"{what} ({detail}).", "a token", "features login --app-id ID, with the app's id and secret checked"
    )
