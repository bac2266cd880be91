"""The demonstration: a synthetic store, the whole pipeline on it, and a comparison with the planted values."""

from __future__ import annotations

__all__: list[str] = []
