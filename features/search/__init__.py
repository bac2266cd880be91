"""Nearest-neighbor search: exact, by an inverted file, filtered, and as of a moment."""

from __future__ import annotations

__all__: list[str] = []
