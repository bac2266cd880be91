"""Crawl an Instagram-like API with a pool of tokens."""

from __future__ import annotations

__all__: list[str] = []
