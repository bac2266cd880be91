"""Delays of answers to wrong tokens, which double with each wrong token of a client. Right tokens are not delayed."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

__all__ = ["LoginThrottle"]

_FIRST_S, _FORGOTTEN_S, _PLACES = 0.1, 60.0, 1_024


class LoginThrottle:
    """Counter of wrong tokens by network address, for the last 1,024 addresses.

    Args:
        most_s: Longest delay in seconds.
        clock: Function that returns the time in seconds.
    """

    def __init__(self, most_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most_s, clock
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def record_failure(self, remote: str | None) -> float:
        """Count a wrong token of an address; return the delay of its answer in seconds."""
        now, place = self._clock(), _place(remote or "")
        n, last = self._wrong.pop(place, (0, now))
        n = 1 if now - last > _FORGOTTEN_S else n + 1
        self._wrong[place] = n, now
        if len(self._wrong) > _PLACES:
            self._wrong.popitem(last=False)
        return min(_FIRST_S * 2.0 ** min(n - 1, 30), self._most)


def _place(remote: str) -> str:
    """Return an IPv4 address, or the /64 network of an IPv6 address, which one subscriber has."""
    try:
        address = ipaddress.ip_address(remote.partition("%")[0])
    except ValueError:
        return ""
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else str(address)
