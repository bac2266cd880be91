"""Compute embeddings: preprocess in processes, run the networks in batches, on one machine or on Spark."""

from __future__ import annotations

__all__: list[str] = []
