"""Read one file of a web server, `https://host/path/file.parquet`, into the spill folder.

- The user names the address, so a private or loopback address is allowed for the host that stands in it, and for a
  redirect to the same host and port. A redirect elsewhere reaches public addresses only, and never leaves https.
  Link-local addresses and those of metadata services are always refused.
- A connection that breaks is taken up with a range, if the server says by ETag or time of change that the file is the
  same; else the file is read again from its beginning.
- The copy counts only if it has as many bytes as the server said.
"""

from __future__ import annotations

import asyncio
import base64
import concurrent.futures
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

import aiohttp
from yarl import URL

from photogenic.ingest.download.address_guard import BlockedAddressError, guarded_connector, parse_url
from photogenic.ingest.readers.input_files import Spool
from photogenic.ingest.sources.remote import RemoteFile
from photogenic.warehouse import InputError, NetworkError, StoreError
from photogenic.warehouse.filesystems import network_timeout_s, printable_address

__all__ = ["fetch_file", "web_file"]

_ATTEMPTS = 4
_MOST_REDIRECTS = 5
_BLOCK = 1 << 20
_KEPT_FREE = 1 << 28
"""Bytes of the disk that stay free: a server that never ends must not fill it."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


def web_file(address: str) -> RemoteFile:
    """The file of an address, which is not looked at yet.

    Raises:
        InputError: it is no address of a web server.
    """
    _parts(address)
    return RemoteFile(printable_address(address), address, None, {})


def fetch_file(address: str, name: str, spool: Spool) -> Path:
    """Copy a file of a web server.

    Args:
        address: its address, which may hold a secret.
        name: the address to print.
        spool: where the copy exists as long as it is open.

    Raises:
        InputError: there is no such file, it may not be read, or it changed while it was read.
        NetworkError: the server cannot be reached, or the connection broke again and again.
        StoreError: there is no space for the copy.
    """
    copy, path = spool.file(name)
    work = _Fetch(address, name, spool, copy, path)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(work.run())
    else:  # in a notebook a loop runs in this thread already
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: asyncio.run(work.run())).result()
    return path


class _BrokenError(Exception):
    """The connection broke, or the server cannot answer now: another attempt may succeed."""


@dataclass
class _Fetch:
    """One download."""

    address: str = field(repr=False)
    name: str
    spool: Spool
    copy: BinaryIO
    path: Path
    n_bytes: int = 0
    total: int | None = None
    validator: str | None = None

    async def run(self) -> None:
        url, user = _parts(self.address)
        why = ""
        for attempt in range(_ATTEMPTS):
            if attempt:
                await asyncio.sleep(0.2 * 2**attempt)
            try:
                await self._attempt(url, user)
            except _BrokenError as error:
                why = str(error)
                if self.validator is None:
                    self._restart()
            else:
                self.spool.write(self.copy, b"", self.name)
                return
        raise NetworkError(
            f"{self.name} cannot be read: {why}.",
            "a server that sends the whole file",
            "run the same command again; FEATURES_NETWORK_TIMEOUT=60 waits longer",
        )

    async def _attempt(self, named: URL, user: str | None) -> None:
        url = named
        for _ in range(_MOST_REDIRECTS + 1):
            is_named = url.origin() == named.origin()
            headers = self._headers(user if is_named else None)
            timeout = aiohttp.ClientTimeout(None, sock_connect=network_timeout_s(), sock_read=network_timeout_s())
            try:
                async with (
                    guarded_connector(allow_private=is_named) as connector,
                    aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session,
                    session.get(url, allow_redirects=False, headers=headers) as response,
                ):
                    if response.status not in _REDIRECTS:
                        await self._take(response)
                        return
                    url = self._target(response, named)
            except BlockedAddressError as error:
                raise self._refused_host(url, is_named=is_named) from error
            except aiohttp.ClientConnectorCertificateError as error:
                raise NetworkError(
                    f"{self.name} cannot be read: the certificate of {url.host} is not accepted.",
                    "a certificate that this machine trusts",
                    "check the address",
                ) from error
            except (aiohttp.ClientError, TimeoutError) as error:
                cause = getattr(error, "os_error", None)
                if isinstance(cause, BlockedAddressError):
                    raise self._refused_host(url, is_named=is_named) from error
                raise _BrokenError(_reason(error, self.n_bytes, self.total)) from error
        raise InputError(
            f"{self.name} redirects more than {_MOST_REDIRECTS} times.", "a file", "name the address that it leads to"
        )

    def _headers(self, user: str | None) -> dict[str, str]:
        headers = {"User-Agent": "photogenic", "Accept-Encoding": "identity"}
        if user is not None:
            headers["Authorization"] = user
        if self.n_bytes and self.validator is not None:
            headers |= {"Range": f"bytes={self.n_bytes}-", "If-Range": self.validator}
        return headers

    async def _take(self, response: aiohttp.ClientResponse) -> None:
        self._check_status(response.status)
        length = response.content_length
        if response.status == 206:
            sent = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if sent is None or int(sent[1]) != self.n_bytes or sent[3] not in {"*", str(self.total)}:
                raise InputError(f"{self.name} was answered with another part.", "the rest of the file", "try again")
        else:
            if self.n_bytes:  # it is another file now, or the server knows no ranges
                self._restart()
            self.total = length
            etag = response.headers.get("ETag", "")
            self.validator = etag if etag.startswith('"') else response.headers.get("Last-Modified")
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise InputError(f"{self.name} was sent encoded.", "the bytes of the file", "another server")
        free = shutil.disk_usage(self.spool.folder).free - _KEPT_FREE
        if (length or 0) > free:
            raise self._too_large(length, free)
        async for block in response.content.iter_chunked(_BLOCK):
            if len(block) > free:
                raise self._too_large(None, free)
            free -= len(block)
            self.spool.write(self.copy, block, self.name)
            self.n_bytes += len(block)
        if self.total is not None and self.n_bytes != self.total:
            raise _BrokenError(f"it ended after {self.n_bytes:,} of {self.total:,} bytes")

    def _check_status(self, code: int) -> None:
        if code in {200, 206}:
            return
        if code in {408, 425, 429} or code >= 500:
            raise _BrokenError(f"the server answered HTTP {code}")
        if code in {404, 410}:
            raise InputError(f"There is no {self.name}: HTTP {code}.", "an existing file", "check the address")
        if code in {401, 403}:
            raise InputError(
                f"{self.name} may not be read: HTTP {code}.", "an address with access", "a signed address that is valid"
            )
        raise InputError(f"{self.name} cannot be read: HTTP {code}.", "a file", "check the address")

    def _target(self, response: aiohttp.ClientResponse, named: URL) -> URL:
        location = response.headers.get("Location", "")
        try:
            target = parse_url(str(response.url.join(URL(location, encoded=location.isascii()))))
        except ValueError:
            target = None
        if target is None or not location or (named.scheme == "https" and target.scheme != "https"):
            raise InputError(
                f"{self.name} redirects to an address that is not followed.",
                "a redirect to https",
                "name the address that it leads to",
            )
        return target

    def _refused_host(self, url: URL, *, is_named: bool) -> InputError:
        what = "has an address that is never read" if is_named else f"redirects to {url.host}, which is not public"
        return InputError(
            f"{self.name} {what}.",
            "a server; one in the own network only if the address names it",
            "name the address that it leads to" if not is_named else "another address",
        )

    def _too_large(self, n_bytes: int | None, free: int) -> StoreError:
        size = "has no end yet" if n_bytes is None else f"has {n_bytes:,} bytes"
        return StoreError(
            f"{self.name} {size}, and {max(free, 0):,} bytes are free for it in {self.spool.folder}.",
            "a file that the disk has room for",
            f"df -h {self.spool.folder}",
        )

    def _restart(self) -> None:
        self.copy.seek(0)
        self.copy.truncate()
        self.n_bytes, self.total = 0, None


def _parts(address: str) -> tuple[URL, str | None]:
    """The address without user and fragment, and the header that says the user.

    Raises:
        InputError: it is no address of a web server.
    """
    scheme, _, rest = address.partition("#")[0].partition("://")
    server, slash, path = rest.partition("/")
    user, at, host = server.rpartition("@")
    url = parse_url(f"{scheme}://{host}{slash}{path}")
    if url is None:
        raise InputError(
            f"{printable_address(address)} is no address of a web server.",
            "https://HOST/FOLDER/FILE.parquet; a space is written %20",
            "check the address",
        )
    if not at:
        return url, None
    return url, "Basic " + base64.b64encode(unquote(user).encode()).decode()


def _reason(error: Exception, n_bytes: int, total: int | None) -> str:
    """What broke, in our words: texts of exceptions contain addresses."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the name of the server is not known"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "there is no connection to the server"
    if isinstance(error, TimeoutError):
        return f"the server sent nothing for {network_timeout_s():g} seconds"
    if n_bytes:
        of = "" if total is None else f" of {total:,}"
        return f"the connection broke after {n_bytes:,}{of} bytes"
    return "the server closed the connection, or sent no valid answer"
