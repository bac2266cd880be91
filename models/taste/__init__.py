"""Personal taste: predict the likes of one sender."""

from __future__ import annotations

__all__: list[str] = []
