"""Train heads on a store: gather, divide, audit, fit together, judge once, keep, publish, compare.

    1. gather    photos, labels and vectors of each target, encoder and setup
    2. divide    by user and duplicate; an audit looks for anything that train and test share
    3. fit       every head and learning rate of an encoder in one pass; dev chooses. Runs that exist are left alone
    4. judge     test, once, with intervals and slices; dev's residuals give the width of prediction intervals
    5. keep      weights, then manifest, in models/<run_id>/
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
from typing import TYPE_CHECKING, Any

from photogenic.features.build import held_encoders
from photogenic.features.encoders.device import choose
from photogenic.features.encoders.registry import DEFAULT
from photogenic.features.encoders.registry import encoder as encoder_named
from photogenic.features.vectors.reader import manifest
from photogenic.models import ensemble
from photogenic.models.compare_runs import Contests
from photogenic.models.data.leakage import duplicates_known
from photogenic.models.data.split_config import STORED, Division
from photogenic.models.data.targets import Target
from photogenic.models.data.targets import target as target_named
from photogenic.models.evaluation.leaderboard import Leaderboard, leaderboard
from photogenic.models.evaluation.slices import read_columns
from photogenic.models.experiment import Experiment, OneAnswerError, no_mirrors
from photogenic.models.fit_heads import ALIASES, ENSEMBLE, HEADS, fit_all, pairs
from photogenic.models.heads.fit_mlp import PUBLISHED_GRID, Grid
from photogenic.models.heads.linear import CLASSIC
from photogenic.models.heads.mlp import DEPTHS
from photogenic.models.heads.spark_svm import MLLIB, check_master
from photogenic.models.heads.spark_svm import PUBLISHED as PUBLISHED_SVM
from photogenic.models.publish import Unpublished
from photogenic.models.runs import run_store
from photogenic.models.runs.run_store import Run
from photogenic.warehouse import InputError, PhotogenicError, Progress, StoreError, no_progress
from photogenic.warehouse.option_ranges import check

if TYPE_CHECKING:
    from photogenic.models.heads.model import Model
    from photogenic.store import FeatureStore

__all__ = ["train"]

SETUPS = ("all", "one_face")

_RULES = 4
"""Of training and judging; raised when the same samples, grid and seed would give another run."""


def train(
    store: FeatureStore,
    target: str | Sequence[str] = "like_ratio",
    encoders: Sequence[str] | None = None,
    heads: Sequence[str] = tuple(DEPTHS),
    setup: str | Sequence[str] = "one_face",
    *,
    division: Division = STORED,
    flip: bool = False,
    slices: str | Path | None = None,
    grid: Grid = PUBLISHED_GRID,
    seed: int = 0,
    device: str | None = None,
    master: str | None = None,
    progress: Progress = no_progress,
) -> Leaderboard:
    """Train every combination that is not trained yet; the leaderboard of all that were asked for.

    Args:
        store: labels, vectors, and where runs go.
        target: like_ratio, popular, gender; one or several.
        encoders: names; `a+b` sets two vectors side by side. None: those of the default pair that the store has vectors
            of; if it has none of these, all that it has.
        heads: of `models.fit_heads.HEADS`, or by an alias; those that cannot learn a target are left out of it.
        setup: all, one_face; one or several. Encoders of faces are left out of `all`.
        division: into train, dev and test.
        flip: learn from the mirror image of each photo of train too.
        slices: file of columns by photo_id or user_id; heads are judged on each of their values.
        grid: what dev chooses from.
        seed: of the initial heads, the order of photos and the bootstrap.
        device: as torch calls it; None: a GPU where there is one.
        master: of the Spark that trains `mllib_svm`: `local[*]`, `spark://HOST:7077`; None: `local[*]`.
        progress: hears of updates, and of what was done already.

    Raises:
        InputError: a target, head or setup that does not exist; no photos to learn from; no such Spark.
        MissingPartError: pyspark or Java is absent, and `mllib_svm` was asked for.
        StoreError: no vectors of an encoder, which is found before anything is trained; train and test share what
            they must not. Heads that were finished before an error are published.
    """
    check(seed=seed)
    targets = [target_named(name) for name in _several(target)]
    setups, heads = _several(setup), list(dict.fromkeys(ALIASES.get(name, name) for name in heads))
    _check(heads, HEADS, "head")
    _check(setups, SETUPS, "setup")
    if MLLIB in heads:
        check_master(master)
    elif master is not None:
        raise InputError(f"Only {MLLIB} is trained by Spark.", f"--head {MLLIB} beside --master", f"--head {MLLIB}")
    wanted = pairs(targets, heads, progress)
    places = list(_places(setups, _chosen(store, encoders, progress), progress, store.layout.models))
    _require_vectors(store, [encoder for _, encoder in places], flip=flip)
    asked: list[str] = []
    n_trained, new = 0, Unpublished(store)
    if not duplicates_known(store.database):
        progress.note("Near-duplicates were never looked for; to keep them together: features build --near-duplicates")
    contests = Contests(None if slices is None else read_columns(slices), seed)
    with _published_whatever_happens(new):
        for place, encoder in places:
            data = _gathered(store, targets, encoder, place, division, flip=flip, progress=progress)
            ids = {(t.name, head): _run_id(data[t.name], head, grid, seed) for t, head in wanted if t.name in data}
            todo = [pair for pair, run_id in ids.items() if not run_store.finished(store.layout, run_id)]
            device = choose(device).name
            fits = fit_all(data, todo, grid=grid, seed=seed, device=device, master=master, progress=progress)
            for (name, head), fit in fits.items():
                run_store.save(store.layout, data[name].judged(ids[name, head], head, fit, seed), fit.model)
            n_trained += len(todo)
            asked += ids.values()
            new.add({run_id: data[name] for (name, _), run_id in ids.items()}, contests)
        if ENSEMBLE in heads:
            mixed, n_mixed = _mix(new, asked, division, contests, seed=seed, progress=progress)
            asked, n_trained = asked + mixed, n_trained + n_mixed
    if n_trained < len(asked):
        progress.note(f"{len(asked) - n_trained} of {len(asked)} heads were trained on the same data before: kept.")
    new.publish()
    board = leaderboard(store.database, asked, n_trained=n_trained)
    return replace(board, contests=contests.decided(), slices=contests.slices)


@contextlib.contextmanager
def _published_whatever_happens(new: Unpublished) -> Iterator[None]:
    """Heads that are finished when a later one fails, or when somebody interrupts, are in `runs` afterwards."""
    try:
        yield
    except (PhotogenicError, KeyboardInterrupt):
        new.publish()
        raise


def _chosen(store: FeatureStore, encoders: Sequence[str] | None, progress: Progress) -> Sequence[str]:
    """The encoders that are asked for; else those of the default pair, or all, that the store has vectors of."""
    if encoders is not None:
        return encoders
    held = held_encoders(store.layout)
    usual = [name for name in DEFAULT if name in held]
    for name in DEFAULT if usual else ():
        if name not in held:
            progress.note(f"The store holds no {name} vectors: left out. features build --encoder {name} makes them.")
    return usual or held or DEFAULT


def _require_vectors(store: FeatureStore, encoders: Sequence[str], *, flip: bool) -> None:
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
    store: FeatureStore,
    targets: Sequence[Target],
    encoder: str,
    setup: str,
    division: Division,
    *,
    flip: bool,
    progress: Progress,
) -> dict[str, Experiment]:
    """By target; of several, those with one answer only are left out.

    Raises:
        OneAnswerError: none is left.
    """
    found: dict[str, Experiment] = {}
    problems: list[OneAnswerError] = []
    for target in targets:
        try:
            found[target.name] = Experiment.of(store, target, encoder, setup, division, flip=flip)
        except OneAnswerError as error:
            problems.append(error)
    if problems and not found:
        raise problems[0]
    for problem in problems:
        progress.note(f"{problem.what} Left out.")
    return found


def _run_id(experiment: Experiment, head: str, grid: Grid, seed: int) -> str:
    """Named after everything that decides the run."""
    tried: dict[str, Any] = {}
    if head in CLASSIC:
        tried = asdict(CLASSIC[head])
    elif head in DEPTHS:
        tried = asdict(grid)
    elif head == MLLIB:
        tried = asdict(PUBLISHED_SVM)
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
            tried,
            seed,
        ]
    )


def _mix(
    new: Unpublished, asked: Sequence[str], division: Division, contests: Contests, *, seed: int, progress: Progress
) -> tuple[list[str], int]:
    """Ensembles of the runs that were asked for, one per target and setup: their ids, and how many are new."""
    store, found, n_new = new.store, [], 0
    kinds: dict[tuple[str, str], dict[str, tuple[Run, Model]]] = {}
    for run_id in asked:
        run, model = run_store.load(store.layout, run_id)
        kinds.setdefault((run.target, run.setup), {})[run_id] = (run, model)
    for (name, setup), own in kinds.items():
        if len(own) < 2:
            progress.note(f"No ensemble for {name} in {setup}: it takes two heads or more.")
            continue
        parts = list(own.values())
        encoder = ensemble.joined_encoders([run for run, _ in parts])
        experiment = Experiment.of(store, target_named(name), encoder, setup, division, flip=False)
        run_id = run_store.run_id([_RULES, ENSEMBLE, experiment.content, sorted(own), seed])
        if not run_store.finished(store.layout, run_id):
            fit = ensemble.mix(experiment, parts)
            run_store.save(store.layout, experiment.judged(run_id, ENSEMBLE, fit, seed), fit.model)
            n_new += 1
        found.append(run_id)
        new.add({run_id: experiment}, contests)
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


def _several(names: str | Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _check(names: Sequence[str], known: Sequence[str], what: str) -> None:
    for name in names:
        if name not in known:
            raise InputError(
                f"{name!r} is not a {what}.", f"one of {', '.join(known)}", f"--{what} {next(iter(known))}"
            )
