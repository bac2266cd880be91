"""Ensembles: the mean of all heads that were asked for, also of several encoders.

No member is selected. Early stopping used dev, so figures on dev are too good, more so for long vectors; on the
rated faces most rules that select members by dev did worse than the mean of all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from photogenic.models.data.samples import NO_ENCODER, encoder_parts
from photogenic.models.experiment import Experiment, combined
from photogenic.models.heads.base import Fitted, measured
from photogenic.models.heads.model import Model, ensemble, members
from photogenic.models.runs.run_store import Run

__all__ = ["joined_encoders", "mix"]


def joined_encoders(runs: Sequence[Run]) -> str:
    """Return `a+b` for the encoders of the runs; `none` if none of them has one."""
    return "+".join(dict.fromkeys(name for run in runs for name in encoder_parts(run.encoder))) or NO_ENCODER


def mix(experiment: Experiment, parts: Sequence[tuple[Run, Model]]) -> Fitted:
    """Combine runs into one head that predicts their mean; with folds, fold by fold.

    Args:
        experiment: experiment on all encoders of the parts.
        parts: runs with their models, all of the experiment's target, setup and division.
    """
    stops = np.cumsum(experiment.dims).tolist()
    names = encoder_parts(experiment.encoder)
    n_vector = stops[-1] if stops else 0
    inputs = range(n_vector, n_vector + len(experiment.inputs))
    spans = {name: range(stop - dim, stop) for name, stop, dim in zip(names, stops, experiment.dims, strict=True)}
    columns = [[*(at for name in encoder_parts(run.encoder) for at in spans[name]), *inputs] for run, _ in parts]
    fits = []
    for place, samples in enumerate(experiment.parts):
        heads = [members(model)[place][0] if experiment.division.folds else model for _, model in parts]
        made = ensemble(list(zip(heads, columns, strict=True)))
        chosen = {"members": [run.run_id for run, _ in parts], "heads": [run.head for run, _ in parts]}
        fits.append(measured(made, experiment.target, samples, chosen, {}))
    return combined(fits)
