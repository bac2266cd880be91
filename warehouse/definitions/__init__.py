"""Relations and audits of the user's own: the files of a project folder, and what they define."""

from __future__ import annotations

__all__: list[str] = []
