"""Which project folders may run their `features.py` without being named: those that this user made or confirmed.

One small file per folder, in the user's state folder, says so: it holds the real path of the folder and the id of its
project. `features init DIR` writes it. A folder that came with a download or a copy has none, wherever it lies.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from photogenic._lazy import platformdirs
from photogenic.warehouse.errors import StoreError
from photogenic.warehouse.storage.layout import write_atomically

__all__ = ["allow", "is_allowed"]


def is_allowed(folder: Path, project_id: str) -> bool:
    """Whether this user allowed the folder to run its Python.

    Args:
        folder: folder of the project; its links are followed.
        project_id: id of the project that is in it now.
    """
    path = _record(folder)
    try:
        return path is not None and path.is_file() and path.read_bytes() == _content(folder, project_id)
    except OSError:
        return False


def allow(folder: Path, project_id: str) -> None:
    """Remember that the folder may run its Python.

    Raises:
        StoreError: the user's state folder cannot be written, or there is none.
    """
    path = _record(folder)
    if path is None:
        raise StoreError(
            "This user has no state folder.", "an absolute path in HOME or XDG_STATE_HOME", "export HOME=FOLDER"
        )
    if not is_allowed(folder, project_id):
        write_atomically(path, _content(folder, project_id), mode=0o600)


def _record(folder: Path) -> Path | None:
    """Return the file about a folder; None: the state folder is not an absolute path, so anybody could have made it."""
    state: Path = platformdirs.user_state_path("photogenic", appauthor=False)
    if not state.is_absolute():
        return None
    return state / "projects" / f"{hashlib.sha256(os.fsencode(os.path.realpath(folder))).hexdigest()}.json"


def _content(folder: Path, project_id: str) -> bytes:
    return json.dumps({"folder": os.path.realpath(folder), "project_id": project_id}).encode() + b"\n"
