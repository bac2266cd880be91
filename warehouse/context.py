"""The open store, as one value that every function below the facade takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from photogenic.warehouse.definitions.project import ProjectDefinitions
from photogenic.warehouse.duckdb_store.database import Database
from photogenic.warehouse.duckdb_store.settings import Settings, default_store
from photogenic.warehouse.progress import Progress, no_progress
from photogenic.warehouse.storage.layout import Layout

__all__ = ["Store"]


@dataclass(frozen=True, slots=True)
class Store:
    """An open store.

    Attributes:
        database: the DuckDB files of the store.
        progress: callback for progress updates.
        project: definitions of the project that the caller works in; None: it works in none.
    """

    database: Database
    progress: Progress = no_progress
    project: ProjectDefinitions | None = None

    @classmethod
    def open(
        cls,
        path: str | Path | None = None,
        *,
        settings: Settings | None = None,
        progress: Progress = no_progress,
        project: ProjectDefinitions | None = None,
    ) -> Store:
        """Open the store in a folder; nothing is created.

        Args:
            path: folder of the store. Default: `$FEATURES_STORE`, else `./store`.
            settings: limits for memory, threads and lock time. Default: read from the environment.
            progress: callback for progress updates.
            project: definitions of the project that the caller works in.
        """
        layout = Layout(Path(path) if path is not None else default_store())
        return cls(Database(layout, settings or Settings.from_environment()), progress, project)

    @property
    def layout(self) -> Layout:
        """The paths of the files in the store."""
        return self.database.layout

    def reporting_to(self, progress: Progress) -> Store:
        """The same store with another progress callback."""
        return replace(self, progress=progress)
