"""The report: one HTML file with tables, curves and galleries."""

from __future__ import annotations

__all__: list[str] = []
