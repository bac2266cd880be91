"""The features of a picture by name: those of this program, and those that modules of the user register."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from photogenic import sql
from photogenic.features.pictures.definition import PictureFeature
from photogenic.features.pictures.shipped import SHIPPED
from photogenic.warehouse import InputError
from photogenic.warehouse.user_modules import REGISTERING, how_to_register, import_user_modules, undo_with_project

__all__ = ["BY_DEFAULT", "chosen_features", "own_features", "picture_feature", "register", "without_code"]

BY_DEFAULT = ("photo_quality",)
"""Features of this program that every build computes."""

_OWN: dict[str, PictureFeature] = {}


def register(entry: PictureFeature) -> PictureFeature:
    """Add a feature, so that it is found under its name. A function of the same module replaces its former version.

    Raises:
        InputError: another feature or a relation of the program has that name.
    """
    if entry.name in SHIPPED or entry.name in sql.NAMES:
        raise InputError(
            f"A feature is called {entry.name}, which is a relation of the program.",
            "a name of its own",
            f'name="own_{entry.name}"',
        )
    held = _OWN.get(entry.name)
    if held is not None and _home(held) != _home(entry):
        raise InputError(
            f"Two features are called {entry.name}: one of {_home(held)}, one of {_home(entry)}.",
            "a name of its own for each",
            "rename one of them with name=",
        )
    _OWN[entry.name] = entry
    undo_with_project(lambda: _OWN.pop(entry.name, None))
    return entry


def own_features() -> dict[str, PictureFeature]:
    """The features that the user's modules register, by name."""
    import_user_modules()
    return dict(_OWN)


def picture_feature(name: str) -> PictureFeature:
    """The feature of that name.

    Raises:
        InputError: there is none.
    """
    if name in SHIPPED:
        return SHIPPED[name]
    if name not in _OWN:
        import_user_modules()
    if name in _OWN:
        return _OWN[name]
    known = [*SHIPPED, *_OWN]
    near = difflib.get_close_matches(name, known, 1)
    raise InputError(
        f"There is no feature of a picture called {name[:80]!r}.",
        f"one of {', '.join(known)}, or one that {REGISTERING} registers",
        f"--feature {near[0] if near else BY_DEFAULT[0]}",
    )


def chosen_features(names: Sequence[str] | None, held: Sequence[str]) -> tuple[list[PictureFeature], list[str]]:
    """The features to compute, and the names of those whose code or weights are not there.

    Args:
        names: names that were asked for; None: the usual ones of the program, those of the user, and those of `held`.
        held: names of the features with values in the store.

    Raises:
        InputError: there is no feature of one of the names.
    """
    if names is not None:
        return [picture_feature(name) for name in dict.fromkeys(names)], []
    own = own_features()
    usual = [*BY_DEFAULT, *own, *held]
    here = {name: one for name, one in SHIPPED.items() if one.network is None or one.network.available}
    known = here | own
    return (
        [known[name] for name in dict.fromkeys(usual) if name in known],
        [name for name in held if name not in known],
    )


def without_code(name: str) -> str:
    """Note that the code of a feature is not there, with the setting that brings it."""
    if name in SHIPPED:
        entry = SHIPPED[name].network
        weights = "" if entry is None or entry.backbone.weights is None else entry.backbone.weights.name
        return f"The values of {name} were left as they are, because its weights are not on this machine: {weights}."
    return (
        f"The values of {name} were left as they are, because its code is not here. To compute them: "
        f"{how_to_register(name)}."
    )


def _home(entry: PictureFeature) -> str:
    return entry.home or "this program"
