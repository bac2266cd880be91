"""Image host of the fake network: GET /pictures/{key}, with faults and counters.

Content types are wrong on purpose: every answer that is not an error has the type image/jpeg.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Callable

from aiohttp import web

from photogenic.synthetic.network.faults import FaultKind, Faults

__all__ = ["Pictures"]

_HTML = b"<!doctype html><title>Log in</title><p>Please log in to see this picture."
_DRIP_BYTES = 16


class Pictures:
    """Request handler of the images.

    Args:
        picture: function from key to bytes; a KeyError becomes a 404.
        faults: faults to inject.

    Attributes:
        requests: number of requests by key.
        peak: largest number of concurrent requests, by host.
        delivered: number of complete and correct answers, by key.
        elsewhere: target of the fault `redirect`; empty: the image itself.
    """

    def __init__(self, picture: Callable[[str], bytes], faults: Faults) -> None:
        self.picture, self.faults = picture, faults
        self.requests: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()
        self.delivered: Counter[str] = Counter()
        self.elsewhere = ""
        self._active: Counter[str] = Counter()
        self._closing = asyncio.Event()

    def add_to(self, app: web.Application) -> None:
        """Add the routes to `app`."""
        app.router.add_get("/pictures/{key}", self._count)
        app.on_shutdown.append(self._close)

    async def _close(self, _: web.Application) -> None:
        self._closing.set()

    async def _count(self, request: web.Request) -> web.StreamResponse:
        host = request.url.raw_host or ""
        self._active[host] += 1
        self.peak[host] = max(self.peak[host], self._active[host])
        try:
            return await self._answer(request)
        finally:
            self._active[host] -= 1

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        key = request.match_info["key"]
        fault = self.faults.strikes(key, self.requests[key])
        self.requests[key] += 1
        if self.faults.latency_s:
            await asyncio.sleep(self.faults.latency_s)
        try:
            data = self.picture(key)
        except KeyError:
            return web.Response(status=404)
        if fault is not None and (spoiled := await self._spoil(request, fault, key, data)) is not None:
            return spoiled
        self.delivered[key] += 1
        headers = {"X-Robots-Tag": "noai, noimageai"} if fault == "noai" else None
        return web.Response(body=data, content_type="image/jpeg", headers=headers)

    async def _spoil(self, request: web.Request, fault: FaultKind, key: str, data: bytes) -> web.StreamResponse | None:
        """Return the faulty answer; None: only the headers of the correct one differ."""
        match fault:
            case "http_404":
                return web.Response(status=404, text="gone fishing")
            case "http_429":
                return web.Response(status=429, headers={"Retry-After": str(self.faults.retry_after_s)})
            case "http_500":
                return web.Response(status=500, text="oops")
            case "html":
                return web.Response(body=_HTML, content_type="image/jpeg")
            case "wrong_length":
                return web.Response(body=data[: len(data) // 2], content_type="image/jpeg")
            case "redirect" if "to" not in request.query:
                there = self.elsewhere or f"/pictures/{key}?to=itself"
                return web.Response(status=302, headers={"Location": there})
            case "redirect_loop":
                return web.Response(status=302, headers={"Location": str(request.rel_url)})
            case "hang":
                await self._closing.wait()
                return web.Response(status=503)
            case "reset":
                _reset(request)
                return web.Response()
            case "truncated" | "drip":
                return await self._partly(request, data, slowly=fault == "drip")
            case _:
                return None

    async def _partly(self, request: web.Request, data: bytes, *, slowly: bool) -> web.StreamResponse:
        """Announce the full length, send half and disconnect; or send byte by byte."""
        response = web.StreamResponse(headers={"Content-Type": "image/jpeg", "Content-Length": str(len(data))})
        await response.prepare(request)
        if not slowly:
            await response.write(data[: len(data) // 2])
        for start in range(0, len(data) if slowly else 0, _DRIP_BYTES):
            try:
                await response.write(data[start : start + _DRIP_BYTES])
                await asyncio.wait_for(self._closing.wait(), 0.05)
            except TimeoutError:
                continue
            except ConnectionError:
                break
            break
        if request.transport is not None:
            request.transport.close()
        return response


def _reset(request: web.Request) -> None:
    """Close the connection with a TCP reset."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
