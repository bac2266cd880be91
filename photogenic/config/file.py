"""Find `photogenic.toml`.

1. The file that is named: `--config FILE`, `FeatureStore(config=FILE)` or `FEATURES_CONFIG`.
2. Else the one in the working folder.
3. Else the one beside the store, in the folder that holds it.

A file that was found and not named is passed over if it belongs to another store: if it has a key `store`, and that is
not the store that the caller names.
"""

from __future__ import annotations

import os
from pathlib import Path

from photogenic.config.values import ConfigFile
from photogenic.warehouse.duckdb_store.settings import default_store

__all__ = ["NAME", "VARIABLE", "load_config", "name_on_command_line", "named_on_command_line"]

NAME = "photogenic.toml"
VARIABLE = "FEATURES_CONFIG"
"""Environment variable that names the file."""


_of_command_line: Path | None = None


def name_on_command_line(path: Path | None) -> None:
    """Set the file that the command line names; None: it names none. It holds for this process."""
    global _of_command_line  # noqa: PLW0603 - commands open their store without it
    _of_command_line = path


def named_on_command_line() -> Path | None:
    """Return the file that the command line names."""
    return _of_command_line


def load_config(path: str | Path | None = None, *, store: str | Path | None = None) -> ConfigFile:
    """Find the file, and check all of it.

    Args:
        path: the file; None: that of the command line, else `$FEATURES_CONFIG`, else the one in the working folder,
            else the one beside the store.
        store: folder of the store; None: `$FEATURES_STORE`, else the one that the file names, else `./store`.

    Raises:
        InputError: the file cannot be read, or something in it is not known or out of range.
    """
    named = path or _of_command_line or os.environ.get(VARIABLE)
    if named:
        return _checked(Path(named))
    given = Path(store) if store is not None else default_store() if os.environ.get("FEATURES_STORE") else None
    seen = set()
    for found in (Path(NAME), (given or default_store()).parent / NAME):
        key = os.path.normpath(found)
        if key in seen or not os.path.lexists(found):
            continue
        seen.add(key)
        config = _checked(found)
        if given is None or config.store is None or os.path.realpath(config.store) == os.path.realpath(given):
            return config
    return ConfigFile()


def _checked(path: Path) -> ConfigFile:
    from photogenic.config.schema import check_file

    return check_file(path)
