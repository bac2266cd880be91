"""Compare the vectors of two encoders: which photos have both, how far their neighbors agree, and what each costs."""

from __future__ import annotations

__all__: list[str] = []
