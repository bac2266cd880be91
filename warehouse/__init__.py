"""warehouse: what is true about users, photos and swipes?

In: rows that ingest has checked. Out: relations, computed by the files of sql/, audited and then
published as one consistent snapshot. Read next by features (which photos need vectors), models
(labels and splits) and every SQL query.
"""

# Names load on first use, so that a module of this folder does not load the whole database layer.

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

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
        ThresholdError,
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
    "ThresholdError",
    "WeightsError",
    "default_store",
    "no_progress",
]

_HOMES = {
    "Store": "context",
    "Database": "duckdb_store.database",
    "Settings": "duckdb_store.settings",
    "default_store": "duckdb_store.settings",
    "Progress": "progress",
    "no_progress": "progress",
    "Layout": "storage.layout",
}
"""Module of each export that is no error."""


def __getattr__(name: str) -> "Any":
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)


def __dir__() -> "list[str]":
    return sorted({*globals(), *__all__})
