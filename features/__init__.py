"""features: compute faces and embeddings of photos, and search for similar photos.

Input: the photos and labels of the warehouse. Output: faces and embeddings in Parquet, a search index per encoder,
training sets joined by photo_id. Used by models (training data), maintenance (backup, erase) and app (similar photos).
"""

from __future__ import annotations

__all__: list[str] = []
