"""Who may ask: the host and origin of a request, its token; and what every answer tells a browser to refuse.

A page of another site can make a browser send requests here, or point its own name at this address (DNS
rebinding). So the Host must be one of ours, an Origin must be that same host, and a browser that says that a
request comes from another site is believed.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from aiohttp import web

from photogenic.app.serve.http.errors import ApiError
from photogenic.app.serve.http.limits import Limits
from photogenic.app.serve.http.login_throttle import Patience

__all__ = ["COOKIE", "FOR_PROGRAMS", "Guard", "is_loopback"]

COOKIE = "photogenic"
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_OPEN = ("/login", "/static/")
FOR_PROGRAMS = ("/api/", "/thumbs/", "/pictures/", "/static/")
"""Addresses that no link of another site leads to: what is no page."""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


@dataclass(frozen=True, slots=True)
class Guard:
    """Attributes:
    names: hosts under which the server may be reached.
    token: what a request must show; None: nothing (only on loopback).
    patience: with wrong tokens.
    """

    names: frozenset[str]
    token: str | None
    patience: Patience = field(default_factory=lambda: Patience(Limits().wrong_token_s), compare=False)

    @classmethod
    def of(cls, host: str, token: str | None, names: tuple[str, ...] = ()) -> Guard:
        return cls(_LOCAL | {host.lower().strip("[]")} | {name.lower() for name in names}, token)

    async def check(self, request: web.Request) -> None:
        """Raises: ApiError, for whoever may not ask. A wrong token is told so after a while."""
        host = _name(request.headers.get("Host", ""))
        if host not in self.names and not (self.token is not None and _is_address(host)):
            raise ApiError(
                "wrong_host",
                f"The request is for {host[:200]!r}. Expected: one of {', '.join(sorted(self.names))}",
                "features serve --name HOST",
            )
        origin = request.headers.get("Origin")
        if origin is not None and _netloc(origin) != request.headers["Host"]:
            raise ApiError(
                "foreign_origin", f"The request comes from {origin[:200]!r}.", "ask from a page of this server"
            )
        if _crossed(request):
            raise ApiError("foreign_origin", "The request comes from another site.", "ask from a page of this server")
        if self.token is not None and not request.path.startswith(_OPEN) and not self.knows(request):
            if request.headers.get("Authorization") or request.cookies.get(COOKIE):
                await self.wait(request)
            if request.path.startswith(FOR_PROGRAMS):
                raise ApiError(
                    "unauthorized",
                    "The request shows no valid token.",
                    "Authorization: Bearer TOKEN",
                    {"WWW-Authenticate": "Bearer"},
                )
            raise web.HTTPSeeOther(f"/login?next={quote(str(request.rel_url))}")

    def knows(self, request: web.Request) -> bool:
        """Whether it shows the token, as a bearer, or the cookie that was given for it. In constant time."""
        assert self.token is not None
        kind, _, shown = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer" and self.accepts(shown.strip()):
            return True
        return hmac.compare_digest(_bytes(request.cookies.get(COOKIE, "")), self.cookie().encode())

    def accepts(self, shown: str) -> bool:
        assert self.token is not None
        return hmac.compare_digest(_bytes(shown), self.token.encode())

    async def wait(self, request: web.Request) -> None:
        """What guesses tokens learns little by the hour. Who waits holds up nobody, whatever they show next."""
        await asyncio.sleep(self.patience.wrong(request.remote))

    def cookie(self) -> str:
        """Says that its holder knew the token, and does not tell it."""
        assert self.token is not None
        return hmac.new(self.token.encode(), b"photogenic cookie", hashlib.sha256).hexdigest()

    @staticmethod
    def protect(response: web.StreamResponse) -> None:
        """The headers of every answer."""
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Cache-Control", "no-store")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server there."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _name(host: str) -> str:
    """Without the port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _netloc(origin: str) -> str | None:
    """Host and port; None: that is no address."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def _crossed(request: web.Request) -> bool:
    """Whether a page of another site asks, and not by a link that a person follows to a page of ours.

    Browsers that do not say so (Sec-Fetch-Site) still say from which page a link was followed, unless that page
    forbids it; what asks for a page of text then is no program, and comes to the one address that computes what
    the link says only from our own pages.
    """
    headers = request.headers
    site = headers.get("Sec-Fetch-Site")
    for_programs = request.path.startswith(FOR_PROGRAMS)
    if site is not None:
        followed = (
            request.method in ("GET", "HEAD")
            and headers.get("Sec-Fetch-Mode") == "navigate"
            and headers.get("Sec-Fetch-Dest", "document") == "document"
            and not for_programs
        )
        return site in ("cross-site", "same-site") and not followed
    if not for_programs:
        return False
    came_from = headers.get("Referer")
    if came_from is None:
        return request.path == "/api/v1/sql/export" and "text/html" in headers.get("Accept", "")
    return _netloc(came_from) != headers["Host"]


def _bytes(shown: str) -> bytes:
    """As it came: headers are bytes, of which some are no UTF-8."""
    return shown.encode("utf-8", "surrogateescape")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
