"""HTTP connections: errors of aiohttp as JSON of the API, and timeouts for clients that do not send or read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from photogenic.app.serve.http.errors import ApiError, error_response
from photogenic.app.serve.http.limits import Limits

__all__ = ["Connection", "connection_factory"]

LEAST_BYTES = 1 << 15
"""Bytes that a client must read within `Limits.unread_s` while more are waiting."""


class Connection(RequestHandler):
    """Attributes:
    has_request_head: Whether a complete request head has arrived.
    """

    __slots__ = ("_checks", "_limits", "_protect", "has_request_head")

    def __init__(
        self, server: Any, limits: Limits, protect: Callable[[web.StreamResponse], None], **settings: Any
    ) -> None:
        super().__init__(server, **settings)
        self._limits, self._protect, self.has_request_head = limits, protect, False
        self._checks: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the timeout for the first request head."""
        super().connection_made(transport)
        self._loop.call_later(self._limits.body_s, self._abort_without_head)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_checking()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Start to check that the client reads, because the write buffer is full."""
        super().pause_writing()
        self._check_later(self._waiting())

    def resume_writing(self) -> None:
        self._stop_checking()
        super().resume_writing()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a request that cannot be parsed. Faults of the client are not logged."""
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            super().handle_error(request, status, exc, message)
            error = ApiError("internal", "The server failed to answer the request.", "see the server's log")
        else:
            reason = " ".join((message or HTTPStatus(status).phrase).split())[:200]
            error = ApiError("bad_request", f"The request cannot be read: {reason}", "send HTTP/1.1, as /api describes")
        response = error_response(error)
        self._protect(response)
        response.force_close()
        return response

    def _abort_without_head(self) -> None:
        if not self.has_request_head and self.transport is not None:
            self.transport.abort()

    def _waiting(self) -> int:
        return self.transport.get_write_buffer_size() if isinstance(self.transport, asyncio.WriteTransport) else 0

    def _check_later(self, before: int) -> None:
        self._checks = self._loop.call_later(self._limits.unread_s, self._check, before)

    def _check(self, before: int) -> None:
        now = self._waiting()
        if before - now < LEAST_BYTES and self.transport is not None:
            self.transport.abort()
        else:
            self._check_later(now)

    def _stop_checking(self) -> None:
        if self._checks is not None:
            self._checks.cancel()
            self._checks = None


def connection_factory(
    server: web.Server, limits: Limits, protect: Callable[[web.StreamResponse], None]
) -> Callable[[], asyncio.BaseProtocol]:
    """Return the protocol factory of the server."""
    inner: Callable[[Any], Awaitable[web.StreamResponse]] = server.request_handler
    loop = asyncio.get_running_loop()

    async def check_expect(request: Any) -> web.StreamResponse:
        # aiohttp checks this header before any handler, and answers in plain text.
        expected = request.headers.get("Expect", "100-continue")
        if expected.lower() in ("", "100-continue"):
            return await inner(request)
        reason = f"The server does not support Expect: {expected[:80]!r}. Expected: 100-continue"
        response = error_response(ApiError("unknown_expectation", reason, "send the request without this header"))
        protect(response)
        response.force_close()
        return response

    server.request_handler = check_expect
    return lambda: Connection(server, limits, protect, loop=loop, **server._kwargs)
