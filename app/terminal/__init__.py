"""Output on a terminal: tables, progress, logs, the SQL shell and exports."""

from __future__ import annotations

__all__: list[str] = []
