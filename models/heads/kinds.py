"""Formats of trained heads: each kind has a rule that applies its arrays. Also imports the registered heads.

A model on disk names its kind. The registered heads of that kind supply the function that applies it.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from photogenic.models.heads import entries
from photogenic.warehouse import InputError
from photogenic.warehouse.user_modules import REGISTERING, how_to_register, import_user_modules, undo_with_project

if TYPE_CHECKING:
    from photogenic.models.data.array_types import Array

__all__ = ["ENSEMBLE", "add_kind", "import_entries", "rule_of"]

Rule: TypeAlias = "Callable[[Mapping[str, Array], Array], Array]"

ENSEMBLE = "ensemble"
"""Kind of a model that is the mean of others; `models.heads.model` applies it."""

_RULES: dict[str, Rule] = {}


def add_kind(kind: str, rule: Rule) -> None:
    """Register the rule of a kind; the first rule of a kind is used."""
    if kind not in _RULES:
        undo_with_project(lambda: _RULES.pop(kind, None))
    _RULES.setdefault(kind, rule)


def rule_of(kind: str) -> Rule:
    """Return the rule of a kind.

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
            f"a head of this program, or one that {REGISTERING} registers",
            how_to_register(kind),
        )
    return _RULES[kind]


@functools.cache
def import_entries() -> None:
    """Import every module of `models/heads/entries`; each registers a head."""
    for module in pkgutil.iter_modules(entries.__path__):
        importlib.import_module(f"{entries.__name__}.{module.name}")
