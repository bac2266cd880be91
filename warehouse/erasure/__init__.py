"""Delete rows of erased people, and remember whom not to take in again."""

from __future__ import annotations

__all__: list[str] = []
