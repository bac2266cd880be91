"""Build the relations of sql/, in full or incrementally, and audit them."""

from __future__ import annotations

__all__: list[str] = []
