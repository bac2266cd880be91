"""Embeddings on disk: write them, read them, and join them with labels."""

from __future__ import annotations

__all__: list[str] = []
