"""Where a request may go: public http(s) hosts, unless told otherwise.

The check sits in the socket factory: it sees the very address that is about to be connected to, after
DNS, after the DNS cache and after every redirect, and for literal addresses too, which no resolver ever
sees. A name that answers differently the second time (DNS rebinding) therefore gains nothing.
Connections go out directly: a proxy from the environment would do the resolving where nobody checks.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable
from typing import Any

from aiohttp import TCPConnector
from yarl import URL

__all__ = ["BlockedAddressError", "guarded_connector", "guarded_socket", "parse_url", "refusal"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "168.63.129.16",  # Azure; a public address
        "100.100.100.200",  # Alibaba
        "192.0.0.192",  # Oracle
        "fd00:ec2::254",  # AWS
        "fd20:ce::254",  # Google
    )
)
_SPACE = re.compile(r"\s")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class BlockedAddressError(OSError):
    """The host resolves to an address that requests must not reach.

    Its text never names the address: when all of a host's addresses are refused, equal texts let the
    connector report this error itself instead of a mix of many.
    """


def refusal(address: str, *, allow_private: bool = False) -> str | None:
    """Why no connection to `address` is made, in a word; None: it may be made.

    With `allow_private`, intranet and loopback addresses pass; link-local and metadata ones never do.
    """
    for ip in _embedded(ipaddress.ip_address(address.split("%", 1)[0])):
        if ip in _METADATA:
            return "metadata"
        if ip.is_link_local:
            return "link-local"
        if ip.is_multicast or ip.is_unspecified:
            return "multicast or unspecified"
        if not allow_private and (ip.is_reserved or not ip.is_global):
            return "loopback" if ip.is_loopback else "private"
    return None


def parse_url(text: str) -> URL | None:
    """`text` as an address that may be requested, signed queries kept to the letter; None: it may not."""
    try:
        url = URL(text, encoded=text.isascii())
        usable = url.scheme in {"http", "https"} and bool(url.raw_host) and url.user is None and bool(url.port)
    except ValueError:
        return None
    return url if usable and not _SPACE.search(text) else None


def guarded_socket(allow_private: bool) -> Callable[[Any], socket.socket]:
    """A socket factory (`aiohappyeyeballs`) that refuses what `refusal` refuses."""

    def make(info: Any) -> socket.socket:
        family, kind, proto, _, address = info
        if refusal(address[0], allow_private=allow_private) is not None:
            raise BlockedAddressError("address refused")
        return socket.socket(family, kind, proto)

    return make


def guarded_connector(*, allow_private: bool, keepalive_s: float = 15.0) -> TCPConnector:
    """A connector that reaches allowed addresses only and remembers names for five minutes.

    It sets no limit of its own: how many connections there are is the caller's business.
    """
    return TCPConnector(
        limit=0,
        ttl_dns_cache=300,
        keepalive_timeout=keepalive_s,
        socket_factory=guarded_socket(allow_private),
    )


def _embedded(ip: Address) -> list[Address]:
    """The address and the IPv4 addresses that it carries inside: mapped, 6to4, Teredo, NAT64."""
    found: list[Address] = [ip]
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return [ip.ipv4_mapped]
        if ip.sixtofour is not None:
            found.append(ip.sixtofour)
        if ip.teredo is not None:
            found.extend(ip.teredo)
        if ip in _NAT64:
            return [ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)]
    return found
