"""Print results of analyses: tables for a terminal, and the same as CSV or JSON."""

from __future__ import annotations

__all__: list[str] = []
