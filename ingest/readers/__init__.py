"""Read files of users, photos, main photos and swipes (CSV, NDJSON, Parquet) as columns of text."""

from __future__ import annotations

__all__: list[str] = []
