"""Adam on a stack of heads: the published schedule, dev looked at now and then, each head kept at its best.

Heads that differ in learning rate and penalty only are a family, of which dev will choose one. A head that
has not improved for some looks leaves the stack, a family with its best one; the others go on, faster.
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
    """Published: batches of 256, at most 20 epochs, the learning rate decayed 100-fold exponentially.

    The published sets make that about 4,500 updates, and updates, not epochs, are what a head needs
    to get anywhere: a small set is therefore passed over until it has had as many.

    Attributes:
        batch: photos per update.
        epochs: at most, where they come to `least_updates`.
        decay: learning rate at the start over that at the end.
        evaluations: how often, about, dev is looked at; once an epoch where epochs are long.
        patience: looks without improvement after which a member stops; when it is the best of its
            learning rates and penalties, so do they all.
    """

    batch: int = 256
    epochs: int = 20
    least_updates: int = 4500
    decay: float = 100.0
    evaluations: int = 90
    patience: int = 10

    def updates(self, n: int) -> int:
        """For `n` training photos."""
        return max(self.epochs * math.ceil(n / self.batch), self.least_updates)

    def extends(self, n: int) -> bool:
        """Whether `n` photos get more epochs than the published ones."""
        return self.epochs * math.ceil(n / self.batch) < self.least_updates

    def every(self, n: int) -> int:
        """Updates between two looks at dev: an epoch, or several where epochs are short."""
        return max(math.ceil(n / self.batch), self.updates(n) // self.evaluations)


PUBLISHED = Schedule()

_SAMPLE = 2048
"""Photos of train whose loss is looked at beside dev's: of more, the curve would cost as much as it shows."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A member at its best look at dev.

    Attributes:
        head: its arrays, as `models.heads.mlp` lays them out.
        curve: (updates, dev loss) of every look.
        train_curve: (updates, train loss) likewise, on at most `_SAMPLE` of its photos.
        updates: those that the kept head has had.
        dev_loss: the least of the curve.
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
) -> list[Trained]:
    """Train all `members` on the same batches; keep each as it was at its own best look at dev.

    Args:
        train: X float32 (n, d), standardised, on the device to train on; y and weight float32
            (n, columns). A batch's loss is the mean of `weight * loss` with the weights scaled to
            mean 1 over train, so that its gradient is right on average.
        dev: the same three of the dev split; its loss is the weighted mean.
        generator: on the CPU; draws two seeds, of the initial heads and of the order of the epochs,
            so that company changes neither.
        members: the heads to train.
        width: of their hidden layers.
        schedule: batches, updates, decay.
        advance: hears of each update.

    Returns:
        One `Trained` per member, in the order given.
    """
    X, y, weight = train
    weight = weight / weight.mean(0)
    n = len(X)
    updates, every = schedule.updates(n), schedule.every(n)
    start, order = _two_seeds(generator)
    stack = Stack.drawn(members, X.shape[1], width, X.device, seed=start)
    inside = list(range(len(members)))  # which members the stack holds
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
                kept[k] = _newer(kept[k], step, loss, fit, stack.head(place))
            late = [step - trained.updates >= schedule.patience * every for trained in kept]
            families = [f for f in families if not late[_best(kept, f)]]
            going_on = sorted(k for family in families for k in family if not late[k])
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
    """Positions of the members that differ in learning rate and penalty only: dev chooses one of each family."""
    found: dict[tuple[str, int, str, str], list[int]] = {}
    for k, m in enumerate(members):
        found.setdefault((m.head, m.column, m.loss, m.link), []).append(k)
    return list(found.values())


def _batches(n: int, batch: int, updates: int, seed: int) -> Iterator[torch.Tensor]:
    """`updates` batches of row numbers, epoch after epoch, each epoch in a new order."""
    generator, done = torch.Generator().manual_seed(seed), 0
    while done < updates:
        for rows in torch.split(torch.randperm(n, generator=generator), batch)[: updates - done]:
            yield rows
            done += 1


def _best(kept: Sequence[Trained], family: Sequence[int]) -> int:
    """Of a family, the member with the least dev loss so far."""
    return min(family, key=lambda k: kept[k].dev_loss)


def _newer(kept: Trained, step: int, loss: float, on_train: float, head: dict[str, torch.Tensor]) -> Trained:
    curves = [*kept.curve, (step, loss)], [*kept.train_curve, (step, on_train)]
    if loss < kept.dev_loss:
        return Trained(kept.member, {name: array.clone() for name, array in head.items()}, *curves, step, loss)
    return Trained(kept.member, kept.head, *curves, kept.updates, kept.dev_loss)
