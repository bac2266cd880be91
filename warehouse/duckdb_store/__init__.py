"""The DuckDB file of a store: transactions, queries, settings, migrations and the snapshot."""

from __future__ import annotations

__all__: list[str] = []
