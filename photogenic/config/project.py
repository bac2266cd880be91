"""The project that a command works in: read its definitions, and say whether its `features.py` may run."""

from __future__ import annotations

from collections.abc import Callable

from photogenic.config.values import ConfigFile
from photogenic.warehouse.definitions.project import ProjectDefinitions
from photogenic.warehouse.user_modules import use_project_module

__all__ = ["open_project"]


def open_project(config: ConfigFile, note: Callable[[str], None]) -> ProjectDefinitions | None:
    """Read the project that the settings are of, and use its `features.py` in this process.

    Args:
        config: checked values of `photogenic.toml`.
        note: called if `features.py` would have run and may not.

    Raises:
        InputError: a folder of the project cannot be listed.
    """
    if config.project is None:
        use_project_module(None)
        return None
    from photogenic.warehouse.definitions.folder import read_folder
    from photogenic.warehouse.definitions.trust import is_allowed

    section = config.project
    project = read_folder(
        section.folder,
        section.project_id,
        section.name,
        config.parameters,
        may_run=bool(section.named_by) or is_allowed(section.folder, section.project_id),
    )
    use_project_module(project.code, refusal="" if project.may_run else project.refusal(), note=note)
    return project
