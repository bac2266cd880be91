"""Text search: words in the same space as photos, by encoders with an image tower and a text tower (extra `text`)."""

from __future__ import annotations

__all__: list[str] = []
