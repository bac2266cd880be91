"""Pictures from local folders: their formats, headers and errors."""

from __future__ import annotations

__all__: list[str] = []
