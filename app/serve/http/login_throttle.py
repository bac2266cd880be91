"""How long the answer to a wrong token waits: longer with each from the same place. A right one never waits."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

__all__ = ["Patience"]

_FIRST_S, _FORGOTTEN_S, _PLACES = 0.1, 60.0, 1_024


class Patience:
    """Counts wrong tokens by the place that they come from; the last 1,024 places are known.

    Args:
        most_s: that an answer waits.
        clock: seconds.
    """

    def __init__(self, most_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most_s, clock
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wrong(self, remote: str | None) -> float:
        """Seconds that the answer to one more wrong token from this address waits."""
        now, place = self._clock(), _place(remote or "")
        n, last = self._wrong.pop(place, (0, now))
        n = 1 if now - last > _FORGOTTEN_S else n + 1
        self._wrong[place] = n, now
        if len(self._wrong) > _PLACES:
            self._wrong.popitem(last=False)
        return min(_FIRST_S * 2.0 ** min(n - 1, 30), self._most)


def _place(remote: str) -> str:
    """An address; of IPv6 the 64 bits that one line has for itself."""
    try:
        address = ipaddress.ip_address(remote.partition("%")[0])
    except ValueError:
        return ""
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else str(address)
