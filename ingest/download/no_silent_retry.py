"""Every request is sent once: aiohttp repeats a GET whose connection broke, unseen by budgets and ledgers."""

from __future__ import annotations

import aiohttp

__all__ = ["ConnectionLostError", "once"]


class ConnectionLostError(aiohttp.ClientError):
    """The connection broke before the answer. Not for users: it becomes a status or a retry that is counted."""


async def once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """A client middleware: name a broken connection so that aiohttp does not take it up again."""
    try:
        return await handler(request)
    except (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError):
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise ConnectionLostError from error
