"""Indices in parts: cells trained once, parts encoded one by one or on Spark, then merged or kept apart."""

from __future__ import annotations

__all__: list[str] = []
