"""Predictions for one sender: what this person would like."""

from __future__ import annotations

__all__: list[str] = []
