"""Similarity of photos: near duplicates and the neighbor relations."""

from __future__ import annotations

__all__: list[str] = []
