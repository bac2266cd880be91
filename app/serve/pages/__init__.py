"""The web pages: routes, templates, figures and thumbnails."""

from __future__ import annotations

__all__: list[str] = []
