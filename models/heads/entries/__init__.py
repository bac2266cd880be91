"""The heads that can be trained, one class in one file each; every module of this folder is imported at look-up."""

from __future__ import annotations

__all__: list[str] = []
