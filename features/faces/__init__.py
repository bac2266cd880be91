"""Faces: the detector, its process, alignment and crop windows."""

from __future__ import annotations

__all__: list[str] = []
