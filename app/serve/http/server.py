"""The server: a site behind a guard, answers of one shape, and an end that waits for nobody.

serve("store")                     127.0.0.1:8000, until it is interrupted
application(store, guard, limits)  the same without a socket
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace

from aiohttp import web

from photogenic import FeatureStore
from photogenic.app.serve.api.routes import Api
from photogenic.app.serve.http.connection import Connection, connections
from photogenic.app.serve.http.context import SITE, Site
from photogenic.app.serve.http.errors import ApiError, error_response, translated
from photogenic.app.serve.http.guard import FOR_PROGRAMS, Guard, is_loopback
from photogenic.app.serve.http.limits import Limits
from photogenic.app.serve.http.login_throttle import Patience
from photogenic.app.serve.pages.routes import Pages
from photogenic.warehouse import InputError, PhotogenicError
from photogenic.warehouse.option_ranges import check

__all__ = ["application", "checked", "running", "serve"]

_log = logging.getLogger(__name__)
_TOKEN = 16
"""Characters that a token has at least."""

_LINE = 1 << 18
"""Bytes of an address: a query of 20,000 characters, percent-encoded."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def serve(
    store: FeatureStore,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    name: tuple[str, ...] = (),
    tell: Callable[[str], None] = print,
) -> None:
    """Answer until interrupted, or ended by SIGTERM: then whatever is being answered has its time first.

    Args:
        store: what is shown.
        host: the address to listen at.
        port: likewise; 0: any that is free.
        token: what requests must show; needed where others can reach the server.
        name: further names under which it is reached.
        tell: hears where it is.

    Raises:
        InputError: no token where one is needed; an address that cannot be had.
        StoreError: there is no store.
    """
    check(port=port)
    guard = checked(host, token, name)

    async def live() -> signal.Signals:
        with _told_to_end() as ending:
            async with running(store, guard, host=host, port=port) as at:
                tell(f"Photogenic is at {at}   (Ctrl-C ends it)")
                return await ending

    if asyncio.run(live()) == signal.SIGINT:
        raise KeyboardInterrupt


@contextlib.contextmanager
def _told_to_end() -> Iterator[asyncio.Future[signal.Signals]]:
    """Which signal asks for the end: SIGTERM, or Ctrl-C. A second one ends the process as it always does."""
    loop = asyncio.get_running_loop()
    ending: asyncio.Future[signal.Signals] = loop.create_future()
    former = {asked: signal.getsignal(asked) for asked in (signal.SIGTERM, signal.SIGINT)}

    def told(asked: signal.Signals) -> None:
        restore()
        ending.set_result(asked)

    def restore() -> None:
        for asked, handler in former.items():
            loop.remove_signal_handler(asked)
            signal.signal(asked, handler)

    if threading.current_thread() is threading.main_thread():
        for asked, handler in former.items():
            if handler != signal.SIG_IGN:
                loop.add_signal_handler(asked, told, asked)
    try:
        yield ending
    finally:
        if threading.current_thread() is threading.main_thread():
            restore()


def checked(host: str, token: str | None, names: tuple[str, ...] = ()) -> Guard:
    """The guard of an address.

    Raises:
        InputError: others could reach it without a token, or the token can be guessed.
    """
    if token is not None and len(token) < _TOKEN:
        raise InputError(f"The token has {len(token)} characters.", f"at least {_TOKEN}", _a_token())
    if token is None and not is_loopback(host):
        raise InputError(f"At {host} others can reach the server.", "a token that requests must show", _a_token())
    return Guard.of(host, token, names)


def _a_token() -> str:
    return 'features serve --token "$(openssl rand -hex 24)"'


