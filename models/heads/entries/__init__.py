"""The heads that can be trained, one class per file; the registry imports every module of this folder."""

from __future__ import annotations

__all__: list[str] = []
