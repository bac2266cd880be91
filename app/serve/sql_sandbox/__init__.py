"""Processes that run SQL of clients, with limits on time and memory."""

from __future__ import annotations

__all__: list[str] = []