@contextlib.asynccontextmanager
async def running(
    store: FeatureStore, guard: Guard, *, host: str = "127.0.0.1", port: int = 0, limits: Limits | None = None
) -> AsyncIterator[str]:
    """A server that answers while this is open. Yields its address.

    Raises:
        InputError: the address cannot be had.
        StoreError: there is no store.
    """
    limits = limits or Limits()
    guard = replace(guard, patience=Patience(limits.wrong_token_s))
    app = application(store, guard, limits)
    runner = web.AppRunner(
        app,
        access_log=None,
        handler_cancellation=True,
        auto_decompress=False,
        max_line_size=_LINE,
        keepalive_timeout=30.0,
        shutdown_timeout=limits.drain_s,
    )
    await runner.setup()
    try:
        loop = asyncio.get_running_loop()
        try:
            assert runner.server is not None
            connect = connections(runner.server, limits, guard.protect)
            listening = await loop.create_server(connect, host.strip("[]"), port)
        except OSError as error:
            raise InputError(
                f"Nothing can listen at {host}, port {port}: {error.strerror}.",
                "an address of this machine and a free port",
                "features serve --port 0",
            ) from error
        try:
            (address, found, *_) = listening.sockets[0].getsockname()
            yield f"http://{f'[{address}]' if ':' in address else address}:{found}"
        finally:
            listening.close()  # nobody new; whoever is being answered has his time in `cleanup`
    finally:
        await runner.cleanup()


_PAGES: web.AppKey[Pages] = web.AppKey("pages", Pages)


def application(store: FeatureStore, guard: Guard, limits: Limits) -> web.Application:
    """Every address, behind the guard."""
    site = Site.open(store, guard, limits)
    app = web.Application(middlewares=[_guarded], client_max_size=limits.uploads * limits.upload_bytes)
    app[SITE] = site
    app.cleanup_ctx.append(site.live)
    pages = Pages(site)
    app[_PAGES] = pages
    app.add_routes([*Api(site).routes(), *pages.routes()])
    return app


@web.middleware
async def _guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Check who asks, answer errors in their one shape, count, and set the headers of every answer."""
    site, started = request.app[SITE], time.perf_counter()
    if isinstance(request.protocol, Connection):
        request.protocol.heard = True
    try:
        response = await _answered(request, handler, site)
    except asyncio.CancelledError:
        _count(site, request, 499, started)
        raise
    _count(site, request, response.status, started)
    if not response.prepared:
        site.guard.protect(response)
    return response


async def _answered(request: web.Request, handler: Handler, site: Site) -> web.StreamResponse:
    """What the handler says, or the error that it ran into: as a page where a person looks, else as JSON."""
    try:
        return await _handled(request, handler, site)
    except web.HTTPSeeOther as away:
        return web.Response(status=away.status, headers={"Location": str(away.location)})
    except ApiError as error:
        api = request.path.startswith(FOR_PROGRAMS)
        if api or "text/html" not in request.headers.get("Accept", ""):
            return error_response(error)
        return request.app[_PAGES].problem(error)


async def _handled(request: web.Request, handler: Handler, site: Site) -> web.StreamResponse:
    """Raises: ApiError, whatever went wrong."""
    await site.guard.check(request)
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise ApiError("unsupported_type", "The request is compressed.", "send it as it is")
    most = site.limits.uploads * site.limits.upload_bytes
    if (request.content_length or 0) > most:
        raise ApiError("too_large", f"The request has more than {most:,} bytes.", "send less at once")
    try:
        return await handler(request)
    except PhotogenicError as error:
        raise translated(error) from error
    except web.HTTPNotFound:
        raise ApiError("not_found", f"There is nothing at {request.path[:200]!r}.", "see /api") from None
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        message = f"{request.method} is not taken here. Expected: {allowed}"
        raise ApiError("method_not_allowed", message, "see /api", {"Allow": allowed}) from None
    except web.HTTPRequestEntityTooLarge:
        raise ApiError("too_large", "The request has too many bytes.", "send less at once") from None
    except (ApiError, web.HTTPSeeOther, ConnectionResetError):
        raise
    except web.HTTPClientError as error:
        raise ApiError("bad_request", f"The request cannot be read: {error.reason}", "see /api") from None
    except Exception as error:
        _log.exception("%s %s", request.method, request.match_info.route.resource)
        raise ApiError("internal", "Something went wrong that should not.", "see the server's log") from error


def _count(site: Site, request: web.Request, status: int, started: float) -> None:
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "none"
    site.metrics.count(request.method if status != 405 else "other", route, status, time.perf_counter() - started)
