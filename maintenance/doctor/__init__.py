"""Checks of the machine and the store, each with its remedy."""

from __future__ import annotations

__all__: list[str] = []
