"""Child processes and threads of this program."""

from __future__ import annotations

__all__: list[str] = []
