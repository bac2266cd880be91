"""Decide whether a statement only reads."""

from __future__ import annotations

__all__: list[str] = []
