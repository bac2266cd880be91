"""Modules of the user's own, which register encoders and heads.

They are named in `FEATURES_MODULES`, separated by commas, and imported when a name is looked up that the program does
not know, or when all names are listed. `FEATURES_ENCODERS`, the older name of the setting, is read as well.
"""

from __future__ import annotations

import importlib
import os

from photogenic.warehouse.errors import InputError, PhotogenicError

__all__ = ["VARIABLES", "import_user_modules", "user_modules"]

VARIABLES = ("FEATURES_MODULES", "FEATURES_ENCODERS")
"""Environment variables that name modules."""


def user_modules() -> list[tuple[str, str]]:
    """(variable, module) of every module that is named, each module once."""
    found: dict[str, str] = {}
    for variable in VARIABLES:
        for module in filter(None, os.environ.get(variable, "").split(",")):
            found.setdefault(module.strip(), variable)
    return [(variable, module) for module, variable in found.items()]


def import_user_modules(error: type[PhotogenicError] = InputError) -> None:
    """Import them; a module that was imported before is not run again.

    Args:
        error: class of the error to raise; a lookup of an encoder passes `EncoderError`.

    Raises:
        PhotogenicError: of the class `error`: a module, or one that it imports, is not there.
    """
    for variable, module in user_modules():
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as missing:
            raise error(
                f"{variable} names {module!r}: {missing}.",
                "a module on PYTHONPATH that registers encoders or heads",
                f"python -c 'import {module}'",
            ) from missing
