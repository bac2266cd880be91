"""Delete the rows of erased people, and refuse their data when it arrives again."""

from __future__ import annotations

__all__: list[str] = []
