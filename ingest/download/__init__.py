"""Download images: a scheduler, an address guard, and storage of each picture under its SHA-256."""

from __future__ import annotations

__all__: list[str] = []
