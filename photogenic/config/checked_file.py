"""The parsed `photogenic.toml`, and the errors about its keys: each names the file and the line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photogenic.warehouse.errors import InputError
from photogenic.warehouse.toml_file import TomlFile, shown

__all__ = ["CheckedFile"]

_ONE_BUILD = {"only", "as_of", "known_at", "publish", "force", "anew", "plan", "replace_project"}
_REMEMBERED = {"engine", "master", "facts"}
_CODE = {"module", "modules", "encoder_modules", "python", "plugins"}
_SECRET = re.compile(r"(^|_)(tokens?|secrets?|passwords?|passwd|api_?keys?|credentials?)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """The parsed file, and the errors about its keys."""

    toml: TomlFile

    def error(self, section: str, key: str, what: str, expected: str, remedy: str, *, number: int = 0) -> InputError:
        return InputError(f"{self.toml.where(section, key, number)}: {what}", expected, remedy)

    def wrong(
        self, section: str, key: str, value: object, expected: str, remedy: str, *, number: int = 0
    ) -> InputError:
        return self.error(section, key, f"{key} is {shown(value)}.", expected, remedy, number=number)

    def table(self, name: str) -> dict[str, Any]:
        found = self.toml.table.get(name, {})
        if not isinstance(found, dict):
            raise self.wrong("", name, found, f"a table: [{name}]", f"write its keys below [{name}]")
        return found

    def refuse_unknown(self, section: str, table: Iterable[str], known: Sequence[str], number: int = 0) -> None:
        """Refuse the first key that is not known, without its value, which may be a secret."""
        for key in table:
            if key in known:
                continue
            place = f"[{section}]" if section else "the file"
            listed = f"one of {', '.join(known)}"
            if _SECRET.search(key):
                what = f"{shown(key)} is a secret, and this file is no place for one."
                raise self.error(
                    section,
                    key,
                    what,
                    "an environment variable, or features login",
                    f"remove {shown(key)}",
                    number=number,
                )
            if key in _CODE:
                what = f"{shown(key)} would run code, which this file may not."
                raise self.error(
                    section, key, what, "the variable FEATURES_MODULES", "export FEATURES_MODULES=MODULE", number=number
                )
            if section == "build" and key in _ONE_BUILD:
                what = f"{key} is the choice of one build."
                raise self.error(section, key, what, listed, f"features build --{key.replace('_', '-')}", number=number)
            if section == "build" and key in _REMEMBERED:
                what = f"{key} is chosen on the command line, and the store keeps the choice of the last build."
                raise self.error(section, key, what, listed, f"features build --{key} ...", number=number)
            near = difflib.get_close_matches(key.replace("-", "_"), known, 1)
            remedy = near[0] if near else "features config"
            raise self.error(section, key, f"{place} has no key {shown(key)}.", listed, remedy, number=number)

    def folder(self, section: str, key: str, value: object, number: int = 0) -> Path:
        """Return a path, which starts from the folder of the file."""
        if not isinstance(value, str) or not value or "\0" in value:
            raise self.wrong(section, key, value, "a path, as text", f'{key} = "folder"', number=number)
        return self.toml.path.parent / value
