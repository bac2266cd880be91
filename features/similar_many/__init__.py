"""Many queries in one search for similar photos."""

from __future__ import annotations

__all__: list[str] = []
