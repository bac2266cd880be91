"""Registry of heads: those of `models/heads/entries`, and those that the user's modules register.

head("ridge")                the head of that name or alias
@register_head("median")     register a head; see models/heads/base.py
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from photogenic.models.heads.base import Head
from photogenic.models.heads.kinds import ENSEMBLE, add_kind, import_entries
from photogenic.warehouse import InputError
from photogenic.warehouse.user_modules import REGISTERING, import_user_modules, undo_with_project

__all__ = ["head", "head_names", "heads", "help_line", "in_group", "register_head"]

_HEADS: dict[str, Head] = {}
"""Registered heads by name; `register_head` adds to it."""

_NAME = re.compile(r"\w[\w-]{0,59}", re.ASCII)

Kind = TypeVar("Kind", bound=type[Head])


def register_head(name: str) -> Callable[[Kind], Kind]:
    """Register a class of heads under a name.

    Raises:
        InputError: the name or an alias belongs to another head, or cannot be a file name.
    """

    def register(kind: Kind) -> Kind:
        kind.name = name
        kind.kind = kind.kind or name
        for taken in (name, *kind.aliases):
            if not _NAME.fullmatch(taken):
                raise InputError(f"{taken!r} cannot be the name of a head.", "letters, digits, _ and -", "rename it")
            other = next((one for one in _HEADS.values() if taken in (one.name, *one.aliases)), None)
            if other is not None and type(other) is not kind:
                raise InputError(f"There is a head {taken!r} already.", "another name", "rename your head")
        if name not in _HEADS:
            undo_with_project(lambda: _HEADS.pop(name, None))
        made = _HEADS.setdefault(name, kind())
        if kind.kind != ENSEMBLE:
            add_kind(kind.kind, made.apply)
        return kind

    return register


def head(name: str) -> Head:
    """Return the head of that name or alias.

    Raises:
        InputError: no head of that name is registered.
    """
    found = _named(name)
    if found is None:
        # Imported only now, so that an invalid FEATURES_MODULES does not prevent the use of the built-in heads.
        import_user_modules()
        found = _named(name)
    if found is None:
        names = head_names()
        raise InputError(
            f"{name!r} is not a head.",
            f"one of {', '.join(names)}, or one that {REGISTERING} registers",
            f"--head {names[0]}",
        )
    return found


def heads() -> list[Head]:
    """Return all registered heads, in the order of lists."""
    import_entries()
    return sorted(_HEADS.values(), key=lambda one: (one.place, one.name))


def head_names() -> list[str]:
    """Return the names of all registered heads, in the order of lists."""
    return [one.name for one in heads()]


def in_group(group: str) -> list[str]:
    """Return the names of the heads that are fitted together."""
    return [one.name for one in heads() if one.group == group]


def help_line() -> str:
    """Return the help of `--head`: heads with the same summary together, aliases after their names."""
    lines: dict[str, list[str]] = {}
    for one in heads():
        lines.setdefault(one.summary, []).append(" or ".join((one.name, *one.aliases)))
    return "; ".join(f"{', '.join(names)}: {summary}" for summary, names in lines.items())


def _named(name: str) -> Head | None:
    import_entries()
    return next((one for one in _HEADS.values() if name in (one.name, *one.aliases)), None)
