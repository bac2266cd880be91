"""Compare the runs of one call to `train`, and evaluate each run on slices of the test photos."""

from __future__ import annotations

import numpy as np

from photogenic._lazy import pl
from photogenic.models.data.array_types import Strings
from photogenic.models.data.targets import Target
from photogenic.models.evaluation.comparison import Entry, HeadComparison, compare_heads
from photogenic.models.evaluation.predictions import Predictions
from photogenic.models.evaluation.slices import Slice, by_gender, by_value
from photogenic.models.experiment import Experiment
from photogenic.models.runs.run_store import Run

__all__ = ["RunComparisons", "Sliced", "by_photo"]

Sliced = tuple[Run, Slice]


class RunComparisons:
    """Collect test predictions of runs, then compare the runs.

    Args:
        columns: columns of the user's slices, as `models.evaluation.slices.read_columns` returns them. None: gender.
        seed: seed of the bootstrap.
    """

    def __init__(self, columns: pl.DataFrame | None, seed: int) -> None:
        self._columns, self._seed = columns, seed
        self._entries: dict[tuple[str, str], list[Entry]] = {}
        self._targets: dict[str, Target] = {}
        self.slices: list[Sliced] = []

    def add(self, run: Run, experiment: Experiment, predictions: Predictions) -> None:
        """Add one run with its test predictions."""
        entry = Entry(run.run_id, run.reads, run.head, run.dev, predictions)
        self._targets[run.target] = experiment.target
        self._entries.setdefault((run.target, run.setup), []).append(entry)
        found = by_gender(experiment.target, predictions, self._seed)
        if self._columns is not None:
            for name, values in by_photo(self._columns, predictions).items():
                found += by_value(experiment.target, name, values, predictions, seed=self._seed)
        self.slices += [(run, slice_) for slice_ in found]

    def results(self) -> list[HeadComparison]:
        """Return one comparison per target and setup."""
        return [
            compare_heads(self._targets[target], setup, entries, seed=self._seed)
            for (target, setup), entries in self._entries.items()
        ]


def by_photo(columns: pl.DataFrame, predictions: Predictions) -> dict[str, Strings]:
    """Return, for each of the user's columns, the value of each photo; `unknown` where the file has no value."""
    key = "photo_id" if "photo_id" in columns.columns else "user_id"
    asked = predictions.photo_ids if key == "photo_id" else predictions.user_ids
    found = {}
    for name in columns.columns:
        if name in {"photo_id", "user_id"}:
            continue
        known = dict(columns.select(key, name).drop_nulls().iter_rows())
        found[name] = np.array([known.get(each, "unknown") for each in asked.tolist()], np.str_)
    return found
