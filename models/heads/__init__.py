"""Heads: training, storage and application of each kind."""

from __future__ import annotations

__all__: list[str] = []
