"""Command lines of child Python processes that do not import modules of the working folder by mistake.

`python -m` and `python -c` search the working folder first, and then $PYTHONPATH: a user's `random.py`, `sql.py` or
`app.py` would be imported in place of a module of the standard library or of this program. A child searches

    1. the standard library, 2. the folder of this program, 3. the folders of installed packages,
    4. further folders of the parent process: all of them for children that load modules of the user
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

__all__ = ["HOME", "append_module_folders", "child_environment", "module_folders", "python_command"]

HOME = str(Path(os.path.abspath(__file__)).parents[3])  # noqa: PTH100 - a checkout's links are not followed
"""The folder that holds the package `photogenic`."""

_PACKAGES = ("site-packages", "dist-packages")

_START = f"""\
import sys
home, further, module = sys.argv[1:4]
del sys.argv[1:4]
places = [at for at, folder in enumerate(sys.path) if folder.endswith({_PACKAGES})]
sys.path.insert(places[0] if places else len(sys.path), home)
further = [folder for folder in further.split({os.pathsep!r}) if folder and folder not in sys.path]
if further:
    from photogenic.warehouse.processes.launch import append_module_folders
    append_module_folders(further)
module, _, function = module.partition(':')
if function:
    import importlib
    getattr(importlib.import_module(module), function)()
else:
    import runpy
    runpy.run_module(module, run_name='__main__', alter_sys=True)
"""


class _LastFinder:
    """Finder for modules in `folders` that no other finder has; it skips names of the standard library.

    Folders at the end of `sys.path` are not enough: a module there takes precedence over a namespace package (PEP 420),
    and replaces modules of the standard library that this system lacks.
    """

    def __init__(self, folders: Sequence[str]) -> None:
        self.folders = list(folders)

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002
        if path is not None or name in sys.stdlib_module_names:
            return None
        return PathFinder.find_spec(name, self.folders)


def append_module_folders(folders: Sequence[str]) -> None:
    """Search these folders for modules too, after all other places."""
    sys.meta_path.append(_LastFinder(folders))


def python_command(module: str, *arguments: str, of_user: bool = False) -> list[str]:
    """Return the command line of a child that runs `module`. Start it with `child_environment()`.

    Args:
        module: module of this program or of an installed package to run as `__main__`, or `MODULE:FUNCTION`.
        arguments: its `sys.argv[1:]`.
        of_user: whether it also finds modules of the user, after all others.
    """
    further = module_folders() if of_user else _packages()
    return [sys.executable, "-P", "-s", "-c", _START, HOME, os.pathsep.join(further), module, *arguments]


def child_environment(**more: str) -> dict[str, str]:
    """Return the environment of this process without $PYTHONPATH, which precedes the standard library."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | more


def module_folders() -> list[str]:
    """Return every folder in which this process searches for modules, as absolute paths."""
    further = [folder for finder in sys.meta_path if isinstance(finder, _LastFinder) for folder in finder.folders]
    return [str(Path(folder).absolute()) for folder in [*sys.path, *further]]


def _packages() -> list[str]:
    """Return folders of installed packages that a child may not know: the user's site, those in $PYTHONPATH."""
    engine = getattr(sys.modules.get("duckdb"), "__file__", None)
    where = [str(Path(engine).parents[1])] if engine else []
    return [folder for folder in sys.path if folder.endswith(_PACKAGES)] + where
