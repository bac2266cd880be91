"""Literal examples of relations: rows that are given, and the rows that must come out."""

from __future__ import annotations

__all__: list[str] = []
