"""Allow requests to public http(s) hosts only, unless private addresses are allowed.

The check is in the socket factory, which receives the address that is about to be connected to: after DNS, after the
DNS cache, after every redirect, and for literal addresses too, which need no resolver. A host name that resolves to
another address the second time (DNS rebinding) is therefore checked again. No proxy of the environment is used,
because a proxy would resolve names without this check.
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

    The text never names the address: when all addresses of a host are refused, the texts are equal, and the connector
    reports this error instead of a combined one.
    """


def refusal(address: str, *, allow_private: bool = False) -> str | None:
    """The reason why no connection to `address` is made, in a word, or None if it may be made.

    `allow_private` allows intranet and loopback addresses; link-local and metadata addresses are always refused.
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
    """Parse a URL that may be requested; the encoding of a signed query is unchanged. None for any other text."""
    try:
        url = URL(text, encoded=text.isascii())
        usable = url.scheme in {"http", "https"} and bool(url.raw_host) and url.user is None and bool(url.port)
    except ValueError:
        return None
    return url if usable and not _SPACE.search(text) else None


def guarded_socket(allow_private: bool) -> Callable[[Any], socket.socket]:
    """Make a socket factory (`aiohappyeyeballs`) that refuses the addresses that `refusal` refuses."""

    def make(info: Any) -> socket.socket:
        family, kind, proto, _, address = info
        if refusal(address[0], allow_private=allow_private) is not None:
            raise BlockedAddressError("address refused")
        return socket.socket(family, kind, proto)

    return make


def guarded_connector(*, allow_private: bool) -> TCPConnector:
    """Make a connector that reaches allowed addresses only and caches DNS answers for five minutes.

    The connector has no limit of connections: the caller limits them.
    """
    return TCPConnector(
        limit=0,
        ttl_dns_cache=300,
        keepalive_timeout=15.0,
        socket_factory=guarded_socket(allow_private),
    )


def _embedded(ip: Address) -> list[Address]:
    """List the address and the IPv4 addresses that are embedded in it: mapped, 6to4, Teredo, NAT64."""
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
