"""Every kind of head on one encoder's experiments: layers in one pass, the others one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from photogenic.models.data.targets import Target
from photogenic.models.experiment import Experiment, combined
from photogenic.models.heads.fit_mlp import Fitted, Grid, fit_heads
from photogenic.models.heads.forest import fit_forest
from photogenic.models.heads.kernel import fit_kernel
from photogenic.models.heads.linear import CLASSIC, fit_classic
from photogenic.models.heads.mlp import DEPTHS
from photogenic.models.heads.spark_svm import MLLIB, fit_mllib
from photogenic.warehouse import InputError, Progress, no_progress

__all__ = ["ALIASES", "ENSEMBLE", "HEADS", "fit_all", "pairs"]

ENSEMBLE = "ensemble"
HEADS = (*DEPTHS, *CLASSIC, "random_forest", "kernel", MLLIB, ENSEMBLE)
"""Every head that can be asked for; an ensemble is made of the others."""

ALIASES = {"svm": "linear_svm"}
"""Shorter names that are understood too."""


def fit_all(
    experiments: Mapping[str, Experiment],
    wanted: Sequence[tuple[str, str]],
    *,
    grid: Grid,
    seed: int,
    device: str,
    master: str | None = None,
    progress: Progress = no_progress,
) -> dict[tuple[str, str], Fitted]:
    """(target, head) -> the head; with folds, the heads of all folds as one.

    Args:
        experiments: by target name, of one encoder, setup and division.
        wanted: pairs of target name and head.
        grid: what dev chooses from, for layers.
        seed: of everything that is drawn.
        device: of the layers, as torch calls it.
        master: of the Spark that trains `mllib_svm`; None: `local[*]`.
        progress: hears of updates.
    """
    deep = [pair for pair in wanted if pair[1] in DEPTHS]
    found: dict[tuple[str, str], list[Fitted]] = {pair: [] for pair in wanted}
    n_parts = max((len(experiments[name].parts) for name, _ in wanted), default=0)
    for place in range(n_parts):
        samples = {name: experiments[name].part(place) for name in dict.fromkeys(name for name, _ in wanted)}
        layers = fit_heads(
            {name: rows for name, rows in samples.items() if any(name == other for other, _ in deep)},
            [head for head in DEPTHS if any(head == other for _, other in deep)],
            seed=seed,
            grid=grid,
            device=device,
            progress=progress,
        )
        for name, head in wanted:
            own, rows = experiments[name], samples[name]
            if head in DEPTHS:
                fit = layers[name, head]
            elif head in CLASSIC:
                fit = fit_classic(rows, head, own.target, seed=seed)
            elif head == "random_forest":
                fit = fit_forest(rows, own.target, seed=seed)
            elif head == MLLIB:
                fit = fit_mllib(rows, own.target, master=master, seed=seed, progress=progress)
            else:
                fit = fit_kernel(rows, own.target, own.dims, seed=seed, progress=progress)
            found[name, head].append(fit)
    return {pair: combined(fits) for pair, fits in found.items()}


def pairs(targets: Sequence[Target], heads: Sequence[str], progress: Progress) -> list[tuple[Target, str]]:
    """Every target with every head that can learn it, the ensemble excepted.

    Raises:
        InputError: there is no such pair.
    """
    found = []
    for target in targets:
        for head in heads:
            if head == ENSEMBLE:
                continue
            if _suits(head, target):
                found.append((target, head))
            else:
                progress.note(f"{head} cannot learn {target.name}: left out.")
    if not found:
        raise InputError(
            f"Nothing to train: {', '.join(heads)} cannot learn {', '.join(t.name for t in targets)}.",
            "ridge for like_ratio; linear_svm, logistic or mllib_svm for popular and gender; the other heads for all; "
            "an ensemble beside heads that it is made of",
            "--head 0fc",
        )
    return found


def _suits(head: str, target: Target) -> bool:
    """Whether `head` can learn `target`; layers learn every target."""
    if head == MLLIB:
        return target.loss == "log_loss"
    return head not in CLASSIC or CLASSIC[head].loss == target.loss
