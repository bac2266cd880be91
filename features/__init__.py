"""features: what do photos look like as vectors, and which are alike?

In: pictures and labels that the warehouse knows. Out: faces and embeddings in Parquet, a search index per
encoder, training sets joined by id. Read next by models (what to learn from) and app (similar photos).
"""

from __future__ import annotations

__all__: list[str] = []
