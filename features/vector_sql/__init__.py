"""Vectors and searches in SQL: the relations `vectors_<encoder>`, and the table functions `similar` and `vectors`."""

from __future__ import annotations

__all__: list[str] = []
