"""Features of a picture: functions of pixels whose values are a relation, computed while photos are decoded anyway."""

from __future__ import annotations

__all__: list[str] = []
