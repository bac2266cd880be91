"""Drawn portraits: synthetic faces that a face detector finds."""

from __future__ import annotations

__all__: list[str] = []
