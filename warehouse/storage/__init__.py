"""Files of a store: layout, locks, manifests, checksums and Parquet parts."""

from __future__ import annotations

__all__: list[str] = []
