"""Many heads trained in one pass: every head of an encoder, every learning rate, every target.

All members see the same batches, so their first layers are one matrix, (rows, d), and one product
per step: `X @ first.T`. Row blocks belong to members: one row for 0fc, `width` rows for the others.
Second layers are a batched product; gradients are written out by hand into buffers that are made
once; Adam runs fused, one parameter group per (learning rate, penalty), on views of those buffers.

    K members = n0 of depth 0, n1 of depth 1, n2 of depth 2, in this order; H = width; B = batch
    first.weight   (n0 + (n1 + n2) H, d)      Z1 = X first.T + bias                (B, rows)
    second.weight  (n2, H, H)                 Z2 = relu(Z1 of 2fc) second.T + bias (n2, B, H)
    output.weight  (n1 + n2, H)               F  = last hidden . output + bias     (B, K)

The answer of each member is that of a loop which trains it alone (tests/models/test_stack.py does).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from models.heads import DEPTHS, WIDTH, initial_head
from models.model import Link

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["PUBLISHED", "Loss", "Member", "Schedule", "Trained", "train_stack"]

Loss = Literal["mse", "log_loss"]


@dataclass(frozen=True, slots=True)
class Member:
    """One head to train.

    Attributes:
        head: 0fc, 1fc or 2fc.
        column: of `y` and `weight`, its target.
        loss: weighted mean of squared error or of cross-entropy; `y` may be a ratio in both.
        link: what is applied to the output; `log_loss` needs the sigmoid.
        learning_rate: of Adam, at the start of the decay.
        penalty: l2 in `loss + l2 / 2 |weights|^2`, biases excepted.
        constant: the weighted mean of the target in train, where training starts.
    """

    head: str
    column: int
    loss: Loss
    link: Link
    learning_rate: float
    penalty: float
    constant: float


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
        patience: looks after which training stops when none of the learning rates and penalties of a
            head has improved on the best of them.
    """

    batch: int = 256
    epochs: int = 20
    least_updates: int = 4500
    decay: float = 100.0
    evaluations: int = 90
    patience: int = 20

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


@dataclass(frozen=True, slots=True)
class Trained:
    """A member at its best look at dev.

    Attributes:
        head: its arrays, as `models.heads` lays them out.
        curve: (updates, dev loss) of every look.
        updates: those that the kept head has had.
        dev_loss: the least of the curve.
    """

    member: Member
    head: dict[str, Tensor]
    curve: list[tuple[int, float]]
    updates: int
    dev_loss: float


