"""Runs: trained heads on disk and in the warehouse, and the choice of the run that predicts."""

from __future__ import annotations

__all__: list[str] = []
