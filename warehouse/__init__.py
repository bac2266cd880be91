"""warehouse: what is true about users, photos and swipes?

In: rows that ingest has checked. Out: relations, computed by the files of sql/, audited and then
published as one consistent snapshot. Read next by features (which photos need vectors), models
(labels and splits) and every SQL query.
"""

from photogenic.warehouse.context import Store
from photogenic.warehouse.duckdb_store.database import Database
from photogenic.warehouse.duckdb_store.settings import Settings, default_store
from photogenic.warehouse.errors import (
    AuditError,
    ConflictError,
    EncoderError,
    InputError,
    LockedError,
    MissingPartError,
    NetworkError,
    OutputError,
    PhotogenicError,
    QueryError,
    QueryMemoryError,
    ResourceError,
    StoreError,
    WeightsError,
)
from photogenic.warehouse.progress import Progress, no_progress
from photogenic.warehouse.storage.layout import Layout

__all__ = [
    "AuditError",
    "ConflictError",
    "Database",
    "EncoderError",
    "InputError",
    "Layout",
    "LockedError",
    "MissingPartError",
    "NetworkError",
    "OutputError",
    "PhotogenicError",
    "Progress",
    "QueryError",
    "QueryMemoryError",
    "ResourceError",
    "Settings",
    "Store",
    "StoreError",
    "WeightsError",
    "default_store",
    "no_progress",
]
