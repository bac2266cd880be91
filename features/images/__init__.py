"""Decode, orient and resize images."""

from __future__ import annotations

__all__: list[str] = []
