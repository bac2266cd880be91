"""The methods of `FeatureStore` about runs: predictions from elsewhere, and which run predicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Unpack

from photogenic._intake import Intake
from photogenic._lazy import pl

if TYPE_CHECKING:
    from photogenic.ingest.tabular.predictions import Data
    from photogenic.models.own_runs.add_run import AddedRun
    from photogenic.models.own_runs.options import AddRunArguments, AddRunOptions
    from photogenic.models.runs.management import Removed
    from photogenic.models.runs.run_selection import Candidate

__all__ = ["Runs"]


class Runs(Intake):
    """Base class of `FeatureStore`."""

    def add_run(
        self, name: str, data: Data, /, options: AddRunOptions | None = None, **given: Unpack[AddRunArguments]
    ) -> AddedRun:
        """Take in predictions that were made elsewhere as a run, evaluated by the test of the heads.

        store.add_run("my_model", frame, target="popular", trained_on=["photo-1", "photo-2"])

        Args:
            name: name of the run; another call with other predictions makes a newer run of that name.
            data: files, folders or globs; or a frame of polars, pandas or pyarrow, or dictionaries; with photo_id,
                prediction and optionally split (train, dev, test).
            options: target, setup and division; None: the defaults.
            given: fields of `options` to replace, and mapping, values, trained_on, max_refused, least_rows. See
                `models.own_runs.options`.

        Raises:
            InputError: the name or target cannot be used, a file cannot be read, or no photo of test is predicted.
            ThresholdError: too many rows were refused, or too few came. The run was added.
            PhotogenicError: see `models.own_runs.add_run.add_run`.
        """
        from photogenic.ingest.tabular.mapping_file import mapping_of
        from photogenic.ingest.thresholds import Thresholds, enforce
        from photogenic.models.own_runs.add_run import add_run
        from photogenic.models.own_runs.options import AddRunOptions

        changes: dict[str, Any] = dict(given)
        read_as = mapping_of("predictions", changes.pop("mapping", None), changes.pop("values", None))
        thresholds = Thresholds.of(changes.pop("max_refused", None), changes.pop("least_rows", None))
        trained_on = changes.pop("trained_on", None)
        chosen = replace(options or AddRunOptions(), **changes)
        with self._working() as store:
            added = add_run(store, name, data, chosen, mapping=read_as, trained_on=trained_on)
        enforce("predictions", added.reports, thresholds)
        return added

    def runs(self, target: str | None = None) -> pl.DataFrame:
        """Return all runs, or those of a target, and which of them predict. See `models.runs.management.list_runs`."""
        from photogenic.models.runs.management import list_runs

        return list_runs(self.store, target)

    def show_run(self, run: str) -> dict[str, Any]:
        """Return everything about one run, by id, name or beginning of the id.

        See `models.runs.management.show_run`.
        """
        from photogenic.models.runs.management import show_run

        return show_run(self.store, run)

    def promote_run(self, run: str, *, force: bool = False) -> Candidate:
        """Make a run the one that predicts its target, until changed. See `models.runs.management.promote_run`."""
        from photogenic.models.runs.management import promote_run

        with self._working() as store:
            return promote_run(store, run, force=force)

    def demote_run(self, target: str) -> str | None:
        """Let the best run on dev predict a target again; return the run that was promoted."""
        from photogenic.models.runs.management import demote_run

        with self._working() as store:
            return demote_run(store, target)

    def remove_run(self, runs: str | Sequence[str], *, force: bool = False) -> list[Removed]:
        """Remove runs with their weights, vectors and predictions. See `models.runs.management.remove_run`."""
        from photogenic.models.runs.management import remove_run

        with self._working() as store:
            return [remove_run(store, run, force=force) for run in ([runs] if isinstance(runs, str) else runs)]
