"""Train heads on a store: gather, split, audit, fit together, evaluate once, save, publish, compare.

    1. gather    read photos, labels and vectors of each target, encoder and setup
    2. split     split by user and duplicate; an audit searches for anything that train and test share
    3. fit       fit the fully connected heads of an encoder in one pass, the others one by one; dev selects. Existing
                 runs are not trained again
    4. evaluate  evaluate on test, once, with intervals and slices; residuals on dev give the prediction intervals
    5. save      write weights, then manifest, to models/<run_id>/
    6. publish   write rows of `runs` and `predictions`, in one transaction
    7. compare   find the best head, by how much it is better, and which groups it predicts worse

If the process is killed, the same call continues: a run without a manifest is trained again, a run with a manifest
and without a row is published.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from photogenic.features.encoders.device import choose
from photogenic.features.encoders.registry import encoder as encoder_named
from photogenic.models import ensemble
from photogenic.models.compare_runs import RunComparisons
from photogenic.models.data.answers import answer_notes
from photogenic.models.data.leakage import duplicates_known
from photogenic.models.data.samples import encoder_parts
from photogenic.models.evaluation.leaderboard import Leaderboard, leaderboard
from photogenic.models.evaluation.slices import read_columns
from photogenic.models.experiment import Experiment
from photogenic.models.fit_heads import fit_all, pairs
from photogenic.models.heads.base import FitSettings, Head
from photogenic.models.heads.grid import PUBLISHED_GRID, Grid
from photogenic.models.heads.kinds import ENSEMBLE
from photogenic.models.heads.model import Model
from photogenic.models.heads.registry import head as head_named
from photogenic.models.heads.registry import heads as registered
from photogenic.models.options import TrainOptions
from photogenic.models.publish import Unpublished
from photogenic.models.runs import run_store
from photogenic.models.runs.run_store import Run
from photogenic.models.training_plan import TrainingPlan
from photogenic.warehouse import InputError, PhotogenicError, Progress, Store

__all__ = ["train"]

SETUPS = ("all", "one_face")

_RULES = 4
"""Version of training and evaluation; increased if the same samples, grid and seed would give another run."""


def train(store: Store, options: TrainOptions | None = None, *, grid: Grid = PUBLISHED_GRID) -> Leaderboard:
    """Train every combination that is not trained yet, and return the leaderboard of all that were asked for.

    Args:
        store: store with labels and vectors; runs are written to it.
        options: options of the training. None: the defaults.
        grid: hyperparameter grid of the fully connected heads.

    Raises:
        InputError: a target, head or setup does not exist, no photo is labeled, or the Spark master is invalid.
        MissingPartError: pyspark or Java is missing, and `mllib_svm` was asked for.
        StoreError: an encoder has no vectors, which is checked before training, or train and test are not separate.
            Heads that were finished before an error are published.
    """
    options = options or TrainOptions()
    settings = FitSettings(grid, seed=options.seed, master=options.master, progress=store.progress)
    plan = TrainingPlan.of(store, options)
    heads = list({head.name: head for head in map(head_named, options.heads)}.values())
    _check_setups(options.setup)
    _check_heads(heads, settings)
    wanted = pairs(plan.targets, heads, store.progress)
    places = list(_setups_and_encoders(options.setup, plan.encoders(), store.progress, store.layout.models))
    plan.require_vectors([encoder for _, encoder in places])
    asked: list[str] = []
    n_trained, new = 0, Unpublished(store)
    if not duplicates_known(store.database):
        store.progress.note(
            "Near-duplicates were never searched for. To keep them in one split: features build --near-duplicates"
        )
    for note in answer_notes(store, plan.targets, plan.inputs):
        store.progress.note(note)
    comparisons = RunComparisons(None if options.slices is None else read_columns(options.slices), options.seed)
    with _publish_on_error(new):
        for place, encoder in places:
            data = plan.experiments(encoder, place)
            ids = {(t.name, head): _run_id(data[t.name], head, settings) for t, head in wanted if t.name in data}
            todo = [pair for pair, run_id in ids.items() if not run_store.finished(store.layout, run_id)]
            settings = replace(settings, device=choose(options.device).name)
            for (name, head), fit in fit_all(data, todo, settings).items():
                run_store.save(store.layout, data[name].evaluate(ids[name, head], head, fit, options.seed), fit.model)
            n_trained += len(todo)
            asked += ids.values()
            new.add({run_id: data[name] for (name, _), run_id in ids.items()}, comparisons)
        if any(head.made_of_others for head in heads):
            mixed, n_mixed = _make_ensembles(new, asked, plan, comparisons)
            asked, n_trained = asked + mixed, n_trained + n_mixed
    if n_trained < len(asked):
        store.progress.note(
            f"{len(asked) - n_trained} of {len(asked)} heads were trained on the same data before, and are kept."
        )
    new.publish()
    board = leaderboard(store.database, asked, n_trained=n_trained)
    return replace(board, comparisons=comparisons.results(), slices=comparisons.slices)


@contextlib.contextmanager
def _publish_on_error(new: Unpublished) -> Iterator[None]:
    """Publish the finished heads in `runs` if a later head fails or the user interrupts."""
    try:
        yield
    except (PhotogenicError, KeyboardInterrupt):
        new.publish()
        raise


def _check_heads(heads: Sequence[Head], settings: FitSettings) -> None:
    """Refuse heads that cannot be trained here before any is trained, and a Spark master that no head needs."""
    for head in heads:
        head.check(settings)
    if settings.master is not None and not any(head.needs_spark for head in heads):
        names = [head.name for head in registered() if head.needs_spark]
        raise InputError(
            f"Only {' and '.join(names)} is trained on Spark.",
            f"--head {names[0]} together with --master",
            f"--head {names[0]}",
        )


def _run_id(experiment: Experiment, head: str, settings: FitSettings) -> str:
    """Return the run id, a digest of everything that determines the run."""
    declared = experiment.declared()
    return run_store.run_id(
        [
            _RULES,
            experiment.target.name,
            experiment.setup,
            experiment.encoder,
            experiment.digests,
            experiment.content,
            asdict(experiment.division),
            head,
            head_named(head).tried(settings.grid),
            settings.seed,
            *([declared] if declared else []),
        ]
    )


def _make_ensembles(
    new: Unpublished, asked: Sequence[str], plan: TrainingPlan, comparisons: RunComparisons
) -> tuple[list[str], int]:
    """Make ensembles of the runs asked for, one per target and setup; return their ids and the number of new ones."""
    store, seed, found, n_new = new.store, plan.options.seed, [], 0
    kinds: dict[tuple[str, str], dict[str, tuple[Run, Model]]] = {}
    for run_id in asked:
        run, model = run_store.load(store.layout, run_id)
        kinds.setdefault((run.target, run.setup), {})[run_id] = (run, model)
    for (name, setup), own in kinds.items():
        if len(own) < 2:
            store.progress.note(f"No ensemble for {name} in {setup}: it needs at least two heads.")
            continue
        parts = list(own.values())
        encoder = ensemble.joined_encoders([run for run, _ in parts])
        experiment = plan.experiment(name, encoder, setup, flip=False)
        run_id = run_store.run_id([_RULES, ENSEMBLE, experiment.content, sorted(own), seed])
        if not run_store.finished(store.layout, run_id):
            fit = ensemble.mix(experiment, parts)
            run_store.save(store.layout, experiment.evaluate(run_id, ENSEMBLE, fit, seed), fit.model)
            n_new += 1
        found.append(run_id)
        new.add({run_id: experiment}, comparisons)
    return found, n_new


def _setups_and_encoders(
    setups: Sequence[str], encoders: Sequence[str], progress: Progress, models: Path
) -> Iterator[tuple[str, str]]:
    """Yield (setup, encoder), without face encoders in setups whose photos may show no face or several."""
    found = 0
    for setup in setups:
        for name in encoders:
            if setup == "all" and any(encoder_named(part, models).input == "face" for part in encoder_parts(name)):
                progress.note(f"{name} needs photos of one face: left out of setup all.")
                continue
            found += 1
            yield setup, name
    if not found:
        raise InputError(
            f"Nothing to train: {', '.join(encoders)} in setup {', '.join(setups)}.",
            "an encoder of whole photos, or setup one_face",
            "--setup one_face",
        )


def _check_setups(setups: Sequence[str]) -> None:
    for name in setups:
        if name not in SETUPS:
            raise InputError(f"{name!r} is not a setup.", f"one of {', '.join(SETUPS)}", f"--setup {SETUPS[0]}")
