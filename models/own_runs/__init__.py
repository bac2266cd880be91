"""Runs of the user's own: predictions that were made elsewhere, evaluated by the test of the heads trained here."""

from __future__ import annotations

__all__: list[str] = []
