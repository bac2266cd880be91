"""Runs: trained heads on disk and in the warehouse, and which of them answers."""

from __future__ import annotations

__all__: list[str] = []
