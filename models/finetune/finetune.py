"""Fine-tune a network on a store: the story of `features finetune`.

    1. gather    the labelled photos of a setup that have bytes; divided and audited as for heads
    2. cut       their pictures, side by side in one mapped file
    3. descend   back-propagate, dev watching; checkpoints (models/finetune/loop.py)
    4. keep      the network is an encoder from here on: BACKBONE@RUN_ID
    5. look      every photo of the store gets its vector by it, and they are indexed
    6. judge     the new last layer is a head on these vectors: test, once, as any head
    7. publish   rows of `runs` and `predictions`; who wins among the heads that had the same test

Steps 1 to 4 are those of `models.finetune.job`. The run id is a digest of all that decides the outcome; killed
anywhere, the same call goes on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from photogenic.features.compute.embed_store import embed_photos
from photogenic.models.compare_runs import Contests
from photogenic.models.data.split_config import STORED, Division
from photogenic.models.data.targets import target as target_named
from photogenic.models.evaluation.leaderboard import Leaderboard, leaderboard
from photogenic.models.experiment import Experiment
from photogenic.models.finetune.job import HEAD, Tuning
from photogenic.models.finetune.recipes import Recipe
from photogenic.models.finetune.recipes import recipe as recipe_named
from photogenic.models.publish import Unpublished
from photogenic.models.runs import run_store
from photogenic.warehouse import InputError, Progress, Store, StoreError, no_progress
from photogenic.warehouse.duckdb_store.error_mapping import map_engine_errors
from photogenic.warehouse.option_ranges import check
from photogenic.warehouse.storage.lock import locked

if TYPE_CHECKING:
    from photogenic.store import FeatureStore

__all__ = ["finetune"]


def finetune(
    store: FeatureStore,
    backbone: str = "efficientnet_lite0",
    target: str = "like_ratio",
    setup: str = "one_face",
    *,
    recipe: str = "modern",
    division: Division = STORED,
    iterations: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    random_weights: bool = False,
    seed: int = 0,
    device: str | None = None,
    progress: Progress = no_progress,
) -> Leaderboard:
    """Back-propagate into a backbone; it is an encoder afterwards, its last layer a run like any other.

    Args:
        store: photos, labels, and where the run goes.
        backbone: alexnet, efficientnet_lite0, inception_v3.
        target: like_ratio, popular, gender.
        setup: all, one_face.
        recipe: modern, published.
        division: into train, dev and test; no folds. The published recipe divides 3:1 unless another is asked for.
        iterations: updates; None: as the recipe has it.
        batch_size: pictures per update; None: as the recipe has it.
        learning_rate: None: as the recipe has it.
        random_weights: start with drawn weights instead of the published ones.
        seed: of everything that is drawn.
        device: as torch calls it; None: a GPU where there is one.
        progress: hears of updates, and of what was done already.

    Returns:
        The run beside all others that were judged on the same test, and who wins.

    Raises:
        InputError: a name or number that cannot be; no photos to learn from.
        StoreError: no labels; train and test share what they must not; a damaged checkpoint; a full disk.
        WeightsError: the published weights cannot be found.
    """
    check(seed=seed)
    wanted = target_named(target)
    chosen = recipe_named(
        recipe, iterations=iterations, batch_size=batch_size, learning_rate=learning_rate, drawn=random_weights
    )
    tuning = Tuning.of(
        store,
        backbone,
        wanted,
        setup,
        division=_division(division, chosen),
        recipe=chosen,
        random_weights=random_weights,
        seed=seed,
    )
    run_id, lock = tuning.run_id, store.layout.models / tuning.run_id / "lock"
    with map_engine_errors(store.layout), locked(lock, "features finetune", store.database.settings.lock_timeout_s):
        is_new = not run_store.finished(store.layout, run_id)
        if is_new:
            _make(store, tuning, device, progress)
        else:
            progress.note("This network was fine-tuned on the same data before: kept.")
        tuning.tidy(store)
    store.build(encoders=[f"{backbone}@{run_id}"], only="index")
    return _beside(store, tuning, n_trained=int(is_new))


def _division(division: Division, recipe: Recipe) -> Division:
    """That of the recipe, where none was asked for."""
    if division.folds:
        raise InputError("A network is not fine-tuned in folds.", "one division", "--ratio 8:1:1")
    return Division(recipe.ratio) if division == STORED else division


def _make(store: FeatureStore, tuning: Tuning, device: str | None, progress: Progress) -> None:
    """Steps 2 to 6."""
    run_id = tuning.run_id
    fit = tuning.fit(store, device=device, progress=progress)
    embed_photos(Store(store.database, progress), f"{tuning.backbone}@{run_id}", device=device)
    own = _experiment(store, tuning, f"{tuning.backbone}@{run_id}", own_run=run_id)
    run_store.save(store.layout, own.judged(run_id, HEAD, fit, tuning.seed), fit.model)


def _beside(store: FeatureStore, tuning: Tuning, *, n_trained: int) -> Leaderboard:
    """Publish the run; set it beside those of its target, setup and division that learnt from what is there now."""
    run_id, contests = tuning.run_id, Contests(None, tuning.seed)
    own = _experiment(store, tuning, f"{tuning.backbone}@{run_id}", own_run=run_id)
    new, beside, known = Unpublished(store), [run_id], {own.encoder: own}
    new.add({run_id: own}, contests)
    new.publish()
    for other in run_store.alike(store.database, tuning.target.name, tuning.setup, own.division.name):
        if other == run_id or not run_store.finished(store.layout, other):
            continue
        run, model = run_store.load(store.layout, other)
        if run.encoder not in known:
            try:
                known[run.encoder] = _experiment(store, tuning, run.encoder)
            except StoreError:  # its vectors are gone: nothing to compare with
                continue
        if known[run.encoder].content == run.samples:
            contests.enter(run, known[run.encoder], known[run.encoder].outside(model, "test"))
            beside.append(other)
    board = leaderboard(store.database, beside, n_trained=n_trained)
    return replace(board, contests=contests.decided(), slices=contests.slices)


def _experiment(store: FeatureStore, tuning: Tuning, encoder: str, **options: Any) -> Experiment:
    return Experiment.of(store, tuning.target, encoder, tuning.setup, tuning.division, flip=False, **options)
