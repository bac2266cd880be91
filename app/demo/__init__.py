"""The demonstration: a synthetic store, the whole pipeline on it, and a check of what was planted."""

from __future__ import annotations

__all__: list[str] = []
