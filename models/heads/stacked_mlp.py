"""Many heads in one pass: all heads of an encoder, all learning rates, all targets.

All members read the same batches, so their first layers are one matrix, (rows, d), with one product per step:
`X @ first.T`. Each member has a block of rows: one row for 0fc, `width` rows for the others. Second layers are a
batched product. Gradients are computed by explicit formulas into buffers that are allocated once. Adam runs fused,
with one parameter group per (learning rate, penalty), on views of those buffers.

    K members = n0 of depth 0, n1 of depth 1, n2 of depth 2, in this order; H = width; B = batch
    first.weight   (n0 + (n1 + n2) H, d)      Z1 = X first.T + bias                (B, rows)
    second.weight  (n2, H, H)                 Z2 = relu(Z1 of 2fc) second.T + bias (n2, B, H)
    output.weight  (n1 + n2, H)               F  = last hidden . output + bias     (B, K)

Each member gets the same result as in a loop that trains it alone (see tests/models/heads/test_stacked_mlp.py).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from photogenic._lazy import torch
from photogenic.models.heads.mlp import DEPTHS, initial_head
from photogenic.models.heads.model import Link

__all__ = ["Loss", "Member", "Stack"]

Loss = Literal["mse", "log_loss"]

_LAYERS = ("first", "second", "output")


@dataclass(frozen=True, slots=True)
class Member:
    """One head to train.

    Attributes:
        head: name: 0fc, 1fc or 2fc.
        column: column of `y` and `weight` that holds its target.
        loss: weighted mean squared error or cross-entropy; `y` may be a ratio in both.
        link: function of the output; `log_loss` requires the sigmoid.
        learning_rate: learning rate of Adam at the start of the decay.
        penalty: L2 penalty in `loss + l2 / 2 |weights|^2`, without biases.
        constant: weighted mean of the target in train, the first prediction.
    """

    head: str
    column: int
    loss: Loss
    link: Link
    learning_rate: float
    penalty: float
    constant: float


class Stack:
    """The arrays of all members in shared buffers, with Adam on views of them.

    Args:
        members: members in any order; the buffers sort them by depth, learning rate and penalty.
        dim: dimension of the vectors.
        width: width of hidden layers.
        device: device of the buffers.
    """

    def __init__(self, members: Sequence[Member], dim: int, width: int, device: torch.device) -> None:

        self.members, self.width, self.device, self.steps = list(members), width, device, 0
        order = sorted(range(len(members)), key=lambda k: (DEPTHS[members[k].head], _group(members[k])))
        self._place = {k: place for place, k in enumerate(order)}
        self._n = [sum(DEPTHS[m.head] == depth for m in members) for depth in range(3)]
        n0, n1, n2 = self._n
        rows, deep, h = n0 + (n1 + n2) * width, n1 + n2, width
        shapes: dict[str, tuple[int, ...]] = {
            "first.weight": (rows, dim),
            "first.bias": (rows,),
            "second.weight": (n2, h, h),
            "second.bias": (n2, h),
            "output.weight": (deep, h),
            "output.bias": (deep,),
        }
        self._values, self._gradients, self._means, self._squares = (
            {name: torch.zeros(shape, device=device) for name, shape in shapes.items()} for _ in range(4)
        )
        ordered = [members[k] for k in order]
        self._column = torch.tensor([m.column for m in ordered], device=device)
        self._sigmoid = torch.tensor([m.link == "sigmoid" for m in ordered], device=device)
        self._squared = torch.tensor([m.loss == "mse" for m in ordered], device=device)
        self._groups = self._views_by_rate(ordered)
        self._adam: torch.optim.Adam | None = None

    @classmethod
    def drawn(cls, members: Sequence[Member], dim: int, width: int, device: torch.device, *, seed: int) -> Stack:
        """Initialize every head as mlp.py does with a generator of `seed`: the same start for every learning rate."""
        stack = cls(members, dim, width, device)
        for k, member in enumerate(members):
            generator = torch.Generator().manual_seed(seed)
            start = initial_head(DEPTHS[member.head], dim, width, member.constant, generator)
            for name, view in stack.head(k).items():
                view.copy_(start[name])
        return stack

    def only(self, kept: Sequence[int]) -> Stack:
        """Return a stack of these members in their present state."""
        dim = self._values["first.weight"].shape[1]
        small = Stack([self.members[k] for k in kept], dim, self.width, self.device)
        small.steps = self.steps
        for new, old in enumerate(kept):
            for theirs, ours in zip(small._buffers(), self._buffers(), strict=True):
                here = self._arrays(old, ours)
                for name, view in small._arrays(new, theirs).items():
                    view.copy_(here[name])
        return small

    def head(self, k: int) -> dict[str, torch.Tensor]:
        """Return views of the arrays of member `k`, with the names of `models.heads.mlp`."""
        return self._arrays(k, self._values)

    def losses(self, X: torch.Tensor, y: torch.Tensor, weight: torch.Tensor) -> list[float]:
        """Return the weighted mean loss of every member, in the order of `members`."""
        total = torch.zeros(len(self.members), dtype=torch.float64, device=X.device)
        for rows in torch.split(torch.arange(len(X), device=X.device), 1024):
            output = self._forward(X[rows])[-1]
            total += (self._loss(output, y[rows][:, self._column]) * weight[rows][:, self._column]).sum(0)
        mean = (total / weight.sum(0, dtype=torch.float64)[self._column]).tolist()
        return [mean[self._place[k]] for k in range(len(self.members))]

    def update(self, X: torch.Tensor, y: torch.Tensor, weight: torch.Tensor, decay: float) -> None:
        """Do one step of Adam for every member on one batch; `decay` multiplies the learning rates."""
        layers = self._forward(X)
        slope = self._slope(layers[-1], y[:, self._column]) * weight[:, self._column] / len(X)
        self._backward(X, *layers[:-1], slope)
        if self._adam is None:
            self._adam = self._optimiser()
        for group, (rate, _, _) in zip(self._adam.param_groups, self._groups, strict=True):
            group["lr"] = rate * decay
        self._adam.step()
        self.steps += 1

    def _forward(self, X: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Compute hidden layers A1 (B, n1, H), A2 (n2, B, H), A3 (n2, B, H) and outputs F (B, K)."""
        (n0, n1, n2), h, v = self._n, self.width, self._values
        Z = torch.addmm(v["first.bias"], X, v["first.weight"].T)  # (B, rows)
        hidden = Z[:, n0:].relu_().view(len(X), n1 + n2, h)
        A1, A2 = hidden[:, :n1], hidden[:, n1:].transpose(0, 1)
        A3 = torch.baddbmm(v["second.bias"][:, None], A2, v["second.weight"].transpose(1, 2)).relu_()
        out = v["output.weight"]
        F1 = (A1 * out[:n1]).sum(2)  # (B, n1)
        F2 = torch.bmm(A3, out[n1:, :, None])[:, :, 0].T  # (B, n2)
        return A1, A2, A3, torch.cat([Z[:, :n0], torch.cat([F1, F2], 1) + v["output.bias"]], 1)

    def _backward(
        self, X: torch.Tensor, A1: torch.Tensor, A2: torch.Tensor, A3: torch.Tensor, dF: torch.Tensor
    ) -> None:
        """Fill `gradients` from the gradients of the outputs, dF (B, K)."""
        (n0, n1, n2), h, v, g = self._n, self.width, self._values, self._gradients
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

    def _loss(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the loss of every photo and member, (B, K)."""
        answer = torch.where(self._sigmoid, output.sigmoid(), output)
        entropy = torch.nn.functional.softplus(output) - y * output
        return torch.where(self._squared, (answer - y) ** 2, entropy)

    def _slope(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the derivative of `_loss` by the output, (B, K): p - y for log_loss, 2 (p - y) dp for mse."""
        p = output.sigmoid()
        squared = 2 * torch.where(self._sigmoid, (p - y) * p * (1 - p), output - y)
        return torch.where(self._squared, squared, p - y)

    def _buffers(self) -> tuple[dict[str, torch.Tensor], ...]:
        return self._values, self._means, self._squares

    def _arrays(self, k: int, buffers: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return views of the part of member `k` in some buffers, with the names of `models.heads.mlp`."""
        (n0, n1, _), h = self._n, self.width
        place, depth = self._place[k], DEPTHS[self.members[k].head]
        first, second, output = ((buffers[f"{layer}.weight"], buffers[f"{layer}.bias"]) for layer in _LAYERS)
        if depth == 0:
            return {"output.weight": first[0][place], "output.bias": first[1][place]}
        deep = place - n0
        rows = slice(n0 + deep * h, n0 + (deep + 1) * h)
        head = {"hidden.0.weight": first[0][rows], "hidden.0.bias": first[1][rows]}
        if depth == 2:
            head |= {"hidden.1.weight": second[0][deep - n1], "hidden.1.bias": second[1][deep - n1]}
        return head | {"output.weight": output[0][deep], "output.bias": output[1][deep]}

    def _views_by_rate(self, ordered: Sequence[Member]) -> list[tuple[float, float, list[tuple[str, slice]]]]:
        """List (learning rate, penalty, slices); biases are not penalized and are groups of their own.

        The members of a group are contiguous within a depth, so each array has one view per depth.
        """
        (n0, n1, _), h, start = self._n, self.width, 0
        groups: dict[tuple[float, float], list[tuple[str, slice]]] = {}
        for (depth, (rate, penalty)), run in itertools.groupby(ordered, key=lambda m: (DEPTHS[m.head], _group(m))):
            stop = start + len(list(run))
            cuts = {"first": slice(start, stop)}
            if depth:
                cuts["first"] = slice(n0 + (start - n0) * h, n0 + (stop - n0) * h)
                cuts["output"] = slice(start - n0, stop - n0)
            if depth == 2:
                cuts["second"] = slice(start - n0 - n1, stop - n0 - n1)
            for layer, cut in cuts.items():
                groups.setdefault((rate, penalty), []).append((f"{layer}.weight", cut))
                groups.setdefault((rate, 0.0), []).append((f"{layer}.bias", cut))
            start = stop
        return [(rate, penalty, where) for (rate, penalty), where in groups.items()]

    def _optimiser(self) -> torch.optim.Adam:
        """Make Adam on views of the buffers, including those of its running means, after `steps` updates."""
        groups = []
        state: dict[torch.Tensor, dict[str, torch.Tensor]] = {}
        for rate, penalty, where in self._groups:
            views = []
            for name, cut in where:
                view = torch.nn.Parameter(self._values[name][cut])
                view.grad = self._gradients[name][cut]
                step = torch.tensor(float(self.steps), device=self.device)
                state[view] = {"step": step, "exp_avg": self._means[name][cut], "exp_avg_sq": self._squares[name][cut]}
                views.append(view)
            groups.append({"params": views, "lr": rate, "weight_decay": penalty})
        adam = torch.optim.Adam(groups, fused=True)
        adam.state.update(state)
        return adam


def _group(member: Member) -> tuple[float, float]:
    return member.learning_rate, member.penalty
