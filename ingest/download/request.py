"""One attempt to download a picture: the request, the stored bytes, and the status of the result.

Every failure of the network, the host or the picture is an `Outcome` from the closed list; only errors of this
machine (a full disk) are raised. Redirects are not followed here: the caller queues a redirect at its host, so that
the limits of that host apply.
"""

from __future__ import annotations

import errno
import re
import socket
from dataclasses import dataclass

import aiohttp
from aiohttp import hdrs
from yarl import URL

from photogenic.ingest.download.address_guard import BlockedAddressError, parse_url
from photogenic.ingest.download.image_store import ImageStore, TooLargeError
from photogenic.ingest.download.no_silent_retry import ConnectionLostError
from photogenic.ingest.download.statuses import Status

__all__ = ["HEADERS", "Outcome", "download"]

HEADERS = {
    "User-Agent": "photogenic",
    "Accept": "image/*",
    "Accept-Encoding": "identity",
}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SLOW_DOWN = frozenset({408, 425})
_OPT_OUT = re.compile(r"\b(noai|noimageai)\b", re.IGNORECASE)
_DRAIN_BYTES = 16 * 1024
_NAMED: dict[int, Status] = {401: "http_401", 403: "http_403", 404: "http_404", 410: "http_410", 429: "http_429"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of one attempt.

    Attributes:
        status: status from the closed list.
        detail: more words; never text of the server, never an address.
        n_bytes: number of bytes received.
        sha256: SHA-256 of the stored picture; width and height in pixels, upright.
        retry_after: the Retry-After header, as sent.
        redirect: URL of the redirect; the status then has no meaning.
    """

    status: Status
    detail: str = ""
    n_bytes: int = 0
    sha256: str | None = None
    width: int | None = None
    height: int | None = None
    retry_after: str | None = None
    redirect: URL | None = None


async def download(
    session: aiohttp.ClientSession, url: URL, images: ImageStore, *, honour_opt_out: bool = True
) -> Outcome:
    """Request `url` once and store the picture.

    Raises:
        OSError: the disk is full or fails, or the process has no free file descriptors.
    """
    try:
        async with session.get(url, allow_redirects=False) as response:
            outcome = _refused(response, honour_opt_out=honour_opt_out)
            if outcome is None:
                return await _take(response, images)
            if outcome.status != "opted_out" and (response.content_length or _DRAIN_BYTES) < _DRAIN_BYTES:
                await response.read()  # so that the connection can be used again
            return outcome
    except (aiohttp.ClientError, TimeoutError) as error:
        return _failure(error)


async def _take(response: aiohttp.ClientResponse, images: ImageStore) -> Outcome:
    if (response.content_length or 0) > images.max_bytes:
        response.close()
        return Outcome("too_large", f"{response.content_length} bytes announced")
    body, saved = images.body(), None
    try:
        while chunk := await response.content.readany():
            body.feed(chunk)
        if not body.n_bytes:
            return Outcome("empty")
        saved = await images.save(body)
    except TooLargeError:
        response.close()
        return Outcome("too_large", f"more than {images.max_bytes} bytes", body.n_bytes)
    except aiohttp.ClientPayloadError:
        return Outcome("truncated", "the connection ended before the announced length", body.n_bytes)
    finally:
        if saved is None or saved.sha256 is None:
            body.discard()
    header = saved.header
    detail = f"{response.content_type}, {header.detail}" if header.status == "not_an_image" else header.detail
    return Outcome(header.status, detail, saved.n_bytes, saved.sha256, header.width, header.height)


def _refused(response: aiohttp.ClientResponse, *, honour_opt_out: bool) -> Outcome | None:
    """The outcome that status line and headers decide. None: read the body."""
    code = response.status
    if code == 200:
        words = _OPT_OUT.search(",".join(response.headers.getall("X-Robots-Tag", ()))) if honour_opt_out else None
        return Outcome("opted_out", words.group(1).lower()) if words else None
    if code in _REDIRECTS:
        return _redirect(response)
    after = response.headers.get(hdrs.RETRY_AFTER)
    if code in _NAMED:
        return Outcome(_NAMED[code], retry_after=after)
    if code in _SLOW_DOWN:
        return Outcome("timeout", f"HTTP {code}", retry_after=after)
    if code >= 500:
        return Outcome("http_5xx", f"HTTP {code}", retry_after=after)
    return Outcome("http_4xx" if code >= 400 else "http_other", f"HTTP {code}")


def _redirect(response: aiohttp.ClientResponse) -> Outcome:
    location = response.headers.get(hdrs.LOCATION) or response.headers.get(hdrs.URI)
    if not location:
        return Outcome("redirects", "a redirect without a destination")
    try:
        target = parse_url(str(response.url.join(URL(location, encoded=location.isascii()))))
    except ValueError:
        target = None
    return Outcome("redirects", redirect=target) if target else Outcome("bad_url", "redirected there")


def _failure(error: Exception) -> Outcome:
    """The outcome of a network exception. The details are our own words: exception texts contain addresses.

    Raises:
        OSError: the process has no free file descriptors, which is no failure of the host.
    """
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, OSError) and cause.errno in {errno.EMFILE, errno.ENFILE}:
        raise cause
    match error:
        case aiohttp.InvalidURL():
            return Outcome("bad_url", "not a canonical address")
        case aiohttp.ClientConnectorDNSError():
            known = isinstance(cause, socket.gaierror) and cause.errno in {socket.EAI_NONAME, socket.EAI_NODATA}
            return Outcome("dns" if known else "dns_unavailable")
        case aiohttp.ClientConnectorCertificateError():
            return Outcome("tls", "certificate not accepted")
        case aiohttp.ClientSSLError():
            return Outcome("tls", "handshake failed")
        case aiohttp.ClientConnectorError():
            if isinstance(cause, BlockedAddressError):
                return Outcome("blocked_address")
            return Outcome("connect", (errno.errorcode.get(cause.errno or 0, "")) if isinstance(cause, OSError) else "")
        case aiohttp.ConnectionTimeoutError():
            return Outcome("timeout", "connecting")
        case TimeoutError():
            return Outcome("timeout")
        case aiohttp.ClientPayloadError():
            return Outcome("truncated", "the connection ended before the announced length")
        case ConnectionLostError() | aiohttp.ClientConnectionError():
            return Outcome("connection_lost")
        case aiohttp.ClientResponseError():
            return Outcome("http_other", "not HTTP")
        case _:
            return Outcome("bad_url", type(error).__name__)
