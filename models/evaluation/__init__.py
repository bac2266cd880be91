"""Evaluation: metrics with intervals, comparisons, slices and the leaderboard."""

from __future__ import annotations

__all__: list[str] = []
