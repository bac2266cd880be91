"""Compare two encoders before one replaces the other: neighbors, heads and cost side by side, with intervals."""

from __future__ import annotations

__all__: list[str] = []
