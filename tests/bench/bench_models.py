"""Every head, learning rate and target in one pass, against a plain loop that trains them one after another.

    python -m tests.bench.bench_models             two epochs of the published twenty; six of 0fc alone, which is
                                                   done sooner than the vectors are loaded
    python -m tests.bench.bench_models --epochs 20

76,000 photos of 2,048 numbers, the size of the published data; {0fc, 1fc, 2fc} x 6 learning rates x 2
targets. Both sides train the same heads on the same batches, look at dev after each epoch, and must agree.
The plain loop is torch as everybody writes it (nn.Sequential, autograd, Adam), on the same threads.
Targets: at least 2 x for the grid, 4 x for 0fc alone, within 8 GB.
"""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import replace

import numpy as np
import torch

from models.descent import PUBLISHED
from models.fitting import Grid, constant, fit_heads
from models.samples import Samples, Standardisation
from models.stack import Member
from tests.models.plain_loop import train_alone

N, DIM = 76_000, 2048


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--photos", type=int, default=N)
    args = parser.parse_args()
    samples = _drawn(args.photos)
    print(f"{args.photos:,} photos x {DIM}, {torch.get_num_threads()} threads")
    once = replace(PUBLISHED, epochs=1, least_updates=1)
    fit_heads(samples, ["0fc"], seed=0, grid=Grid(penalties=(0.0,), schedule=once))  # warm
    for heads, times in ((["0fc"], 3), (["0fc", "1fc", "2fc"], 1)):
        schedule = replace(PUBLISHED, epochs=times * args.epochs, least_updates=1, patience=times * args.epochs + 1)
        grid = Grid(penalties=(0.0,), schedule=schedule)
        began = time.perf_counter()
        together = fit_heads(samples, heads, seed=0, grid=grid)
        in_one_pass = time.perf_counter() - began
        began = time.perf_counter()
        worst, where = 0.0, ""
        parts = _tensors(samples)
        for (target, head), fitted in together.items():
            for line in fitted.results["grid"]:
                member = _member(samples, target, head, line["learning_rate"])
                _, curve = train_alone(
                    *parts, member, torch.Generator().manual_seed(0), width=grid.width, schedule=schedule
                )
                off = abs(min(loss for _, loss in curve) - line["dev_loss"]) / line["dev_loss"]
                if off >= worst:
                    worst, where = off, f"{target} {head} {line['learning_rate']:g}"
        one_by_one = time.perf_counter() - began
        n_heads = sum(len(fitted.results["grid"]) for fitted in together.values())
        print(
            f"{'+'.join(heads):12} {schedule.epochs} epochs, {n_heads} heads: "
            f"one pass {in_one_pass:.1f} s, plain loop {one_by_one:.1f} s, ratio {one_by_one / in_one_pass:.2f}; "
            f"dev losses differ by at most {worst:.1e} of themselves ({where})"
        )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GB, the plain loop's included")


def _drawn(n: int) -> dict[str, Samples]:
    """Two targets of the same photos, each a noisy function of the vector."""
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
    """Train and dev: standardised X, y and weight of both targets."""
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
