"""Faults of the fake network, chosen per key by a hash and not at random.

The same seed and key always give the same fault, in any order of requests, so a test knows
which images must arrive and which status each of the others must have.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["LASTING", "FaultKind", "Faults"]

FaultKind = Literal[
    "http_404",
    "http_429",
    "http_500",
    "hang",
    "drip",
    "truncated",
    "wrong_length",
    "html",
    "redirect",
    "redirect_loop",
    "reset",
    "noai",
]

LASTING: frozenset[FaultKind] = frozenset({"http_404", "html", "redirect", "redirect_loop", "noai"})
"""Permanent faults, which affect every request for their key; the others affect the first `times` requests."""


@dataclass(frozen=True, slots=True)
class Faults:
    """Faults that a server injects.

    Attributes:
        rates: share of keys per fault, 0 to 1; the sum is at most 1.
        times: number of requests for a key that a temporary fault affects.
        latency_s: delay of every answer, in seconds.
        retry_after_s: `Retry-After` of a 429, in seconds.
        seed: seed of the choice.
    """

    rates: Mapping[FaultKind, float] = field(default_factory=dict)
    times: int = 1
    latency_s: float = 0.0
    retry_after_s: int = 1
    seed: int = 0

    def of(self, key: str) -> FaultKind | None:
        """Return the fault of `key`, if any."""
        digest = hashlib.blake2b(f"{self.seed}:{key}".encode(), digest_size=8).digest()
        draw = int.from_bytes(digest, "big") / 2**64
        for kind, rate in self.rates.items():
            if draw < rate:
                return kind
            draw -= rate
        return None

    def strikes(self, key: str, n_before: int) -> FaultKind | None:
        """Return the fault of a request for `key` after `n_before` earlier ones."""
        kind = self.of(key)
        return kind if kind is not None and (kind in LASTING or n_before < self.times) else None
