"""Validate rows, reject invalid ones with reasons, and load what is new into the base tables."""

from __future__ import annotations

__all__: list[str] = []
