"""A synthetic world of users, photos and swipes with planted rules."""

from __future__ import annotations

__all__: list[str] = []
