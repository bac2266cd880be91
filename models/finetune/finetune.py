"""Fine-tune a network on a store: the steps of `features finetune`.

    1. gather    read the labeled photos of a setup that have bytes; split and audit them as for heads
    2. crop      write their pictures at the network's size to one mapped file
    3. train     train by back-propagation with evaluations on dev and checkpoints (models/finetune/loop.py)
    4. keep      save the network, which is then an encoder: BACKBONE@RUN_ID
    5. embed     compute the vector of every photo with it, and build their index
    6. evaluate  treat the new last layer as a head on these vectors, and evaluate it on test once
    7. publish   write rows of `runs` and `predictions`; compare with the heads that have the same test

Steps 1 to 4 are in `models.finetune.job`. The run id is a digest of everything that determines the result; if the
process is killed, the same call continues.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from photogenic.features.build import build
from photogenic.features.build_options import BuildOptions
from photogenic.features.compute.embed_store import embed_photos
from photogenic.models.compare_runs import RunComparisons
from photogenic.models.evaluation.leaderboard import Leaderboard, leaderboard
from photogenic.models.experiment import Experiment
from photogenic.models.finetune.job import HEAD, Tuning
from photogenic.models.options import FinetuneOptions
from photogenic.models.publish import Unpublished
from photogenic.models.runs import run_store
from photogenic.warehouse import Store, StoreError
from photogenic.warehouse.duckdb_store.error_mapping import map_engine_errors
from photogenic.warehouse.storage.lock import locked

__all__ = ["finetune"]


def finetune(store: Store, options: FinetuneOptions | None = None) -> Leaderboard:
    """Fine-tune a backbone by back-propagation; it is an encoder afterwards, and its last layer is a run.

    Args:
        store: store with photos and labels; the run is written to it.
        options: options of the fine-tuning. None: the defaults. The published recipe divides 3:1 unless another
            division is asked for; folds are not supported.

    Returns:
        Leaderboard of the run and of all others that were evaluated on the same test, with comparisons.

    Raises:
        InputError: a name or number is invalid, or there are no photos to learn from.
        StoreError: there are no labels, train and test are not separate, a checkpoint is damaged, or the disk is full.
        WeightsError: the published weights are not found.
    """
    options = options or FinetuneOptions()
    tuning = Tuning.of(store, options)
    run_id, lock = tuning.run_id, store.layout.models / tuning.run_id / "lock"
    with map_engine_errors(store.layout), locked(lock, "features finetune", store.database.settings.lock_timeout_s):
        is_new = not run_store.finished(store.layout, run_id)
        if is_new:
            _train(store, tuning)
        else:
            store.progress.note("This network was fine-tuned on the same data before, and is kept.")
        tuning.tidy(store)
    build(store, BuildOptions(encoders=[tuning.encoder], only="index"))
    return _compare(store, tuning, n_trained=int(is_new))


def _train(store: Store, tuning: Tuning) -> None:
    """Run steps 2 to 6."""
    fit = tuning.fit(store)
    embed_photos(store, tuning.encoder, device=tuning.options.device, decoded=tuning.options.decoded)
    own = _experiment(store, tuning, tuning.encoder, own_run=tuning.run_id)
    run_store.save(store.layout, own.evaluate(tuning.run_id, HEAD, fit, tuning.options.seed), fit.model)


def _compare(store: Store, tuning: Tuning, *, n_trained: int) -> Leaderboard:
    """Publish the run, and compare it with the runs of its target, setup and division that use the present data."""
    run_id, comparisons = tuning.run_id, RunComparisons(None, tuning.options.seed)
    own = _experiment(store, tuning, tuning.encoder, own_run=run_id)
    new, beside, known = Unpublished(store), [run_id], {own.encoder: own}
    new.add({run_id: own}, comparisons)
    new.publish()
    for other in run_store.alike(store.database, tuning.target.name, tuning.options.setup, own.division.name):
        if other == run_id or not run_store.finished(store.layout, other):
            continue
        run, model = run_store.load(store.layout, other)
        if run.encoder not in known:
            try:
                known[run.encoder] = _experiment(store, tuning, run.encoder)
            except StoreError:  # its vectors are no longer in the store, so it cannot be compared
                continue
        if known[run.encoder].content == run.samples:
            comparisons.add(run, known[run.encoder], known[run.encoder].outside(model, "test"))
            beside.append(other)
    board = leaderboard(store.database, beside, n_trained=n_trained)
    return replace(board, comparisons=comparisons.results(), slices=comparisons.slices)


def _experiment(store: Store, tuning: Tuning, encoder: str, **options: Any) -> Experiment:
    setup = tuning.options.setup
    return Experiment.of(store, tuning.target, encoder, setup, tuning.division, flip=False, **options)
