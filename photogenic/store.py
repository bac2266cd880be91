"""One store, for programs: what `features` does on the command line, under the same names.

with FeatureStore("store") as store:
    store.ingest_users("users.csv")
    store.ingest_photos("photos.csv", images="images")
    store.ingest_swipes("swipes-*.parquet")
    store.build()
    store.similar("photo-17", k=10, popular=True)
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from photogenic.warehouse import Database, Layout, Progress, Settings, Store, default_store, no_progress
from photogenic.warehouse.duckdb_store.history import History, RecordingProgress
from photogenic.warehouse.duckdb_store.live_status import report_live_status
from photogenic.warehouse.processes.threads import limit_library_threads

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from photogenic.features.build import BuildReport, Part
    from photogenic.features.faces.detector import FaceSettings
    from photogenic.features.plan import BuildPlan
    from photogenic.features.previous_build import Engine
    from photogenic.features.search.searcher import Searcher
    from photogenic.features.vectors.training_set import Setup, Source, Split, Target, TrainingSet
    from photogenic.ingest.tabular.report import Account
    from photogenic.maintenance.backup.backup import BackupReport
    from photogenic.maintenance.backup.restore import RestoreReport
    from photogenic.maintenance.doctor.checks import Finding
    from photogenic.maintenance.erase.journal import Receipt
    from photogenic.warehouse.labels.options import LabelOptions
    from photogenic.warehouse.spark.export import Exported

__all__ = ["FeatureStore"]

Kind = Literal["users", "photos", "main_photos", "swipes"]


class FeatureStore:
    """A store on disk. Opening it creates nothing; the first ingest does.

    Args:
        path: its folder; None: `$FEATURES_STORE`, else `./store`.
        settings: limits of memory, threads and patience; None: from the environment.
        progress: hears of everything that takes long.
    """

    def __init__(
        self, path: str | Path | None = None, *, settings: Settings | None = None, progress: Progress = no_progress
    ) -> None:
        self.layout = Layout(Path(path) if path is not None else default_store())
        settings = settings or Settings.from_environment()
        limit_library_threads(settings.threads)
        self.database = Database(self.layout, settings)
        self.progress = (
            progress if isinstance(progress, RecordingProgress) else RecordingProgress(progress, History("python"))
        )
        self.database.history = self.progress.history
        self._searcher: Searcher | None = None

    def __enter__(self) -> FeatureStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"FeatureStore({str(self.layout.root)!r})"

    def close(self) -> None:
        """Let go of what search kept open."""
        if self._searcher is not None:
            self._searcher.close()
            self._searcher = None

    def ingest_users(self, *files: str | Path, mapping: Mapping[str, str] | None = None) -> list[Account]:
        """Take in users: user_id, gender, followers, created_at. Returns one account per file.

        Args:
            files: CSV, Parquet or NDJSON, also compressed; globs; pipes; `-` is stdin.
            mapping: our column name -> theirs.

        Raises:
            InputError: a file that is missing or cannot be read; nothing of it is kept.
        """
        return self._ingest("users", files, mapping)

    def ingest_photos(
        self, *files: str | Path, mapping: Mapping[str, str] | None = None, images: str | Path | None = None
    ) -> list[Account]:
        """Take in photos: photo_id, user_id, path, url, posted_at, likes, hashtags, set_at. See `ingest_users`.

        Args:
            files: as for users.
            mapping: as for users.
            images: the root of relative paths; the pictures are copied into the store.
        """
        return self._ingest("photos", files, mapping, Path(images) if images is not None else None)

    def ingest_main_photos(self, *files: str | Path, mapping: Mapping[str, str] | None = None) -> list[Account]:
        """Take in changes of main photos: user_id, photo_id, set_at. See `ingest_users`."""
        return self._ingest("main_photos", files, mapping)

    def ingest_swipes(self, *files: str | Path, mapping: Mapping[str, str] | None = None) -> list[Account]:
        """Take in swipes: sender_id, recipient_id, liked, swiped_at. See `ingest_users`."""
        return self._ingest("swipes", files, mapping)

    def build(
        self,
        *,
        encoders: Sequence[str] | None = None,
        only: Part | None = None,
        as_of: dt.datetime | None = None,
        options: LabelOptions | None = None,
        faces: FaceSettings | None = None,
        flip: bool = False,
        dtype: Literal["float32", "float16"] | None = None,
        recall: float = 0.99,
        memory: int | None = None,
        neighbours: int | None = None,
        near_duplicates: bool = False,
        anew: bool = False,
        engine: Engine | None = None,
        master: str | None = None,
        facts: str | None = None,
    ) -> BuildReport:
        """Bring labels, faces, embeddings and indices up to date. See `features.build.build`."""
        given = {name: value for name, value in locals().items() if name != "self"}
        from photogenic.features.build import build

        with report_live_status(self.layout, self.progress) as progress:
            return build(self.database, self.layout, **given, progress=progress)

    def plan(
        self,
        *,
        encoders: Sequence[str] | None = None,
        only: Part | None = None,
        as_of: dt.datetime | None = None,
        options: LabelOptions | None = None,
        faces: FaceSettings | None = None,
        flip: bool = False,
        dtype: Literal["float32", "float16"] | None = None,
        recall: float = 0.99,
        memory: int | None = None,
        neighbours: int | None = None,
        near_duplicates: bool = False,
        anew: bool = False,
        engine: Engine | None = None,
        master: str | None = None,
        facts: str | None = None,
    ) -> BuildPlan:
        """What `build` with the same arguments would do. See `features.plan.plan`."""
        given = {name: value for name, value in locals().items() if name != "self"}
        from photogenic.features.plan import plan

        return plan(self.database, self.layout, **given, progress=self.progress)

    def export(self, uri: str) -> list[Exported]:
        """Write the facts as partitioned Parquet, from which Spark can compute labels."""
        from photogenic.warehouse.spark.export import export

        return export(self._store, uri)

    def erase(self, user_ids: Sequence[str] = ()) -> list[Receipt]:
        """Remove people from everything, and finish an erase that was cut off. See `maintenance.erase.erase.erase`."""
        from photogenic.maintenance.erase.erase import erase

        with report_live_status(self.layout, self.progress) as progress:
            return erase(self._store.reporting_to(progress), user_ids)

    def backup(self, folder: str | Path, *, thorough: bool = False) -> BackupReport:
        """Copy the store into a folder while it is in use. See `maintenance.backup.backup.backup`."""
        from photogenic.maintenance.backup.backup import backup

        return backup(self._store, folder, thorough=thorough)

    def restore(
        self, folder: str | Path, *, replace: bool = False, tombstones: str | Path | None = None
    ) -> RestoreReport:
        """Become the store that a backup holds. See `maintenance.backup.restore.restore`."""
        from photogenic.maintenance.backup.restore import restore

        self.close()
        return restore(self._store, folder, replace=replace, tombstones=tombstones)

    def doctor(self, *, thorough: bool = False, fix: bool = False) -> list[Finding]:
        """What is wrong with this machine or store, and what helps. See `maintenance.doctor.checks.examine`."""
        from photogenic.maintenance.doctor.checks import examine

        return examine(self._store, thorough=thorough, fix=fix)

    def sql(self, query: str, *, limit: int | None = None) -> pl.DataFrame:
        """The answer to one SELECT on the published snapshot.

        Raises:
            QueryError: DuckDB refused the query.
            StoreError: there is no store.
        """
        from photogenic.warehouse.duckdb_store.query import sql

        return sql(self.database, query, limit=limit)

    def embeddings(
        self, encoder: str, photo_ids: Sequence[str] | None = None, *, flip: bool = False
    ) -> tuple[list[str], NDArray[np.float32]]:
        """Photo ids and vectors float32 (n, d): all, sorted by id, or those asked for, in the order asked.

        Raises:
            StoreError: there are no such vectors; an id has none.
        """
        from photogenic.features.vectors.reader import read

        return read(self.layout, encoder, photo_ids, flip)

    def training_set(
        self,
        target: Target,
        *,
        encoder: str | Sequence[str],
        setup: Setup = "all",
        split: Split | None = None,
        source: Source | None = None,
        flip: bool = False,
    ) -> TrainingSet:
        """Vectors, labels and weights of the same photos. See `features.vectors.training_set.training_set`."""
        from photogenic.features.vectors.training_set import training_set

        return training_set(self._store, target, encoder=encoder, setup=setup, split=split, source=source, flip=flip)

    def similar(
        self,
        query: str | Path | NDArray[np.float32],
        *,
        k: int = 10,
        encoder: str | None = None,
        where: str | None = None,
        popular: bool = False,
        as_of: dt.datetime | None = None,
        exact: bool | None = None,
    ) -> pl.DataFrame:
        """The k photos most similar to a photo, a file or a vector. See `features.search.searcher.Searcher.similar`."""
        return self.searcher.similar(
            query, k=k, encoder=encoder, where=where, popular=popular, as_of=as_of, exact=exact
        )

    @property
    def _store(self) -> Store:
        return Store(self.database, self.progress)

    @property
    def searcher(self) -> Searcher:
        """The search of this store, which keeps what it read between questions."""
        from photogenic.features.search.searcher import Searcher

        if self._searcher is None:
            self._searcher = Searcher(self._store)
        return self._searcher

    def status(self) -> dict[str, Any]:
        """Counts, rejects, freshness, and who writes. See `features.status.status`."""
        from photogenic.features.status import status

        return status(self._store)

    def _ingest(
        self,
        kind: Kind,
        files: Sequence[str | Path],
        mapping: Mapping[str, str] | None,
        images: Path | None = None,
    ) -> list[Account]:
        from photogenic.ingest.tabular.load import ingest

        with report_live_status(self.layout, self.progress) as progress:
            return ingest(self._store.reporting_to(progress), kind, files, mapping=mapping or {}, images=images)
