"""The program `features`: its commands, options, exit codes and what it does with errors."""

from __future__ import annotations

__all__: list[str] = []
