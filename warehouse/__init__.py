"""warehouse: what is true about users, photos and swipes?

In: rows that ingest has checked. Out: relations, computed by the files of sql/, audited and then
published as one consistent snapshot. Read next by features (which photos need vectors), models
(labels and splits) and everybody who asks in SQL.
"""

from warehouse.database import Database
from warehouse.errors import (
    AuditError,
    EncoderError,
    InputError,
    LockedError,
    MissingPartError,
    NetworkError,
    OutputError,
    PhotogenicError,
    QueryError,
    ResourceError,
    StoreError,
    WeightsError,
)
from warehouse.layout import Layout
from warehouse.progress import Progress, silent
from warehouse.settings import Settings, default_store

__all__ = [
    "AuditError",
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
    "ResourceError",
    "Settings",
    "StoreError",
    "WeightsError",
    "default_store",
    "silent",
]
