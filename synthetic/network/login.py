"""OAuth of the fake network: a dialog that consents at once, and the exchange of codes and tokens.

GET  /{version}/dialog/oauth?client_id=&redirect_uri=&state=&scope=&response_type=code
POST /{version}/oauth/access_token      code for a short-lived token, or fb_exchange_token for a long one
GET  /{version}/me/accounts             the Instagram account behind a token
"""

from __future__ import annotations

import secrets

from aiohttp import web
from yarl import URL

from photogenic.synthetic.network.tokens import TokenOffice

__all__ = ["Login"]

_SHORT_S = 3600.0
_LONG_S = 60 * 86400.0


class Login:
    """Request handlers of the login.

    Args:
        office: store of the tokens.

    Attributes:
        denies: whether the person presses "Cancel".
        person: the Instagram account that logs in next.
    """

    def __init__(self, office: TokenOffice) -> None:
        self.office = office
        self.denies = False
        self.person = "17841400000000001"

    def add_to(self, app: web.Application) -> None:
        """Add the routes to `app`."""
        app.router.add_get(r"/{version:v\d+\.\d+}/dialog/oauth", self._dialog)
        app.router.add_post(r"/{version:v\d+\.\d+}/oauth/access_token", self._exchange)
        app.router.add_get(r"/{version:v\d+\.\d+}/me/accounts", self._accounts)

    async def _dialog(self, request: web.Request) -> web.Response:
        query = request.query
        if query.get("client_id") not in self.office.apps or query.get("response_type") != "code":
            return web.Response(status=400, text="Invalid App ID")
        back = URL(query["redirect_uri"])
        if self.denies:
            raise web.HTTPFound(
                back.update_query(error="access_denied", error_reason="user_denied", state=query["state"])
            )
        code = secrets.token_urlsafe(24)
        self.office.codes[code] = (query["redirect_uri"], self.person)
        raise web.HTTPFound(back.update_query(code=code, state=query["state"]))

    async def _exchange(self, request: web.Request) -> web.Response:
        form = await request.post()
        if self.office.apps.get(str(form.get("client_id"))) != form.get("client_secret"):
            return _error(1, "Error validating client secret.")
        app_id = str(form["client_id"])
        if form.get("grant_type") == "fb_exchange_token":
            secret = str(form.get("fb_exchange_token"))
            renewed = self.office.renew(secret, lives_s=_LONG_S)
            if renewed is None:
                return _error(190, f"Error validating access token {secret}")
            return _token(renewed.secret, _LONG_S)
        redirect_uri, person = self.office.codes.pop(str(form.get("code")), ("", ""))
        if not person or redirect_uri != form.get("redirect_uri"):
            return _error(100, "This authorization code has been used.")
        self.office.logins[person] += 1
        return _token(self.office.issue(person, app_id=app_id, lives_s=_SHORT_S).secret, _SHORT_S)

    async def _accounts(self, request: web.Request) -> web.Response:
        token = self.office.tokens.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if token is None:
            return _error(190, "Invalid OAuth access token.")
        account = {"id": token.ig_user_id, "username": f"person_{token.ig_user_id[-3:]}"}
        return web.json_response({"data": [{"id": "2000"}, {"id": "2001", "instagram_business_account": account}]})


def _token(secret: str, lives_s: float) -> web.Response:
    return web.json_response({"access_token": secret, "token_type": "bearer", "expires_in": int(lives_s)})


def _error(code: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "type": "OAuthException", "code": code}}, status=400)
