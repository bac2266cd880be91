"""Send every request once. aiohttp repeats a GET whose connection broke, which token budgets would not count."""

from __future__ import annotations

import aiohttp

__all__ = ["ConnectionLostError", "send_once"]


class ConnectionLostError(aiohttp.ClientError):
    """The connection broke before the answer. Not shown to users: it becomes a status, or a retry that is counted."""


async def send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Client middleware: raise `ConnectionLostError` for a broken connection, so that aiohttp does not retry."""
    try:
        return await handler(request)
    except (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError):
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise ConnectionLostError from error
