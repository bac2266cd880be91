"""Access control: checks of the host, origin and token of a request, and the security headers of every answer.

A page of another site can make a browser send requests to this server, or point its own name at this address (DNS
rebinding). Therefore the Host must be a name of this server, an Origin must be the same host, and a request that a
browser marks as cross-site is refused.
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
from photogenic.app.serve.http.login_throttle import LoginThrottle

__all__ = ["COOKIE", "FOR_PROGRAMS", "Guard", "is_loopback"]

COOKIE = "photogenic"
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_OPEN = ("/login", "/static/")
FOR_PROGRAMS = ("/api/", "/thumbs/", "/pictures/", "/static/")
"""Path prefixes of addresses that are not pages. Links of other sites to them are refused."""
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
    names: Host names of the server.
    token: Token that requests must send; None: no token is required (only on loopback).
    throttle: Delays of answers to wrong tokens.
    """

    names: frozenset[str]
    token: str | None
    throttle: LoginThrottle = field(default_factory=lambda: LoginThrottle(Limits().wrong_token_s), compare=False)

    @classmethod
    def of(cls, host: str, token: str | None, names: tuple[str, ...] = ()) -> Guard:
        return cls(_LOCAL | {host.lower().strip("[]")} | {name.lower() for name in names}, token)

    async def check(self, request: web.Request) -> None:
        """Check a request. The answer to a wrong token is delayed.

        Raises:
            ApiError: The request is not allowed.
            HTTPSeeOther: A page was requested without a valid token; leads to the login page.
        """
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
                "foreign_origin",
                f"The request comes from {origin[:200]!r}.",
                "send the request from a page of this server",
            )
        if _crossed(request):
            raise ApiError(
                "foreign_origin", "The request comes from another site.", "send the request from a page of this server"
            )
        if self.token is not None and not request.path.startswith(_OPEN) and not self.is_authorized(request):
            if request.headers.get("Authorization") or request.cookies.get(COOKIE):
                await self.delay_wrong_token(request)
            if request.path.startswith(FOR_PROGRAMS):
                raise ApiError(
                    "unauthorized",
                    "The request has no valid token.",
                    "Authorization: Bearer TOKEN",
                    {"WWW-Authenticate": "Bearer"},
                )
            raise web.HTTPSeeOther(f"/login?next={quote(str(request.rel_url))}")

    def is_authorized(self, request: web.Request) -> bool:
        """Return whether a request has the token as a bearer, or its cookie. Compares in constant time."""
        assert self.token is not None
        kind, _, shown = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer" and self.is_token(shown.strip()):
            return True
        return hmac.compare_digest(_bytes(request.cookies.get(COOKIE, "")), self.cookie().encode())

    def is_token(self, shown: str) -> bool:
        assert self.token is not None
        return hmac.compare_digest(_bytes(shown), self.token.encode())

    async def delay_wrong_token(self, request: web.Request) -> None:
        """Delay the answer to a wrong token. The delay slows down guessing, and does not block other requests."""
        await asyncio.sleep(self.throttle.record_failure(request.remote))

    def cookie(self) -> str:
        """Return the value of the login cookie: a keyed hash, from which the token cannot be computed."""
        assert self.token is not None
        return hmac.new(self.token.encode(), b"photogenic cookie", hashlib.sha256).hexdigest()

    @staticmethod
    def protect(response: web.StreamResponse) -> None:
        """Set the security headers of an answer."""
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Cache-Control", "no-store")


def is_loopback(host: str) -> bool:
    """Return whether only this machine can connect to a host."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _name(host: str) -> str:
    """Return the host name without the port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _netloc(origin: str) -> str | None:
    """Return host and port, or None if the origin is not a URL."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def _crossed(request: web.Request) -> bool:
    """Return whether another site caused the request, other than by a link to a page that a user follows.

    Browsers without Sec-Fetch-Site still send the Referer of a followed link, unless the other page forbids it.
    Without both headers, a request that accepts HTML comes from a browser. It is refused at /api/v1/sql/export, the
    one address where a link alone starts a query.
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
    """Return the original bytes of a header, which need not be UTF-8."""
    return shown.encode("utf-8", "surrogateescape")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
