"""The definitions of one project: what its folder holds, as texts that anybody may have written."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["CODE", "FOLDERS", "NAME", "ProjectDefinitions"]

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
"""Form of the name of a relation, of one of its columns, of an audit or of a training set."""

CODE = "features.py"
"""File of a project with Python: picture features, encoders, heads."""


@dataclass(frozen=True, slots=True)
class ProjectDefinitions:
    """The files of a project folder. Nothing in them was run or checked yet.

    Attributes:
        project_id: the id that `features init` gave to the project; a copy of the folder has the same one.
        name: name of the project.
        path: its folder, without links.
        relations: name of each relation -> content of `relations/NAME.sql`.
        audits: name of each audit -> content of `audits/NAME.sql`.
        parameters: relation -> name of a parameter -> its value in `photogenic.toml`.
        examples: relation -> content of `relations/NAME.examples.toml`.
        training_sets: name -> content of `training_sets/NAME.toml`.
        unreadable: file, such as `relations/luck.sql` -> why it cannot be read. It is in none of the others.
        code: path of `features.py`; None: the project has none.
        may_run: whether `features.py` may run here.
    """

    project_id: str
    name: str
    path: Path
    relations: Mapping[str, str] = field(default_factory=dict)
    audits: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    examples: Mapping[str, str] = field(default_factory=dict)
    training_sets: Mapping[str, str] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    code: Path | None = None
    may_run: bool = False

    @property
    def place(self) -> str:
        """The folder as text that DuckDB takes, also where its name is not UTF-8."""
        return str(self.path).encode("utf-8", "backslashreplace").decode()

    def refusal(self) -> str:
        """Return why `features.py` does not run, and how to allow it."""
        return (
            f"{self.path / CODE} does not run: nobody has allowed it on this machine. If you trust it: "
            f"features init {shlex.quote(str(self.path))}"
        )

    def file(self, kind: str, name: str) -> Path:
        """Return the path of a definition, for messages.

        Args:
            kind: relations, audits, examples or training_sets.
            name: its name.
        """
        folder, ending = FOLDERS[kind]
        return self.path / folder / f"{name}{ending}"

    def unreadable_names(self, kind: str) -> dict[str, str]:
        """Return the definitions of a kind whose file cannot be read: name -> why."""
        folder, ending = FOLDERS[kind]
        return {
            file.removeprefix(f"{folder}/").removesuffix(ending): why
            for file, why in self.unreadable.items()
            if file.startswith(f"{folder}/") and file.endswith(ending)
        }


FOLDERS = {
    "relations": ("relations", ".sql"),
    "audits": ("audits", ".sql"),
    "examples": ("relations", ".examples.toml"),
    "training_sets": ("training_sets", ".toml"),
}
"""Kind of definitions -> folder and ending of their files."""
