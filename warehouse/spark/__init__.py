"""Compute the relations on Spark: the session, the translation of SQL and the export of facts."""

from __future__ import annotations

__all__: list[str] = []
