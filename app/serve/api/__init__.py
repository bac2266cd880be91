"""The JSON API: routes, request schemas, the OpenAPI description, scoring and search."""

from __future__ import annotations

__all__: list[str] = []
