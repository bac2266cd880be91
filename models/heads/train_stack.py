"""Train a stack of heads with Adam: the published schedule, evaluations on dev, and the best state of each head.

Heads that differ only in learning rate and penalty are a family; dev will select one of them. A head that has not
improved for several evaluations leaves the stack, and its family leaves when its best head does; the others run faster.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from photogenic._lazy import torch
from photogenic.models.heads.mlp import WIDTH
from photogenic.models.heads.stacked_mlp import Member, Stack

__all__ = ["PUBLISHED", "Schedule", "Trained", "train_stack"]


@dataclass(frozen=True, slots=True)
class Schedule:
    """Published schedule: batches of 256, at most 20 epochs, exponential decay of the learning rate by a factor of 100.

    On the published data sets this gives about 4,500 updates. A head needs updates, not epochs, so small sets are
    repeated until they have as many updates.

    Attributes:
        batch: photos per update.
        epochs: largest number of epochs, if they give at least `least_updates`.
        decay: learning rate at the start divided by that at the end.
        evaluations: approximate number of evaluations on dev; once per epoch if epochs are long.
        patience: evaluations without improvement after which a member stops. If it is the best of its learning rates
            and penalties, they all stop.
    """

    batch: int = 256
    epochs: int = 20
    least_updates: int = 4500
    decay: float = 100.0
    evaluations: int = 90
    patience: int = 10

    def updates(self, n: int) -> int:
        """Return the number of updates for `n` training photos."""
        return max(self.epochs * math.ceil(n / self.batch), self.least_updates)

    def extends(self, n: int) -> bool:
        """Return whether `n` photos need more epochs than the published number."""
        return self.epochs * math.ceil(n / self.batch) < self.least_updates

    def every(self, n: int) -> int:
        """Return the number of updates between two evaluations on dev: one epoch, or several short ones."""
        return max(math.ceil(n / self.batch), self.updates(n) // self.evaluations)


PUBLISHED = Schedule()

_SAMPLE = 2048
"""Largest number of train photos for the train curve; more would cost too much time."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A member at its best evaluation on dev.

    Attributes:
        head: arrays of the head, in the layout of `models.heads.mlp`.
        curve: (updates, dev loss) of every evaluation.
        train_curve: (updates, train loss) of every evaluation, on at most `_SAMPLE` train photos.
        updates: number of updates of the kept head.
        dev_loss: lowest loss of the curve.
    """

    member: Member
    head: dict[str, torch.Tensor]
    curve: list[tuple[int, float]]
    train_curve: list[tuple[int, float]]
    updates: int
    dev_loss: float


def train_stack(
    train: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    dev: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    members: Sequence[Member],
    generator: torch.Generator,
    *,
    width: int = WIDTH,
    schedule: Schedule = PUBLISHED,
    advance: Callable[[int], None] = lambda _: None,
    stopped: Callable[[int], None] = lambda _: None,
) -> list[Trained]:
    """Train all `members` on the same batches, and keep the best state of each on dev.

    Args:
        train: X float32 (n, d), standardized, on the device of the training; y and weight float32 (n, columns). The
            loss of a batch is the mean of `weight * loss`, with the weights scaled to mean 1 over train, so that the
            expected gradient is right.
        dev: the same three arrays for dev; the loss on dev is the weighted mean.
        generator: random generator on the CPU. It draws two seeds, one for the initial heads and one for the order of
            the epochs, so that neither depends on the other members.
        members: heads to train.
        width: width of hidden layers.
        schedule: batches, updates, decay and early stopping.
        advance: callback for progress, called with the number of updates.
        stopped: callback for progress, called with the number of members that have stopped.

    Returns:
        One `Trained` per member, in the given order.
    """
    X, y, weight = train
    weight = weight / weight.mean(0)
    n = len(X)
    updates, every = schedule.updates(n), schedule.every(n)
    start, order = _two_seeds(generator)
    stack = Stack.drawn(members, X.shape[1], width, X.device, seed=start)
    inside = list(range(len(members)))  # indices of the members that are still in the stack
    kept = [Trained(member, {}, [], [], 0, math.inf) for member in members]
    some = torch.randperm(n, generator=torch.Generator().manual_seed(order))[:_SAMPLE].to(X.device)
    learnt = X[some], y[some], weight[some]
    families = _families(members)
    for step, rows in enumerate(_batches(n, schedule.batch, updates, order), start=1):
        here = rows.to(X.device)
        stack.update(X[here], y[here], weight[here], schedule.decay ** (-(step - 1) / updates))
        if step % every == 0 or step == updates:
            on_dev, on_train = stack.losses(*dev), stack.losses(*learnt)
            for place, (k, loss, fit) in enumerate(zip(inside, on_dev, on_train, strict=True)):
                kept[k] = _updated(kept[k], step, loss, fit, stack.head(place))
            late = [step - trained.updates >= schedule.patience * every for trained in kept]
            families = [f for f in families if not late[_best(kept, f)]]
            going_on = sorted(k for family in families for k in family if not late[k])
            stopped(len(inside) - (len(going_on) if step < updates else 0))
            if not going_on:
                break
            if len(going_on) < len(inside):
                stack, inside = stack.only([inside.index(k) for k in going_on]), going_on
        advance(1)
    return kept


def _two_seeds(generator: torch.Generator) -> tuple[int, int]:

    start, order = torch.randint(2**62, (2,), generator=generator).tolist()
    return start, order


def _families(members: Sequence[Member]) -> list[list[int]]:
    """Return the positions of the members of each family: they differ only in learning rate and penalty."""
    found: dict[tuple[str, int, str, str], list[int]] = {}
    for k, m in enumerate(members):
        found.setdefault((m.head, m.column, m.loss, m.link), []).append(k)
    return list(found.values())


def _batches(n: int, batch: int, updates: int, seed: int) -> Iterator[torch.Tensor]:
    """Yield `updates` batches of row numbers, epoch after epoch, each epoch in a new random order."""
    generator, done = torch.Generator().manual_seed(seed), 0
    while done < updates:
        for rows in torch.split(torch.randperm(n, generator=generator), batch)[: updates - done]:
            yield rows
            done += 1


def _best(kept: Sequence[Trained], family: Sequence[int]) -> int:
    """Return the member of a family with the lowest dev loss so far."""
    return min(family, key=lambda k: kept[k].dev_loss)


def _updated(kept: Trained, step: int, loss: float, on_train: float, head: dict[str, torch.Tensor]) -> Trained:
    curves = [*kept.curve, (step, loss)], [*kept.train_curve, (step, on_train)]
    if loss < kept.dev_loss:
        return Trained(kept.member, {name: array.clone() for name, array in head.items()}, *curves, step, loss)
    return Trained(kept.member, kept.head, *curves, kept.updates, kept.dev_loss)
