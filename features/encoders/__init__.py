"""Encoders: what they are, which are known, where their weights come from, and how they run."""

from __future__ import annotations

__all__: list[str] = []
