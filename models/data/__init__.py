"""Training data: samples, targets, splits and leakage."""

from __future__ import annotations

__all__: list[str] = []
