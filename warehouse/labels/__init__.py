"""Build the relations of sql/: full, incremental, audited."""

from __future__ import annotations

__all__: list[str] = []
