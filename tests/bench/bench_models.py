"""Compare training of all heads, learning rates and targets in one pass with a plain loop that trains one at a time.

    python -m tests.bench.bench_models             two epochs of the published twenty; six of 0fc alone, which is
                                                   done sooner than the vectors are loaded
    python -m tests.bench.bench_models --epochs 20

76,000 photos of 2,048 numbers, the size of the published data; {0fc, 1fc, 2fc} x 6 learning rates x 2
targets. Both sides train the same heads on the same batches and evaluate dev after each epoch.
The plain loop is usual torch code (nn.Sequential, autograd, Adam) on the same threads.
Targets: at least 2 x for the grid, 4 x for 0fc alone, within 8 GB. With a GPU both sides train on it, and the
target is 4 x for both. Seconds are given as elapsed and as CPU time: on a busy machine CPU time is more reliable.

Both must agree in double precision, where every dev loss is equal up to `SAME`. In single precision a rate as large
as 3e-2 amplifies rounding errors, until layers die in one and not in the other; a loop that adds in another order
differs from itself as much. The difference is printed for rates up to 3e-3 and for all rates.
"""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import replace

import numpy as np
import torch

from photogenic.features.encoders.device import choose
from photogenic.models.data.samples import Samples, Standardisation
from photogenic.models.heads.fit_mlp import constant, fit_layers
from photogenic.models.heads.grid import Grid
from photogenic.models.heads.stacked_mlp import Member
from photogenic.models.heads.train_stack import PUBLISHED, train_stack
from tests.models.plain_loop import train_alone

N, DIM = 76_000, 2048
GENTLE = 3e-3
"""Rates that do not amplify rounding errors."""

SAME = 1e-10
"""Largest relative difference of dev losses in double precision."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--photos", type=int, default=N)
    args = parser.parse_args()
    samples, device = _drawn(args.photos), choose().name
    where = torch.cuda.get_device_name() if device != "cpu" else f"{torch.get_num_threads()} threads"
    print(f"{args.photos:,} photos x {DIM}, {where}")
    print(f"in double precision dev losses differ by at most {_agreement(samples, args.photos):.1e} of themselves")
    once = replace(PUBLISHED, epochs=1, least_updates=1)
    fit_layers(samples, ["0fc"], seed=0, grid=Grid(penalties=(0.0,), schedule=once), device=device)  # warm
    for heads, times in ((["0fc"], 3), (["0fc", "1fc", "2fc"], 1)):
        schedule = replace(PUBLISHED, epochs=times * args.epochs, least_updates=1, patience=times * args.epochs + 1)
        grid = Grid(penalties=(0.0,), schedule=schedule)
        began, worked = time.perf_counter(), time.process_time()
        together = fit_layers(samples, heads, seed=0, grid=grid, device=device)
        in_one_pass, of_one_pass = time.perf_counter() - began, time.process_time() - worked
        began, worked = time.perf_counter(), time.process_time()
        worst, gentle, where = 0.0, 0.0, ""
        parts = [tuple(array.to(device) for array in part) for part in _tensors(samples)]
        for (target, head), fitted in together.items():
            for line in fitted.results["grid"]:
                member = _member(samples, target, head, line["learning_rate"])
                _, curve = train_alone(
                    *parts, member, torch.Generator().manual_seed(0), width=grid.width, schedule=schedule
                )
                off = abs(min(loss for _, loss in curve) - line["dev_loss"]) / line["dev_loss"]
                gentle = max(gentle, off) if line["learning_rate"] <= GENTLE else gentle
                if off >= worst:
                    worst, where = off, f"{target} {head} {line['learning_rate']:g}"
        one_by_one, of_one_by_one = time.perf_counter() - began, time.process_time() - worked
        n_heads = sum(len(fitted.results["grid"]) for fitted in together.values())
        print(
            f"{'+'.join(heads):12} {schedule.epochs} epochs, {n_heads} heads: "
            f"one pass {in_one_pass:.1f} s, plain loop {one_by_one:.1f} s, ratio {one_by_one / in_one_pass:.2f}; "
            f"CPU {of_one_pass:.1f} s and {of_one_by_one:.1f} s, ratio {of_one_by_one / of_one_pass:.2f}; "
            f"dev losses differ by at most {gentle:.1e} of themselves for rates up to {GENTLE:g}, "
            f"{worst:.1e} for all ({where})"
        )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GB, the plain loop's included")


def _agreement(samples: dict[str, Samples], n: int) -> float:
    """Return the largest relative difference of dev losses over all 36 heads; a tenth of the photos, one epoch.

    Raises:
        SystemExit: the difference is larger than rounding errors.
    """
    rows = slice(0, n // 10)
    few = {name: Samples(*(getattr(of, column)[rows] for column in Samples.__slots__)) for name, of in samples.items()}
    schedule, rates = replace(PUBLISHED, epochs=1, least_updates=1), Grid().learning_rates
    members = [_member(few, name, head, rate) for name in few for head in ("0fc", "1fc", "2fc") for rate in rates]
    torch.set_default_dtype(torch.float64)
    try:
        train, dev = (tuple(array.double() for array in part) for part in _tensors(few))
        stack = train_stack(train, dev, members, torch.Generator().manual_seed(0), schedule=schedule)
        worst = 0.0
        for member, trained in zip(members, stack, strict=True):
            _, curve = train_alone(
                train, dev, member, torch.Generator().manual_seed(0), width=Grid().width, schedule=schedule
            )
            worst = max(worst, abs(curve[-1][1] - trained.curve[-1][1]) / curve[-1][1])
    finally:
        torch.set_default_dtype(torch.float32)
    if worst > SAME:
        raise SystemExit(f"The stack is not the plain loop: dev losses differ by {worst:.1e} of themselves.")
    return worst


def _drawn(n: int) -> dict[str, Samples]:
    """Return two targets of the same photos, each a noisy function of the vector."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, DIM), np.float32)
    score = X[:, :8].sum(1) / 3 + rng.standard_normal(n, np.float32)
    ids = np.char.mod("p%d", np.arange(n))
    split = np.array(["train"] * 8 + ["dev", "test"])[np.arange(n) % 10]
    targets = {"like_ratio": 1 / (1 + np.exp(-score)), "gender": X[:, 9] + X[:, 10] * X[:, 11] > 0}
    weights = {"like_ratio": rng.integers(1, 400, n), "gender": np.ones(n)}
    blank = np.zeros(n, np.str_)
    return {
        name: Samples(ids, ids, X, y.astype(np.float32), weights[name].astype(np.float32), blank, split)
        for name, y in targets.items()
    }


def _tensors(samples: dict[str, Samples]) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Return train and dev: standardized X, y and weight of both targets."""
    first = next(iter(samples.values()))
    standardise, made = Standardisation.of(first.part("train").X), []
    for split in ("train", "dev"):
        parts = [rows.part(split) for rows in samples.values()]
        columns = (np.stack([getattr(part, name) for part in parts], 1) for name in ("y", "weight"))
        made.append((torch.from_numpy(standardise(parts[0].X)), *map(torch.from_numpy, columns)))
    return made


def _member(samples: dict[str, Samples], target: str, head: str, rate: float) -> Member:
    mean, column = constant(samples[target].part("train")), list(samples).index(target)
    if target == "gender":
        return Member(head, column, "log_loss", "sigmoid", rate, 0.0, float(np.log(mean / (1 - mean))))
    return Member(head, column, "mse", "identity", rate, 0.0, mean)


if __name__ == "__main__":
    main()
