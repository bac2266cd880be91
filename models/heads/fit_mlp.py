"""Fit the fully connected heads of one encoder in one pass, for all targets with the same photos."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from photogenic._lazy import torch
from photogenic.features.encoders.device import torch_threads
from photogenic.models.data.samples import Samples, Standardisation
from photogenic.models.data.targets import TARGETS, Target
from photogenic.models.heads.base import Fitted
from photogenic.models.heads.grid import Grid
from photogenic.models.heads.model import Link, Model
from photogenic.models.heads.stacked_mlp import Loss, Member
from photogenic.models.heads.train_stack import Trained, train_stack
from photogenic.warehouse import Progress, no_progress

__all__ = ["constant", "fit_layers"]

_SMALL = 1 << 26
"""Number of multiplications in the largest product of a batch below which one thread is faster than several."""


def constant(samples: Samples) -> float:
    """Return the weighted mean label, the prediction of the best constant."""
    return float(np.average(samples.y.astype(np.float64), weights=samples.weight))


def fit_layers(
    samples: Mapping[str, Samples],
    heads: Sequence[str],
    *,
    seed: int,
    grid: Grid,
    device: str = "cpu",
    progress: Progress = no_progress,
    targets: Mapping[str, Target] = TARGETS,
) -> dict[tuple[str, str], Fitted]:
    """Return (target, head) -> the member of the grid with the lowest dev loss.

    Targets with the same photos are trained together; other targets (people of unknown gender are not in gender heads)
    take a separate pass. The result for a head does not depend on the other heads of the pass.

    Args:
        samples: samples by target name, of one encoder and setup.
        heads: names from `models.heads.mlp.DEPTHS`.
        seed: seed of the initial heads and of the order of photos.
        grid: hyperparameter grid.
        device: device for torch: cpu, cuda or cuda:1.
        progress: callback for progress updates.
        targets: targets by name.
    """
    passes: dict[tuple[bytes, bytes], dict[str, Samples]] = {}
    for name, rows in samples.items():
        passes.setdefault((rows.photo_ids.tobytes(), rows.split.tobytes()), {})[name] = rows
    found: dict[tuple[str, str], Fitted] = {}
    for together in passes.values():
        kinds = [targets[name] for name in together]
        found |= _one_pass(kinds, together, heads, seed=seed, grid=grid, device=device, progress=progress)
    return found


def _one_pass(
    targets: Sequence[Target],
    samples: Mapping[str, Samples],
    heads: Sequence[str],
    *,
    seed: int,
    grid: Grid,
    device: str,
    progress: Progress,
) -> dict[tuple[str, str], Fitted]:
    """Do the work of `fit_layers` for targets that have the same photos in the same order."""
    names, train = list(samples), [rows.part("train") for rows in samples.values()]
    dev = [rows.part("dev") for rows in samples.values()]
    n, dim = train[0].X.shape
    standardise, updates = Standardisation.of(train[0].X), grid.schedule.updates(n)
    members = [
        Member(head, column, of.loss, _link(of.loss), rate, penalty, _start(of.loss, constant(rows)))
        for column, (of, rows) in enumerate(zip(targets, train, strict=True))
        for head in heads
        for rate in grid.learning_rates
        for penalty in grid.penalties_for(head, of.loss, n, dim)
    ]
    work = min(n, grid.schedule.batch) * dim * sum(1 if m.head == "0fc" else grid.width for m in members)
    threads = torch_threads(1 if work < _SMALL and device == "cpu" else None)
    heads_done = progress.stage(f"heads on {n:,} photos", len(members), "heads")
    with threads, heads_done as stopped, progress.stage("updates", updates, "updates", at_most=True) as advance:
        trained = train_stack(
            _tensors(train, standardise, device),
            _tensors(dev, standardise, device),
            members,
            torch.Generator().manual_seed(seed),
            width=grid.width,
            schedule=grid.schedule,
            advance=advance,
            stopped=stopped,
        )
    schedule = grid.schedule
    facts = {
        "seed": seed,
        "width": grid.width,
        "batch": schedule.batch,
        "decay": schedule.decay,
        "most_updates": updates,
        "most_epochs": round(updates / math.ceil(n / schedule.batch), 1),
        "small_set": schedule.extends(n),
    }
    return dict(_select_members(names, heads, trained, standardise, facts))


def _start(loss: Loss, mean: float) -> float:
    """Return the output of a head that predicts `mean`."""
    inside = min(max(mean, 1e-6), 1 - 1e-6)
    return math.log(inside / (1 - inside)) if loss == "log_loss" else mean


def _link(loss: Loss) -> Link:
    """Return the link. Squared error has none: on the rated faces a sigmoid did not help 0fc and harmed the others."""
    return "sigmoid" if loss == "log_loss" else "identity"


def _select_members(
    names: Sequence[str],
    heads: Sequence[str],
    trained: Sequence[Trained],
    standardise: Standardisation,
    facts: Mapping[str, Any],
) -> Iterator[tuple[tuple[str, str], Fitted]]:
    """Yield, for each target and head, the member with the lowest dev loss."""
    for column, name in enumerate(names):
        for head in heads:
            family = [t for t in trained if (t.member.column, t.member.head) == (column, head)]
            best = min(family, key=lambda t: t.dev_loss)
            arrays = {key: array.cpu().numpy() for key, array in best.head.items()}
            arrays |= {"mean": standardise.mean, "scale": standardise.scale}
            chosen = {"learning_rate": best.member.learning_rate, "penalty": best.member.penalty}
            grid = [
                {
                    "learning_rate": t.member.learning_rate,
                    "penalty": t.member.penalty,
                    "dev_loss": t.dev_loss,
                    "updates": t.updates,
                }
                for t in family
            ]
            yield (
                (name, head),
                Fitted(
                    model=Model("fc", best.member.link, arrays),
                    dev_loss=best.dev_loss,
                    hyperparameters={**facts, **chosen, "stopped_at": best.updates},
                    results={"curve": best.curve, "train_curve": best.train_curve, "grid": grid},
                ),
            )


def _tensors(
    parts: Sequence[Samples], standardise: Standardisation, device: str
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return X (n, d), y (n, targets), weight (n, targets) on the device."""
    y, weight = (np.stack([getattr(rows, name) for rows in parts], 1) for name in ("y", "weight"))
    return (
        torch.from_numpy(standardise(parts[0].X)).to(device),
        torch.from_numpy(y).to(device),
        torch.from_numpy(weight).to(device),
    )
