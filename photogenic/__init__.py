"""photogenic: a feature store for photo popularity with a SQL analytics backend.

`from photogenic import FeatureStore` is the documented import; every verb of the command line is a method of it.
Names load on first use, so that `import photogenic` is fast and sub-packages do not load the facade.
"""

# Nothing is imported here: app/__init__.py, which is imported later, moves the folders of $PYTHONPATH to the end.

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from photogenic.features.pictures.decorator import feature
    from photogenic.store import FeatureStore
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
        ResourceError,
        StoreError,
        ThresholdError,
        WeightsError,
    )

    __version__: str

__all__ = [
    "AuditError",
    "ConflictError",
    "EncoderError",
    "FeatureStore",
    "InputError",
    "LockedError",
    "MissingPartError",
    "NetworkError",
    "OutputError",
    "PhotogenicError",
    "QueryError",
    "ResourceError",
    "StoreError",
    "ThresholdError",
    "WeightsError",
    "__version__",
    "feature",
]


def __getattr__(name: str) -> "Any":
    if name == "__version__":
        from importlib.metadata import version

        return version("photogenic")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    homes = {"FeatureStore": "photogenic.store", "feature": "photogenic.features.pictures.decorator"}
    return getattr(importlib.import_module(homes.get(name, "photogenic.warehouse.errors")), name)


def __dir__() -> "list[str]":
    return sorted({*globals(), *__all__})
