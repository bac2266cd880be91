"""`FeatureStore`: the verbs of the command line as methods of one object.

with FeatureStore("store") as store:
    store.ingest_users("users.csv")
    store.ingest_photos("photos.csv", images="images")
    store.ingest_swipes("swipes-*.parquet")  # a path, glob or frame; an Arrow reader; an address
    store.build()
    store.similar("photo-17", k=10, popular=True)

Each method imports the modules that it needs when it is called, so that a store opens quickly.
"""

from __future__ import annotations

import datetime as dt
import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from photogenic._encoders import Encoders
from photogenic._export import Exports
from photogenic._lazy import pl
from photogenic._runs import Runs
from photogenic._similar import Similar
from photogenic.config.file import load_config
from photogenic.config.project import open_project
from photogenic.features.vector_sql.extension import VectorSql
from photogenic.warehouse import Database, Layout, Progress, Settings, Store, no_progress
from photogenic.warehouse.duckdb_store.history import History, RecordingProgress
from photogenic.warehouse.errors import ConflictError
from photogenic.warehouse.processes.threads import limit_library_threads

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from photogenic.config.new_project import ProjectMade
    from photogenic.features.build import BuildReport
    from photogenic.features.build_options import BuildArguments, BuildOptions
    from photogenic.features.checks import Check
    from photogenic.features.plan import BuildPlan
    from photogenic.features.vectors.training_set import Setup, Source, Split, TrainingSet
    from photogenic.maintenance.backup.backup import BackupReport
    from photogenic.maintenance.backup.restore import RestoreReport
    from photogenic.maintenance.doctor.checks import Finding
    from photogenic.maintenance.erase.journal import Receipt
    from photogenic.models.crop import Cropped
    from photogenic.models.evaluation.leaderboard import Leaderboard
    from photogenic.models.options import FinetuneArguments, FinetuneOptions, TrainArguments, TrainOptions
    from photogenic.models.predict import Scored
    from photogenic.warehouse.definitions.examples.run import ExampleResult
    from photogenic.warehouse.labels.last_build import LabelChange
    from photogenic.warehouse.labels.past import Past
    from photogenic.warehouse.lineage import Lineage
    from photogenic.warehouse.moment import Instant

__all__ = ["FeatureStore"]


