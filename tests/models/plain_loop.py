"""Reference implementation: one head, trained alone, by torch's own layers, autograd and Adam."""

from __future__ import annotations

import math

import torch

from photogenic.models.heads.mlp import DEPTHS, initial_head
from photogenic.models.heads.stacked_mlp import Member
from photogenic.models.heads.train_stack import Schedule


def train_alone(train, dev, member: Member, generator: torch.Generator, *, width: int, schedule: Schedule):
    """Return (model at its best evaluation on dev, curve)."""
    start, order = torch.randint(2**62, (2,), generator=generator).tolist()
    X, y, w = train[0], train[1][:, member.column], train[2][:, member.column]
    depth = DEPTHS[member.head]
    layers: list[torch.nn.Module] = []
    head = initial_head(depth, X.shape[1], width, member.constant, torch.Generator().manual_seed(start))
    for layer in range(depth):
        linear = torch.nn.Linear(head[f"hidden.{layer}.weight"].shape[1], width)
        linear.weight.data, linear.bias.data = head[f"hidden.{layer}.weight"], head[f"hidden.{layer}.bias"]
        layers += [linear, torch.nn.ReLU()]
    last = torch.nn.Linear(len(head["output.weight"]), 1)
    last.weight.data, last.bias.data = head["output.weight"][None], head["output.bias"][None]
    net = torch.nn.Sequential(*layers, last).to(X.device)

    def losses(X, y):
        out = net(X)[:, 0]
        if member.loss == "log_loss":
            return torch.nn.functional.binary_cross_entropy_with_logits(out, y, reduction="none")
        return ((out.sigmoid() if member.link == "sigmoid" else out) - y) ** 2

    weights = [p for name, p in net.named_parameters() if name.endswith("weight")]
    biases = [p for name, p in net.named_parameters() if name.endswith("bias")]
    adam = torch.optim.Adam(
        [{"params": weights, "weight_decay": member.penalty}, {"params": biases}], lr=member.learning_rate
    )
    updates, every = schedule.updates(len(X)), schedule.every(len(X))
    decay = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: schedule.decay ** (-step / updates))
    shuffle, step, best, curve, state = torch.Generator().manual_seed(order), 0, math.inf, [], {}
    while step < updates:
        for drawn in torch.randperm(len(X), generator=shuffle).split(schedule.batch):
            if step == updates:
                break
            rows = drawn.to(X.device)
            adam.zero_grad()
            ((losses(X[rows], y[rows]) * (w / w.mean())[rows]).mean()).backward()
            adam.step()
            decay.step()
            step += 1
            if step % every == 0 or step == updates:
                with torch.no_grad():
                    dev_w = dev[2][:, member.column]
                    loss = float((losses(dev[0], dev[1][:, member.column]) * dev_w).sum() / dev_w.sum())
                curve.append((step, loss))
                if loss < best:
                    best, state = loss, {k: v.clone() for k, v in net.state_dict().items()}
    net.load_state_dict(state)
    return net, curve
