"""Encoders: networks that turn photos into vectors, where their weights come from, and how they run.

    from photogenic.features.encoders import Backbone, Encoder, register

The names below are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from photogenic.features.encoders.base import Backbone, Encoder, InputSpec
    from photogenic.features.encoders.registry import encoder, encoders, register
    from photogenic.features.encoders.weight_files import Weights

__all__ = ["Backbone", "Encoder", "InputSpec", "Weights", "encoder", "encoders", "register"]

_MODULES = {"Backbone": "base", "Encoder": "base", "InputSpec": "base", "Weights": "weight_files"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES.get(name, 'registry')}"), name)
