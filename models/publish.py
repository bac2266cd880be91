"""Write runs on disk to the relations `runs` and `predictions`."""

from __future__ import annotations

from photogenic._lazy import pl
from photogenic.models.compare_runs import RunComparisons
from photogenic.models.data.samples import read_rows
from photogenic.models.experiment import Experiment
from photogenic.models.runs import run_store
from photogenic.models.runs.run_store import Run
from photogenic.warehouse import Store

__all__ = ["Unpublished"]


class Unpublished:
    """Runs on disk that are not in the warehouse yet, with predictions for every photo that has a vector."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.known = run_store.recorded(store.database)
        self.runs: list[Run] = []
        self.predictions: list[pl.DataFrame] = []
        self.learned: list[pl.DataFrame] = []

    def add(self, experiments: dict[str, Experiment], comparisons: RunComparisons) -> None:
        """Add runs of one encoder by run id. All of them are compared, also those that are published already."""
        photo_ids: list[str] = []
        for run_id, experiment in experiments.items():
            run, model = run_store.load(self.store.layout, run_id)
            comparisons.add(run, experiment, experiment.outside(model, "test"))
            if run_id in self.known:
                continue
            if not photo_ids:
                photo_ids, X = read_rows(self.store, experiment.encoder, experiment.inputs)
            prediction, split = experiment.predictions(model, photo_ids, X)
            self.runs.append(run)
            # Includes photos that were erased after the training began.
            learned = sorted({photo_id for part in experiment.parts for photo_id in part.photo_ids.tolist()})
            self.learned.append(pl.DataFrame({"run_id": run_id, "photo_id": learned}))
            self.predictions.append(
                pl.DataFrame(
                    {
                        "run_id": run_id,
                        "photo_id": photo_ids,
                        "split": pl.Series(split, dtype=pl.String),
                        "prediction": prediction,
                    }
                )
            )

    def publish(self) -> None:
        """Write the rows of `runs` and `predictions` in one transaction."""
        if self.runs:
            run_store.record(self.store.database, self.runs, pl.concat(self.predictions), pl.concat(self.learned))
