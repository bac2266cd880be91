"""Embeddings on disk: write, read and join them with labels."""

from __future__ import annotations

__all__: list[str] = []
