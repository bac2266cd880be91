"""Download images: a scheduler, an address guard, and storage under the digest."""

from __future__ import annotations

__all__: list[str] = []
