"""Synthetic users, photos and swipes that follow known rules."""

from __future__ import annotations

__all__: list[str] = []
