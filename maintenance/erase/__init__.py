"""Erase people from every file of a store, and verify that nothing is left."""

from __future__ import annotations

__all__: list[str] = []
