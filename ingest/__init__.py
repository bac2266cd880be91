"""ingest: bring rows and pictures into the warehouse.

In: files of users, photos, main photos and swipes; pictures in folders or behind URLs; accounts on a network.
Out: base tables, rejected rows with their reasons, pictures named by their SHA-256. The warehouse computes labels
from the base tables; features computes embeddings from the pictures.
"""

from __future__ import annotations

__all__: list[str] = []
