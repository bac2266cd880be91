"""The journal of downloads and crawls: what was asked and answered, in files that survive a crash."""

from __future__ import annotations

__all__: list[str] = []
