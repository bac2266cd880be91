"""Check that a statement of a user only reads."""

from __future__ import annotations

__all__: list[str] = []
