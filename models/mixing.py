"""Small ensembles: the mean of the heads that dev likes best, over encoders if need be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.experiment import Experiment
from models.fitting import Fitted
from models.metrics import log_loss, mse
from models.model import Model, ensemble
from models.runs import Run

__all__ = ["MEMBERS", "chosen", "joined_encoders", "mix"]

MEMBERS = 3


def chosen(runs: Sequence[Run]) -> list[Run]:
    """The runs with the least loss on dev, at most `MEMBERS`, of as many kinds of heads: alike ones err alike."""
    found: dict[str, Run] = {}
    for run in sorted(runs, key=lambda run: (run.results["dev_loss"], run.run_id)):
        found.setdefault(run.head, run)
    return list(found.values())[:MEMBERS]


def joined_encoders(runs: Sequence[Run]) -> str:
    """`a+b` of all encoders that the runs read."""
    return "+".join(dict.fromkeys(name for run in runs for name in run.encoder.split("+")))


def mix(experiment: Experiment, parts: Sequence[tuple[Run, Model]]) -> Fitted:
    """Their mean, as one head.

    Args:
        experiment: of all encoders that the parts read.
        parts: runs with their models, of the experiment's target, setup and division.
    """
    stops = np.cumsum(experiment.dims)
    spans = {
        name: range(stop - dim, stop)
        for name, stop, dim in zip(experiment.encoder.split("+"), stops.tolist(), experiment.dims, strict=True)
    }
    made = ensemble(
        [(model, [column for name in run.encoder.split("+") for column in spans[name]]) for run, model in parts]
    )
    dev = experiment.parts[0].part("dev")
    error = mse if experiment.target.loss == "mse" else log_loss
    return Fitted(
        model=made,
        dev_loss=error(dev.y, made.predict(dev.X), dev.weight),
        hyperparameters={"members": [run.run_id for run, _ in parts], "heads": [run.head for run, _ in parts]},
        results={},
    )
