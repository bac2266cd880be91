"""How the arrays of a trained head are read, by its kind; and where the heads that can be trained are found.

A model on disk names its kind. The registered heads of that kind bring along the function that applies them.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from photogenic.models.heads import entries
from photogenic.warehouse import InputError
from photogenic.warehouse.user_modules import import_user_modules

if TYPE_CHECKING:
    from photogenic.models.data.array_types import Array

__all__ = ["ENSEMBLE", "add_kind", "import_entries", "rule_of"]

Rule: TypeAlias = "Callable[[Mapping[str, Array], Array], Array]"

ENSEMBLE = "ensemble"
"""The kind of a model that is the mean of others, which `models.heads.model` reads itself."""

_RULES: dict[str, Rule] = {}


def add_kind(kind: str, rule: Rule) -> None:
    """Make known how arrays of that kind are read; the first rule of a kind holds."""
    _RULES.setdefault(kind, rule)


def rule_of(kind: str) -> Rule:
    """How arrays of that kind are read.

    Raises:
        InputError: no head of that kind is registered here.
    """
    if kind not in _RULES:
        import_entries()
    if kind not in _RULES:
        import_user_modules()
    if kind not in _RULES:
        raise InputError(
            f"No head of the kind {kind!r} is registered here.",
            "a head of this program, or one that a module in FEATURES_MODULES registers",
            f"set FEATURES_MODULES to the module that registers {kind}",
        )
    return _RULES[kind]


@functools.cache
def import_entries() -> None:
    """Import every module of `models/heads/entries`, each of which registers a head."""
    for module in pkgutil.iter_modules(entries.__path__):
        importlib.import_module(f"{entries.__name__}.{module.name}")