class FeatureStore(Exports, Runs, Encoders, Similar):
    """A store on disk. Opening it creates no files; the first ingest does.

    Args:
        path: folder of the store; None: `$FEATURES_STORE`, else that of `photogenic.toml`, else `./store`.
        config: the file `photogenic.toml`; None: `$FEATURES_CONFIG`, else the file in the working folder, else that of
            a project above it, else the one beside the store.
        project: folder of the project; None: `$FEATURES_PROJECT`, else the folder of `photogenic.toml` if the file has
            a section `[project]`. Naming a folder allows its `features.py` to run. In one process the project that was
            opened last supplies heads, encoders and picture features.
        settings: limits of memory, threads and lock time; None: from the environment, else from the file.
        progress: callback for progress updates; None: bars in a notebook, else nothing.

    Attributes:
        store: open store, the argument of the functions that the methods call.
        config_file: checked values of `photogenic.toml`; empty if there is none.

    Raises:
        InputError: `photogenic.toml` or an environment variable has something unknown or out of range.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        config: str | Path | None = None,
        project: str | Path | None = None,
        settings: Settings | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.config_file = load_config(config, store=path, project=project)
        path = path if path is not None or os.environ.get("FEATURES_STORE") else self.config_file.store
        settings = settings or Settings.from_environment(self.config_file.settings)
        limit_library_threads(settings.threads)
        if progress is None:
            from photogenic.notebook.progress import notebook_progress

            progress = notebook_progress() or no_progress
        self._is_silent = progress is no_progress
        remembering = (
            progress if isinstance(progress, RecordingProgress) else RecordingProgress(progress, History("python"))
        )
        definitions = open_project(self.config_file, warnings.warn if self._is_silent else remembering.note)
        self.store = Store.open(path, settings=settings, progress=remembering, project=definitions)
        self.store.database.history = remembering.history
        self._vectors = self.store.database.extension = VectorSql(self.store)
        self._past: Past | None = None

    @staticmethod
    def init_project(folder: str | Path, *, store: str | Path | None = None) -> ProjectMade:
        """Make a folder a project; a project that is there gets what it lacks, and its Python may run.

        See `config.new_project.init_project`.
        """
        from photogenic.config.new_project import init_project

        return init_project(folder, store=store)

    def __repr__(self) -> str:
        return f"FeatureStore({str(self.layout.root)!r})"

    def close(self) -> None:
        """Close the files that searches keep open."""
        self._vectors.close()
        if self._past is not None:
            self._past.close()
            self._past = None
        self.database.close()

    @property
    def database(self) -> Database:
        """The DuckDB files of the store."""
        return self.store.database

    @property
    def layout(self) -> Layout:
        """Paths of the files of the store."""
        return self.store.layout

    @property
    def progress(self) -> Progress:
        """Callback for progress updates."""
        return self.store.progress

    def build(self, options: BuildOptions | None = None, /, **changes: Unpack[BuildArguments]) -> BuildReport:
        """Bring labels, faces, embeddings and indices up to date; only missing or outdated results are computed.

        Args:
            options: options of the build; None: those of `photogenic.toml`, else the defaults. Label options that
                are not given are those of the last build.
            changes: fields of `options` to replace. See `features.build_options.BuildOptions`.

        Raises:
            PhotogenicError: see `features.build.build`.
        """
        from photogenic.config.build import build_options
        from photogenic.features.build import build

        chosen = build_options(self.config_file, options, changes)
        with self._working() as store:
            return build(store, chosen)

    def plan(self, options: BuildOptions | None = None, /, **changes: Unpack[BuildArguments]) -> BuildPlan:
        """Plan `build` with the same arguments: its work and its cost. See `features.plan.plan`."""
        from photogenic.config.build import build_options
        from photogenic.features.plan import plan

        return plan(self.store, build_options(self.config_file, options, changes))

    def label_change(
        self, options: BuildOptions | None = None, /, **changes: Unpack[BuildArguments]
    ) -> LabelChange | None:
        """Return what `build` with the same arguments would change in the label options, and its effect on the labels.

        None: the labels keep their options, or there are no labels. See `features.plan.plan_label_change`.
        """
        from photogenic.config.build import build_options
        from photogenic.features.plan import plan_label_change

        return plan_label_change(self.store, build_options(self.config_file, options, changes))

    def lineage(self, name: str, *, up: bool = False, down: bool = False, depth: int | None = None) -> Lineage:
        """Return what a relation or column is made from, and what is made from it. See `features.lineage.lineage`."""
        from photogenic.features.lineage import lineage

        return lineage(self.store, name, up=up, down=down, depth=depth)

    def embeddings(
        self, encoder: str, photo_ids: Sequence[str] | None = None, *, flip: bool = False
    ) -> tuple[list[str], NDArray[np.float32]]:
        """Return photo ids and vectors, float32 (n, d): all, sorted by id, or those of `photo_ids`, in their order.

        Deleted photos are left out.

        Raises:
            StoreError: the encoder has no vectors, or none for one of the ids.
        """
        from photogenic.features.vectors.reader import read_living

        return read_living(self.database, encoder, photo_ids, flip)

    def training_set(
        self,
        target: str,
        *,
        encoder: str | Sequence[str],
        setup: Setup = "all",
        split: Split | None = None,
        source: Source | None = None,
        flip: bool = False,
        weight: str | None = None,
        as_of: Instant | None = None,
        known_at: Instant | None = None,
    ) -> TrainingSet:
        """Return vectors, labels and weights of the same photos, also as of another moment.

        See `features.vectors.training_set.training_set` and, for the moment, `sql`. As for `train`, `target` and
        `weight` may be columns of relations, `relation.column`.
        """
        from photogenic.features.vectors.training_set import training_set
        from photogenic.models.data.samples import labels_by_name

        store = self.at(as_of, known_at)
        rows = labels_by_name(store.database, target, setup, weight)
        return training_set(
            store, target, encoder=encoder, setup=setup, split=split, source=source, flip=flip, rows=rows
        )

    def train(self, options: TrainOptions | None = None, /, **changes: Unpack[TrainArguments]) -> Leaderboard:
        """Train the heads that are not trained yet, and compare them.

        Args:
            options: options of the training; None: the defaults.
            changes: fields of `options` to replace. See `models.options.TrainOptions`.

        Raises:
            PhotogenicError: see `models.train.train`.
        """
        from photogenic.models.options import TrainOptions
        from photogenic.models.train import train

        options = replace(options or TrainOptions(), **changes)
        with self._working() as store:
            return train(store, options)

    def finetune(self, options: FinetuneOptions | None = None, /, **changes: Unpack[FinetuneArguments]) -> Leaderboard:
        """Fine-tune a network on the photos; it is an encoder afterwards.

        Args:
            options: options of the fine-tuning; None: the defaults.
            changes: fields of `options` to replace. See `models.options.FinetuneOptions`.

        Raises:
            PhotogenicError: see `models.finetune.finetune.finetune`.
        """
        from photogenic.models.finetune.finetune import finetune
        from photogenic.models.options import FinetuneOptions

        options = replace(options or FinetuneOptions(), **changes)
        with self._working() as store:
            return finetune(store, options)

    def predict(
        self,
        files: str | Path | Sequence[str | Path] | None = None,
        *,
        run: str | None = None,
        target: str | None = None,
        sender: str | None = None,
        keep: bool = False,
        device: str | None = None,
    ) -> list[Scored]:
        """Predict for pictures with a trained head; None: the photos of the store. See `models.predict.predict`.

        `run` is the id, the name or the beginning of the id of a run; None: the promoted run, else the best on dev.

        Raises:
            ConflictError: both a run and a target are given.
        """
        from photogenic.models.predict import predict

        files = [files] if isinstance(files, str | Path) else files
        if run is not None and target is not None:
            raise ConflictError("--run names one head, so --target cannot be given with it.", "--run or --target")
        chosen = target or "like_ratio"
        return predict(self.store, files, run=run, target=chosen, sender=sender, keep=keep, device=device)

    def crop(
        self,
        files: str | Path | Sequence[str | Path],
        *,
        aspect: str = "1:1",
        smallest: float = 0.5,
        output: str | Path | None = None,
        run: str | None = None,
        target: str = "like_ratio",
        device: str | None = None,
    ) -> list[Cropped]:
        """Find the crop of each picture with the highest prediction. See `models.crop.crop`."""
        from photogenic.models.crop import crop

        files = [files] if isinstance(files, str | Path) else files
        return crop(
            self.store, files, aspect=aspect, smallest=smallest, output=output, run=run, target=target, device=device
        )

    def test_relations(self, names: str | Sequence[str] = ()) -> tuple[ExampleResult, ...]:
        """Run the literal examples of the relations of the project; no name: all. No store is needed.

        See `warehouse.definitions.examples.run.run_examples`.
        """
        from photogenic.warehouse.catalog import parse
        from photogenic.warehouse.definitions.examples.run import run_examples

        project, pictures = self.store.project, {}
        if project is not None and project.code is not None:
            from photogenic.features.pictures.registry import own_features
            from photogenic.features.pictures.relations import definition_text

            pictures = {name: parse(name, definition_text(one)) for name, one in own_features().items()}
        return run_examples(self.store, [names] if isinstance(names, str) else names, pictures)

    def report(
        self,
        output: str | Path | None = None,
        *,
        slices: str | Path | None = None,
        as_of: Instant | None = None,
        known_at: Instant | None = None,
    ) -> Path:
        """Write the report as one HTML file; return its path. See `app.report.report.write_report`."""
        from photogenic.app.report.report import write_report

        return write_report(self.at(as_of, known_at), output, slices=slices)

    def config(self) -> pl.DataFrame:
        """Return every setting with its value and where it comes from. See `config.listing.settings_in_force`."""
        from photogenic.config.listing import settings_in_force

        return settings_in_force(self.store, self.config_file)

    def status(self) -> dict[str, Any]:
        """Return counts, rejects, freshness and the present writer. See `features.status.status`."""
        from photogenic.features.status import status

        return status(self.store)

    def check(
        self, *, max_age: str | dt.timedelta | None = None, max_refused: str | float | None = None
    ) -> list[Check]:
        """Check whether labels, vectors and indices are up to date and the last build went well.

        See `features.checks.check`.

        Args:
            max_age: greatest age of the newest data in the labels, such as `26h`; None: that of `[checks]` in
                `photogenic.toml`, else no limit.
            max_refused: most rows of the last files that may be refused, such as `1%`; None: that of `[checks]`, else
                no limit.
        """
        from photogenic.features.checks import check

        return check(
            self.store,
            max_age=self.config_file.check_of("max_age", max_age),
            max_refused=self.config_file.check_of("max_refused", max_refused),
        )

    def doctor(self, *, thorough: bool = False, fix: bool = False) -> list[Finding]:
        """Check this machine and the store; each finding has a remedy. See `maintenance.doctor.checks.examine`."""
        from photogenic.maintenance.doctor.checks import examine

        return examine(self.store, thorough=thorough, fix=fix)

    def erase(self, user_ids: str | Sequence[str] = ()) -> list[Receipt]:
        """Remove people from everything, and finish an interrupted erase. See `maintenance.erase.erase.erase`."""
        from photogenic.maintenance.erase.erase import erase

        with self._working() as store:
            return erase(store, [user_ids] if isinstance(user_ids, str) else user_ids)

    def backup(self, folder: str | Path, *, thorough: bool = False) -> BackupReport:
        """Copy the store into a folder while it is in use. See `maintenance.backup.backup.backup`."""
        from photogenic.maintenance.backup.backup import backup

        return backup(self.store, folder, thorough=thorough)

    def restore(
        self, folder: str | Path, *, replace: bool = False, tombstones: str | Path | None = None
    ) -> RestoreReport:
        """Replace the store with the one in a backup. See `maintenance.backup.restore.restore`."""
        from photogenic.maintenance.backup.restore import restore

        self.close()
        return restore(self.store, folder, replace=replace, tombstones=tombstones)
