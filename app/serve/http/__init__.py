"""The HTTP server: limits, authentication, uploads, errors and metrics."""

from __future__ import annotations

__all__: list[str] = []
