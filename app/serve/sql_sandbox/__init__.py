"""SQL of web users in processes of their own, with limits on time and memory."""

from __future__ import annotations

__all__: list[str] = []
