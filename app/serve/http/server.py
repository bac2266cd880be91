"""The HTTP server: routes, middleware, and start and stop.

serve(store)                       listen at 127.0.0.1:8000 until a signal
application(store, guard, limits)  the same application without a socket
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
from photogenic.app.serve.http.connection import Connection, connection_factory
from photogenic.app.serve.http.context import APP_CONTEXT, AppContext
from photogenic.app.serve.http.errors import ApiError, error_response, to_api_error
from photogenic.app.serve.http.guard import FOR_PROGRAMS, Guard, is_loopback
from photogenic.app.serve.http.limits import Limits
from photogenic.app.serve.http.login_throttle import LoginThrottle
from photogenic.app.serve.pages.routes import Pages
from photogenic.warehouse import InputError, PhotogenicError
from photogenic.warehouse.option_ranges import check

__all__ = ["application", "make_guard", "running_server", "serve"]

_log = logging.getLogger(__name__)
_TOKEN = 16
"""Smallest number of characters of a token."""

_LINE = 1 << 18
"""Largest address in bytes: enough for a percent-encoded query of 20,000 characters."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def serve(
    store: FeatureStore,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    name: tuple[str, ...] = (),
    print_line: Callable[[str], None] = print,
) -> None:
    """Serve a store until SIGINT or SIGTERM; then running requests get time to finish.

    Args:
        store: Store to serve.
        host: Address to listen at.
        port: Port to listen at; 0: any free port.
        token: Token that requests must send. Required if other machines can connect.
        name: Additional host names of the server.
        print_line: Function that prints the address of the server.

    Raises:
        InputError: A required token is missing, or the address is not available.
        StoreError: There is no store.
    """
    check(port=port)
    guard = make_guard(host, token, name)

    async def lifespan() -> signal.Signals:
        with _end_signal() as ending:
            async with running_server(store, guard, host=host, port=port) as at:
                print_line(f"Photogenic is at {at}   (Ctrl-C ends it)")
                return await ending

    if asyncio.run(lifespan()) == signal.SIGINT:
        raise KeyboardInterrupt


@contextlib.contextmanager
def _end_signal() -> Iterator[asyncio.Future[signal.Signals]]:
    """Wait for SIGTERM or SIGINT (Ctrl-C). A second signal has its default effect."""
    loop = asyncio.get_running_loop()
    ending: asyncio.Future[signal.Signals] = loop.create_future()
    former = {signal_number: signal.getsignal(signal_number) for signal_number in (signal.SIGTERM, signal.SIGINT)}

    def on_signal(signal_number: signal.Signals) -> None:
        restore()
        ending.set_result(signal_number)

    def restore() -> None:
        for signal_number, handler in former.items():
            loop.remove_signal_handler(signal_number)
            signal.signal(signal_number, handler)

    if threading.current_thread() is threading.main_thread():
        for signal_number, handler in former.items():
            if handler != signal.SIG_IGN:
                loop.add_signal_handler(signal_number, on_signal, signal_number)
    try:
        yield ending
    finally:
        if threading.current_thread() is threading.main_thread():
            restore()


def make_guard(host: str, token: str | None, names: tuple[str, ...] = ()) -> Guard:
    """Make the access control of an address.

    Raises:
        InputError: Other machines could connect without a token, or the token is too short.
    """
    if token is not None and len(token) < _TOKEN:
        raise InputError(f"The token has {len(token)} characters.", f"at least {_TOKEN}", _token_command())
    if token is None and not is_loopback(host):
        raise InputError(
            f"At {host} other machines can connect to the server.", "a token that requests must send", _token_command()
        )
    return Guard.of(host, token, names)


def _token_command() -> str:
    return 'features serve --token "$(openssl rand -hex 24)"'


