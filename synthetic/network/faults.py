"""What goes wrong, how often, and whether it passes: decided per key by a hash, never by chance.

The same seed and the same key always give the same fault, whatever the order of requests, so a test can
say beforehand which pictures must arrive and what each of the others must be called.
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
"""These meet every request for their key; the others meet the first `times` requests."""


@dataclass(frozen=True, slots=True)
class Faults:
    """How a server misbehaves.

    Attributes:
        rates: share of keys per fault, 0 to 1; the sum is at most 1.
        times: how many requests for a key a passing fault spoils.
        latency_s: before every answer, in seconds.
        retry_after_s: what a 429 asks for.
        seed: of the draw.
    """

    rates: Mapping[FaultKind, float] = field(default_factory=dict)
    times: int = 1
    latency_s: float = 0.0
    retry_after_s: int = 1
    seed: int = 0

    def of(self, key: str) -> FaultKind | None:
        """The fault that lies on `key`, if any."""
        digest = hashlib.blake2b(f"{self.seed}:{key}".encode(), digest_size=8).digest()
        draw = int.from_bytes(digest, "big") / 2**64
        for kind, rate in self.rates.items():
            if draw < rate:
                return kind
            draw -= rate
        return None

    def strikes(self, key: str, n_before: int) -> FaultKind | None:
        """The fault that meets a request for `key` after `n_before` earlier ones."""
        kind = self.of(key)
        return kind if kind is not None and (kind in LASTING or n_before < self.times) else None
