"""One connection: what aiohttp refuses by itself is told in our shape; who neither sends nor reads is cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from photogenic.app.serve.http.errors import ApiError, error_response
from photogenic.app.serve.http.limits import Limits

__all__ = ["Connection", "connections"]

LEAST_BYTES = 1 << 15
"""That a client must take within `Limits.unread_s`, while more waits for it."""


class Connection(RequestHandler):
    """Attributes:
    heard: whether a whole request head has arrived.
    """

    __slots__ = ("_checks", "_limits", "_protect", "heard")

    def __init__(
        self, server: Any, limits: Limits, protect: Callable[[web.StreamResponse], None], **settings: Any
    ) -> None:
        super().__init__(server, **settings)
        self._limits, self._protect, self.heard = limits, protect, False
        self._checks: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connections that send no whole request head in time would be held open for ever."""
        super().connection_made(transport)
        self._loop.call_later(self._limits.body_s, self._look)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_checking()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """More was written than the client has taken: from here on it must take some, every few seconds."""
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
        """A request that cannot be read. What is wrong with it is the sender's; it goes into no log."""
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            super().handle_error(request, status, exc, message)
            error = ApiError("internal", "Something went wrong that should not.", "see the server's log")
        else:
            said = " ".join((message or HTTPStatus(status).phrase).split())[:200]
            error = ApiError("bad_request", f"The request cannot be read: {said}", "send HTTP/1.1, as /api describes")
        response = error_response(error)
        self._protect(response)
        response.force_close()
        return response

    def _look(self) -> None:
        if not self.heard and self.transport is not None:
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


def connections(
    server: web.Server, limits: Limits, protect: Callable[[web.StreamResponse], None]
) -> Callable[[], asyncio.BaseProtocol]:
    """What makes a connection of this server."""
    inner: Callable[[Any], Awaitable[web.StreamResponse]] = server.request_handler
    loop = asyncio.get_running_loop()

    async def answered(request: Any) -> web.StreamResponse:
        # aiohttp looks at this before any handler of ours, and answers in a text of its own.
        expected = request.headers.get("Expect", "100-continue")
        if expected.lower() in ("", "100-continue"):
            return await inner(request)
        said = f"Nobody here knows what Expect: {expected[:80]!r} is. Expected: 100-continue"
        response = error_response(ApiError("unknown_expectation", said, "send it without"))
        protect(response)
        response.force_close()
        return response

    server.request_handler = answered
    return lambda: Connection(server, limits, protect, loop=loop, **server._kwargs)
