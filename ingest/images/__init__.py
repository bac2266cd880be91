"""Images from local folders: formats, headers, and what cannot be read."""

from __future__ import annotations

__all__: list[str] = []
