"""Images: decode, resize and orient them."""

from __future__ import annotations

__all__: list[str] = []
