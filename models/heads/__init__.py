"""Heads: how each kind is trained, kept and applied."""

from __future__ import annotations

__all__: list[str] = []
