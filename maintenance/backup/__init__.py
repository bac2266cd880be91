"""Backups: copy a store while it is in use, and restore it."""

from __future__ import annotations

__all__: list[str] = []
