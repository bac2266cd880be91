"""The checked values of `photogenic.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from photogenic.ingest.tabular.mapping_file import FileMapping
    from photogenic.warehouse.toml_file import TomlFile

__all__ = ["ConfigFile", "FileSource", "ProjectSection"]


@dataclass(frozen=True, slots=True)
class FileSource:
    """One entry of `[[sources]]`.

    Attributes:
        kind: kind of the rows: users, photos, main_photos or swipes.
        files: files, globs and addresses; relative paths start from the folder of the file.
        mapping: name of the mapping of its columns; None: the one that is called like the kind, if there is one.
        images: for photos: folder that paths of pictures start from; None: the folder of each file.
        name: name, which no other source has; that of its position in the store.
        only_new: whether it was named by `from`, so that only `features sync` reads it.
        query: for a database: the query whose rows are read.
        watermark: column of the query's result that grows with each change of a row.
        lookback: how far below the newest watermark a sync begins, as a text or a number; None: the default.
        retract: whether every row takes back what it names.
    """

    kind: str
    files: tuple[str, ...]
    mapping: str | None = None
    images: Path | str | None = None
    name: str = ""
    only_new: bool = False
    query: str | None = None
    watermark: str | None = None
    lookback: str | int | None = None
    retract: bool = False


@dataclass(frozen=True, slots=True)
class ProjectSection:
    """The section `[project]`, which makes the folder of the file a project.

    Attributes:
        project_id: its id.
        name: its name.
        folder: folder of the file.
        named_by: what named the folder: `--project`, `FEATURES_PROJECT` or `project=`; empty: it was found.
    """

    project_id: str
    name: str
    folder: Path
    named_by: str = ""


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """Checked values of `photogenic.toml`; empty if there is no such file.

    Attributes:
        path: path of the file; None: there is none.
        store: folder of the store; None: the file names none.
        settings: memory_limit, threads, lock_timeout, relation_timeout, encoder.
        build: fields of `BuildOptions`.
        faces: fields of `FaceSettings`.
        labels: fields of `LabelOptions`.
        checks: max_refused, least_rows, max_age.
        mappings: how columns and values are read, by name of the mapping and kind of the rows.
        sources: files to ingest.
        project: the project whose settings these are; None: the file has no section `[project]`.
        parameters: values of parameters of own relations: relation -> parameter -> value.
        toml: the parsed file, for the lines of keys.
    """

    path: Path | None = None
    store: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    build: Mapping[str, Any] = field(default_factory=dict)
    faces: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, Any] = field(default_factory=dict)
    checks: Mapping[str, Any] = field(default_factory=dict)
    mappings: Mapping[tuple[str, str], FileMapping] = field(default_factory=dict)
    sources: tuple[FileSource, ...] = ()
    project: ProjectSection | None = None
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    toml: TomlFile | None = None

    def mapping(self, kind: str, name: str | None = None) -> FileMapping:
        """Return how a kind of rows is read: by the mapping of that name, else by the one called like the kind."""
        from photogenic.ingest.tabular.mapping_file import FileMapping

        return self.mappings.get((name or kind, kind)) or FileMapping()

    def check_of(self, name: str, given: Any) -> Any:
        """Return a limit of a night: the one that is given, else that of `[checks]`, else None, which is no limit."""
        return self.checks.get(name) if given is None else given

    def sources_of(self, kind: str) -> tuple[FileSource, ...]:
        """Return the sources of one kind of rows."""
        return tuple(source for source in self.sources if source.kind == kind)