@contextlib.asynccontextmanager
async def running_server(
    store: FeatureStore, guard: Guard, *, host: str = "127.0.0.1", port: int = 0, limits: Limits | None = None
) -> AsyncIterator[str]:
    """Run a server inside the `with` block. Yields its address.

    Raises:
        InputError: The address is not available.
        StoreError: There is no store.
    """
    limits = limits or Limits()
    guard = replace(guard, throttle=LoginThrottle(limits.wrong_token_s))
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
            connect = connection_factory(runner.server, limits, guard.protect)
            listening = await loop.create_server(connect, host.strip("[]"), port)
        except OSError as error:
            raise InputError(
                f"The server cannot listen at {host}, port {port}: {error.strerror}.",
                "an address of this machine and a free port",
                "features serve --port 0",
            ) from error
        try:
            (address, found, *_) = listening.sockets[0].getsockname()
            yield f"http://{f'[{address}]' if ':' in address else address}:{found}"
        finally:
            listening.close()  # no new connections; running requests finish in `cleanup`
    finally:
        await runner.cleanup()


_PAGES: web.AppKey[Pages] = web.AppKey("pages", Pages)


def application(store: FeatureStore, guard: Guard, limits: Limits) -> web.Application:
    """Make the application with all routes and its middleware."""
    context = AppContext.open(store, guard, limits)
    app = web.Application(middlewares=[_request_middleware], client_max_size=limits.uploads * limits.upload_bytes)
    app[APP_CONTEXT] = context
    app.cleanup_ctx.append(context.lifespan)
    pages = Pages(context)
    app[_PAGES] = pages
    app.add_routes([*Api(context).routes(), *pages.routes()])
    return app


@web.middleware
async def _request_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Check the access, convert errors to answers, count the request, and set the headers of every answer."""
    context, started = request.app[APP_CONTEXT], time.perf_counter()
    if isinstance(request.protocol, Connection):
        request.protocol.has_request_head = True
    try:
        response = await _handle_errors(request, handler, context)
    except asyncio.CancelledError:
        _count_request(context, request, 499, started)
        raise
    _count_request(context, request, response.status, started)
    if not response.prepared:
        context.guard.protect(response)
    return response


async def _handle_errors(request: web.Request, handler: Handler, context: AppContext) -> web.StreamResponse:
    """Return the answer of the handler, or its error: as a page if the client accepts HTML, otherwise as JSON."""
    try:
        return await _call_handler(request, handler, context)
    except web.HTTPSeeOther as away:
        return web.Response(status=away.status, headers={"Location": str(away.location)})
    except ApiError as error:
        api = request.path.startswith(FOR_PROGRAMS)
        if api or "text/html" not in request.headers.get("Accept", ""):
            return error_response(error)
        return request.app[_PAGES].problem(error)


async def _call_handler(request: web.Request, handler: Handler, context: AppContext) -> web.StreamResponse:
    """Call the handler of a request.

    Raises:
        ApiError: The request failed for any reason.
    """
    await context.guard.check(request)
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise ApiError("unsupported_type", "The request is compressed.", "send it uncompressed")
    most = context.limits.uploads * context.limits.upload_bytes
    if (request.content_length or 0) > most:
        raise ApiError("too_large", f"The request has more than {most:,} bytes.", "send less data in one request")
    try:
        return await handler(request)
    except PhotogenicError as error:
        raise to_api_error(error) from error
    except web.HTTPNotFound:
        raise ApiError("not_found", f"There is no address {request.path[:200]!r}.", "see /api") from None
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        message = f"This address does not support {request.method}. Expected: {allowed}"
        raise ApiError("method_not_allowed", message, "see /api", {"Allow": allowed}) from None
    except web.HTTPRequestEntityTooLarge:
        raise ApiError("too_large", "The request has too many bytes.", "send less data in one request") from None
    except (ApiError, web.HTTPSeeOther, ConnectionResetError):
        raise
    except web.HTTPClientError as error:
        raise ApiError("bad_request", f"The request cannot be read: {error.reason}", "see /api") from None
    except Exception as error:
        _log.exception("%s %s", request.method, request.match_info.route.resource)
        raise ApiError("internal", "The server failed to answer the request.", "see the server's log") from error


def _count_request(context: AppContext, request: web.Request, status: int, started: float) -> None:
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "none"
    context.metrics.count(request.method if status != 405 else "other", route, status, time.perf_counter() - started)
