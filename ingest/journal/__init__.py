"""The journal of downloads and crawls: requests and their results, in files that survive a crash."""

from __future__ import annotations

__all__: list[str] = []
