"""Train heads on a store: gather, split, audit, fit together, evaluate once, save, publish, compare.

    1. gather    photos, labels and vectors of each target, encoder and setup
    2. split     by user and duplicate; an audit looks for anything that train and test share
    3. fit       the fully connected heads of an encoder in one pass, the others in turn; dev chooses. Runs that exist
                 are left alone
    4. evaluate  test, once, with intervals and slices; dev's residuals give the width of prediction intervals
    5. save      weights, then manifest, in models/<run_id>/
    6. publish   rows of `runs` and `predictions`, in one transaction
    7. compare   which head wins, by how much, and whom it treats worse

Killed anywhere, the same call goes on: a run without a manifest is trained again, one with a manifest
and no row is published.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from photogenic.features.build import held_encoders
from photogenic.features.encoders.device import choose
from photogenic.features.encoders.registry import DEFAULT
from photogenic.features.encoders.registry import encoder as encoder_named
from photogenic.features.vectors.reader import manifest
from photogenic.models import ensemble
from photogenic.models.compare_runs import RunComparisons
from photogenic.models.data.leakage import duplicates_known
from photogenic.models.data.targets import Target
from photogenic.models.data.targets import target as target_named
from photogenic.models.evaluation.leaderboard import Leaderboard, leaderboard
from photogenic.models.evaluation.slices import read_columns
from photogenic.models.experiment import Experiment, OneAnswerError, no_mirrors
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
from photogenic.warehouse import InputError, PhotogenicError, Progress, Store, StoreError

__all__ = ["train"]

SETUPS = ("all", "one_face")

_RULES = 4
"""Of training and judging; raised when the same samples, grid and seed would give another run."""


def train(store: Store, options: TrainOptions | None = None, *, grid: Grid = PUBLISHED_GRID) -> Leaderboard:
    """Train every combination that is not trained yet; the leaderboard of all that were asked for.

    Args:
        store: labels, vectors, and where runs go.
        options: what is trained, and how; None: the defaults.
        grid: what dev chooses from, for fully connected layers.

    Raises:
        InputError: a target, head or setup that does not exist; no photos to learn from; no such Spark.
        MissingPartError: pyspark or Java is absent, and `mllib_svm` was asked for.
        StoreError: no vectors of an encoder, which is found before anything is trained; train and test share what
            they must not. Heads that were finished before an error are published.
    """
    options = options or TrainOptions()
    settings = FitSettings(grid, seed=options.seed, master=options.master, progress=store.progress)
    targets = [target_named(name) for name in options.target]
    heads = list({head.name: head for head in map(head_named, options.heads)}.values())
    _check_setups(options.setup)
    _check_heads(heads, settings)
    wanted = pairs(targets, heads, store.progress)
    places = list(_places(options.setup, _chosen(store, options.encoders), store.progress, store.layout.models))
    _require_vectors(store, [encoder for _, encoder in places], flip=options.flip)
    asked: list[str] = []
    n_trained, new = 0, Unpublished(store)
    if not duplicates_known(store.database):
        store.progress.note(
            "Near-duplicates were never looked for; to keep them together: features build --near-duplicates"
        )
    comparisons = RunComparisons(None if options.slices is None else read_columns(options.slices), options.seed)
    with _published_whatever_happens(new):
        for place, encoder in places:
            data = _gathered(store, targets, encoder, place, options)
            ids = {(t.name, head): _run_id(data[t.name], head, settings) for t, head in wanted if t.name in data}
            todo = [pair for pair, run_id in ids.items() if not run_store.finished(store.layout, run_id)]
            settings = replace(settings, device=choose(options.device).name)
            for (name, head), fit in fit_all(data, todo, settings).items():
                run_store.save(store.layout, data[name].evaluate(ids[name, head], head, fit, options.seed), fit.model)
            n_trained += len(todo)
            asked += ids.values()
            new.add({run_id: data[name] for (name, _), run_id in ids.items()}, comparisons)
        if any(head.made_of_others for head in heads):
            mixed, n_mixed = _mix(new, asked, options, comparisons)
            asked, n_trained = asked + mixed, n_trained + n_mixed
    if n_trained < len(asked):
        store.progress.note(
            f"{len(asked) - n_trained} of {len(asked)} heads were trained on the same data before: kept."
        )
    new.publish()
    board = leaderboard(store.database, asked, n_trained=n_trained)
    return replace(board, comparisons=comparisons.results(), slices=comparisons.slices)


@contextlib.contextmanager
def _published_whatever_happens(new: Unpublished) -> Iterator[None]:
    """Heads that are finished when a later one fails, or when somebody interrupts, are in `runs` afterwards."""
    try:
        yield
    except (PhotogenicError, KeyboardInterrupt):
        new.publish()
        raise


def _check_heads(heads: Sequence[Head], settings: FitSettings) -> None:
    """Refuse what could not be trained here, before anything is; and a Spark that no head asks for."""
    for head in heads:
        head.check(settings)
    if settings.master is not None and not any(head.needs_spark for head in heads):
        names = [head.name for head in registered() if head.needs_spark]
        raise InputError(
            f"Only {' and '.join(names)} is trained by Spark.",
            f"--head {names[0]} beside --master",
            f"--head {names[0]}",
        )


def _chosen(store: Store, encoders: Sequence[str] | None) -> Sequence[str]:
    """The encoders that are asked for; else those of the default pair, or all, that the store has vectors of."""
    if encoders is not None:
        return encoders
    held = held_encoders(store.layout)
    usual = [name for name in DEFAULT if name in held]
    for name in DEFAULT if usual else ():
        if name not in held:
            store.progress.note(
                f"The store holds no {name} vectors: left out. features build --encoder {name} makes them."
            )
    return usual or held or DEFAULT


def _require_vectors(store: Store, encoders: Sequence[str], *, flip: bool) -> None:
    """Refuse encoders of which the store has no vectors; with `flip`, of mirror images too.

    Raises:
        StoreError: it has none of one of them.
    """
    parts = dict.fromkeys(part for several in encoders for part in several.split("+"))
    missing = [part for part in parts if not store.layout.embeddings(part).exists()]
    if missing:
        asked = "".join(f" --encoder {part}" for part in missing)
        raise StoreError(
            f"The store {store.layout.root} holds no {' and no '.join(missing)} vectors.",
            "vectors of every encoder whose heads are trained",
            f"features build{asked} --store {store.layout.root}",
        )
    for part in parts:
        if not manifest(store.layout, part).n_flips and flip:
            raise no_mirrors(part)


def _gathered(
    store: Store, targets: Sequence[Target], encoder: str, setup: str, options: TrainOptions
) -> dict[str, Experiment]:
    """By target; of several, those with one answer only are left out.

    Raises:
        OneAnswerError: none is left.
    """
    found: dict[str, Experiment] = {}
    problems: list[OneAnswerError] = []
    for target in targets:
        try:
            found[target.name] = Experiment.of(store, target, encoder, setup, options.division, flip=options.flip)
        except OneAnswerError as error:
            problems.append(error)
    if problems and not found:
        raise problems[0]
    for problem in problems:
        store.progress.note(f"{problem.what} Left out.")
    return found


def _run_id(experiment: Experiment, head: str, settings: FitSettings) -> str:
    """Named after everything that decides the run."""
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
        ]
    )


def _mix(
    new: Unpublished, asked: Sequence[str], options: TrainOptions, comparisons: RunComparisons
) -> tuple[list[str], int]:
    """Ensembles of the runs that were asked for, one per target and setup: their ids, and how many are new."""
    store, found, n_new = new.store, [], 0
    kinds: dict[tuple[str, str], dict[str, tuple[Run, Model]]] = {}
    for run_id in asked:
        run, model = run_store.load(store.layout, run_id)
        kinds.setdefault((run.target, run.setup), {})[run_id] = (run, model)
    for (name, setup), own in kinds.items():
        if len(own) < 2:
            store.progress.note(f"No ensemble for {name} in {setup}: it takes two heads or more.")
            continue
        parts = list(own.values())
        encoder = ensemble.joined_encoders([run for run, _ in parts])
        experiment = Experiment.of(store, target_named(name), encoder, setup, options.division, flip=False)
        run_id = run_store.run_id([_RULES, ENSEMBLE, experiment.content, sorted(own), options.seed])
        if not run_store.finished(store.layout, run_id):
            fit = ensemble.mix(experiment, parts)
            run_store.save(store.layout, experiment.evaluate(run_id, ENSEMBLE, fit, options.seed), fit.model)
            n_new += 1
        found.append(run_id)
        new.add({run_id: experiment}, comparisons)
    return found, n_new


def _places(
    setups: Sequence[str], encoders: Sequence[str], progress: Progress, models: Path
) -> Iterator[tuple[str, str]]:
    """(setup, encoder), without faces in photos that may show none or several."""
    found = 0
    for setup in setups:
        for name in encoders:
            if setup == "all" and any(encoder_named(part, models).input == "face" for part in name.split("+")):
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
