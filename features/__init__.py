"""features: what do photos look like as vectors, and which are alike?

In: pictures and labels that the warehouse knows. Out: faces and embeddings in Parquet, a search index per
encoder, training sets joined by id. Read next by models (what to learn from) and app (similar photos).
`FeatureStore` is the whole program as one object.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from features.build import BuildReport
    from features.encoders import ENCODERS, Encoder, encoder, register
    from features.search import Found, Searcher, similar
    from features.store import FeatureStore
    from features.training import TrainingSet

__all__ = [
    "ENCODERS",
    "BuildReport",
    "Encoder",
    "FeatureStore",
    "Found",
    "Searcher",
    "TrainingSet",
    "encoder",
    "register",
    "similar",
]

_HOMES = {
    "ENCODERS": "encoders",
    "BuildReport": "build",
    "Encoder": "encoders",
    "FeatureStore": "store",
    "Found": "search",
    "Searcher": "search",
    "TrainingSet": "training",
    "encoder": "encoders",
    "register": "encoders",
    "similar": "search",
}


def __getattr__(name: str) -> Any:
    """Load what is asked for when it is asked for: `import features` stays instant."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'features' has no attribute {name!r}")
    return getattr(import_module(f"features.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
