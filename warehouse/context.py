"""The open store, as one value that every function below the facade takes."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from photogenic.warehouse.definitions.project import ProjectDefinitions
from photogenic.warehouse.duckdb_store.database import Database
from photogenic.warehouse.duckdb_store.settings import Settings, default_store
from photogenic.warehouse.errors import InputError
from photogenic.warehouse.filesystems.addresses import printable_address
from photogenic.warehouse.progress import Progress, no_progress
from photogenic.warehouse.storage.layout import Layout

__all__ = ["Store"]

_ADDRESS = re.compile(r"(?:s3|s3a|gs|gcs|az|abfs|abfss|hdfs|https?):/", re.IGNORECASE)
"""Beginning of an address of another machine; a path has one slash where an address has two."""


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

        Raises:
            InputError: the path is an address of an object store.
        """
        root = Path(path) if path is not None else default_store()
        if _ADDRESS.match(str(root)):
            raise InputError(
                f"The store cannot be in an object store: {printable_address(str(path or root))}.",
                "a folder on a disk of this machine: DuckDB changes blocks in place, under locks",
                "features backup s3://BUCKET/FOLDER, which copies the store there",
            )
        layout = Layout(root)
        return cls(Database(layout, settings or Settings.from_environment()), progress, project)

    @property
    def layout(self) -> Layout:
        """The paths of the files in the store."""
        return self.database.layout

    def reporting_to(self, progress: Progress) -> Store:
        """The same store with another progress callback."""
        return replace(self, progress=progress)