def train_stack(
    train: tuple[Tensor, Tensor, Tensor],
    dev: tuple[Tensor, Tensor, Tensor],
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
    stack = _Stack(members, X.shape[1], width, X.device, start)
    kept = [Trained(member, {}, [], 0, math.inf) for member in members]
    families = _families(members)
    for step, rows in enumerate(_batches(n, schedule.batch, updates, order), start=1):
        here = rows.to(X.device)
        stack.update(X[here], y[here], weight[here], schedule.decay ** (-(step - 1) / updates))
        if step % every == 0 or step == updates:
            losses = stack.losses(*dev)
            for k in itertools.chain.from_iterable(families):
                kept[k] = _newer(kept[k], step, losses[k], stack.head(k))
            best = [min((kept[k] for k in family), key=lambda t: t.dev_loss) for family in families]
            since = [step - trained.updates for trained in best]
            families = [f for f, late in zip(families, since, strict=True) if late < schedule.patience * every]
            if not families:
                break
        advance(1)
    return kept


class _Stack:
    """The buffers of all members: `values` and `gradients` by name, and Adam on views of both."""

    def __init__(self, members: Sequence[Member], dim: int, width: int, device: torch.device, seed: int) -> None:
        import torch

        self.members, self.width = members, width
        order = sorted(range(len(members)), key=lambda k: (DEPTHS[members[k].head], _group(members[k])))
        self.place = {k: place for place, k in enumerate(order)}
        self.n = [sum(DEPTHS[m.head] == depth for m in members) for depth in range(3)]
        n0, n1, n2 = self.n
        rows, deep, h = n0 + (n1 + n2) * width, n1 + n2, width
        shapes: dict[str, tuple[int, ...]] = {
            "first.weight": (rows, dim),
            "first.bias": (rows,),
            "second.weight": (n2, h, h),
            "second.bias": (n2, h),
            "output.weight": (deep, h),
            "output.bias": (deep,),
        }
        self.values = {name: torch.zeros(shape, device=device) for name, shape in shapes.items()}
        self.gradients = {name: torch.zeros(shape, device=device) for name, shape in shapes.items()}

        for k, member in enumerate(members):
            fresh = torch.Generator().manual_seed(seed)  # the same start for every learning rate of a head
            start = initial_head(DEPTHS[member.head], dim, width, member.constant, fresh)
            for name, view in self.head(k).items():
                view.copy_(start[name])
        ordered = [members[k] for k in order]
        self.column = torch.tensor([m.column for m in ordered], device=device)
        self.sigmoid = torch.tensor([m.link == "sigmoid" for m in ordered], device=device)
        self.squared = torch.tensor([m.loss == "mse" for m in ordered], device=device)
        self.adam = torch.optim.Adam(self._groups(ordered), fused=True)
        self.rates = [group["lr"] for group in self.adam.param_groups]

    def head(self, k: int) -> dict[str, Tensor]:
        """Views of member `k`'s arrays, named as `models.heads` names them."""
        (n0, n1, _), h, v = self.n, self.width, self.values
        place, depth = self.place[k], DEPTHS[self.members[k].head]
        if depth == 0:
            return {"output.weight": v["first.weight"][place], "output.bias": v["first.bias"][place]}
        deep = place - n0
        rows = slice(n0 + deep * h, n0 + (deep + 1) * h)
        head = {"hidden.0.weight": v["first.weight"][rows], "hidden.0.bias": v["first.bias"][rows]}
        if depth == 2:
            head |= {"hidden.1.weight": v["second.weight"][deep - n1], "hidden.1.bias": v["second.bias"][deep - n1]}
        return head | {"output.weight": v["output.weight"][deep], "output.bias": v["output.bias"][deep]}

    def losses(self, X: Tensor, y: Tensor, weight: Tensor) -> list[float]:
        """The weighted mean loss of every member, in the order of `members`."""
        import torch

        total = torch.zeros(len(self.members), dtype=torch.float64, device=X.device)
        for rows in torch.split(torch.arange(len(X), device=X.device), 1024):
            output = self._forward(X[rows])[-1]
            total += (self._loss(output, y[rows][:, self.column]) * weight[rows][:, self.column]).sum(0)
        mean = (total / weight.sum(0, dtype=torch.float64)[self.column]).tolist()
        return [mean[self.place[k]] for k in range(len(self.members))]

    def update(self, X: Tensor, y: Tensor, weight: Tensor, decay: float) -> None:
        """One step of Adam for every member on one batch, at `decay` of its learning rate."""
        layers = self._forward(X)
        self._backward(X, *layers[:-1], self._slope(layers[-1], y[:, self.column]) * weight[:, self.column] / len(X))
        for group, rate in zip(self.adam.param_groups, self.rates, strict=True):
            group["lr"] = rate * decay
        self.adam.step()

    def _forward(self, X: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Hidden layers A1 (B, n1, H), A2 (n2, B, H), A3 (n2, B, H) and outputs F (B, K)."""
        import torch

        (n0, n1, n2), h, v = self.n, self.width, self.values
        Z = torch.addmm(v["first.bias"], X, v["first.weight"].T)  # (B, rows)
        hidden = Z[:, n0:].relu_().view(len(X), n1 + n2, h)
        A1, A2 = hidden[:, :n1], hidden[:, n1:].transpose(0, 1)
        A3 = torch.baddbmm(v["second.bias"][:, None], A2, v["second.weight"].transpose(1, 2)).relu_()
        out = v["output.weight"]
        F1 = (A1 * out[:n1]).sum(2)  # (B, n1)
        F2 = torch.bmm(A3, out[n1:, :, None])[:, :, 0].T  # (B, n2)
        return A1, A2, A3, torch.cat([Z[:, :n0], torch.cat([F1, F2], 1) + v["output.bias"]], 1)

    def _backward(self, X: Tensor, A1: Tensor, A2: Tensor, A3: Tensor, dF: Tensor) -> None:
        """Fill `gradients`, given those of the outputs, dF (B, K)."""
        import torch

        (n0, n1, n2), h, v, g = self.n, self.width, self.values, self.gradients
        out, dF1, dF2 = v["output.weight"], dF[:, n0 : n0 + n1], dF[:, n0 + n1 :].T  # dF2 (n2, B)
        g["output.bias"].copy_(dF[:, n0:].sum(0))
        g["output.weight"][:n1] = (dF1[:, :, None] * A1).sum(0)
        g["output.weight"][n1:] = torch.bmm(dF2[:, None], A3)[:, 0]
        dZ = torch.empty(len(X), len(v["first.bias"]), device=X.device)
        dZ[:, :n0] = dF[:, :n0]
        hidden = dZ[:, n0:].view(len(X), n1 + n2, h)
        torch.mul(dF1[:, :, None] * out[:n1], A1 > 0, out=hidden[:, :n1])
        dZ2 = dF2[:, :, None] * out[n1:, None] * (A3 > 0)  # (n2, B, H)
        torch.bmm(dZ2.transpose(1, 2), A2, out=g["second.weight"])
        torch.sum(dZ2, 1, out=g["second.bias"])
        hidden[:, n1:] = (torch.bmm(dZ2, v["second.weight"]) * (A2 > 0)).transpose(0, 1)
        torch.mm(dZ.T, X, out=g["first.weight"])
        torch.sum(dZ, 0, out=g["first.bias"])

    def _loss(self, output: Tensor, y: Tensor) -> Tensor:
        """Of every photo and member, (B, K)."""
        import torch

        answer = torch.where(self.sigmoid, output.sigmoid(), output)
        entropy = torch.nn.functional.softplus(output) - y * output
        return torch.where(self.squared, (answer - y) ** 2, entropy)

    def _slope(self, output: Tensor, y: Tensor) -> Tensor:
        """The derivative of `_loss` by the output, (B, K): p - y of cross-entropy, 2 (p - y) dp of squared error."""
        import torch

        p = output.sigmoid()
        squared = 2 * torch.where(self.sigmoid, (p - y) * p * (1 - p), output - y)
        return torch.where(self.squared, squared, p - y)

    def _groups(self, ordered: Sequence[Member]) -> list[dict[str, Any]]:
        """Adam's groups, one per (learning rate, penalty) and one for the biases, which are not penalised.

        Members of one group lie side by side within a depth, so each array gives one view per depth.
        """
        n0, n1, _ = self.n
        h, start = self.width, 0
        groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
        for (depth, (rate, penalty)), run in itertools.groupby(ordered, key=lambda m: (DEPTHS[m.head], _group(m))):
            stop = start + len(list(run))
            cuts = {"first": slice(start, stop)}
            if depth:
                cuts["first"] = slice(n0 + (start - n0) * h, n0 + (stop - n0) * h)
                cuts["output"] = slice(start - n0, stop - n0)
            if depth == 2:
                cuts["second"] = slice(start - n0 - n1, stop - n0 - n1)
            for layer, cut in cuts.items():
                groups.setdefault((rate, penalty), []).append(self._parameter(f"{layer}.weight", cut))
                groups.setdefault((rate, 0.0), []).append(self._parameter(f"{layer}.bias", cut))
            start = stop
        return [{"params": views, "lr": rate, "weight_decay": decay} for (rate, decay), views in groups.items()]

    def _parameter(self, name: str, cut: slice) -> torch.nn.Parameter:
        import torch

        view = torch.nn.Parameter(self.values[name][cut])
        view.grad = self.gradients[name][cut]
        return view


def _group(member: Member) -> tuple[float, float]:
    return member.learning_rate, member.penalty


def _two_seeds(generator: torch.Generator) -> tuple[int, int]:
    import torch

    start, order = torch.randint(2**62, (2,), generator=generator).tolist()
    return start, order


def _families(members: Sequence[Member]) -> list[list[int]]:
    """Positions of the members that differ in learning rate and penalty only: dev chooses one of each family."""
    found: dict[tuple[str, int, str, str], list[int]] = {}
    for k, m in enumerate(members):
        found.setdefault((m.head, m.column, m.loss, m.link), []).append(k)
    return list(found.values())


def _batches(n: int, batch: int, updates: int, seed: int) -> Iterator[Tensor]:
    """`updates` batches of row numbers, epoch after epoch, each epoch in a new order."""
    import torch

    generator, done = torch.Generator().manual_seed(seed), 0
    while done < updates:
        for rows in torch.split(torch.randperm(n, generator=generator), batch)[: updates - done]:
            yield rows
            done += 1


def _newer(kept: Trained, step: int, loss: float, head: dict[str, Tensor]) -> Trained:
    curve = [*kept.curve, (step, loss)]
    if loss < kept.dev_loss:
        return Trained(kept.member, {name: array.clone() for name, array in head.items()}, curve, step, loss)
    return Trained(kept.member, kept.head, curve, kept.updates, kept.dev_loss)
