"""Fully connected heads: 0, 1 or 2 hidden layers on a frozen vector, with one output.

A head is a dict of arrays. `hidden.0.weight` (h, d), `hidden.0.bias` (h), `hidden.1.weight` (h, h), `hidden.1.bias`
(h) exist as its depth requires; `output.weight` (h or d) and `output.bias` () always exist. The hidden layers are
followed by ReLU. Applying a head needs numpy only; `models.heads.stacked_mlp` trains many heads at once.

Source: Bogatyy & Tom, "Shallow concerns" (0FC, 1FC, 2FC).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from photogenic._lazy import torch
from photogenic.models.data.array_types import Array

__all__ = ["DEPTHS", "WIDTH", "apply_head", "initial_head"]

DEPTHS = {"0fc": 0, "1fc": 1, "2fc": 2}

WIDTH = 64
"""Number of hidden units. The papers do not state theirs.

Measured on the rated faces (dlib_face, five splits), dev and test error of 1fc: .0174 and .0229 with 32 units, .0174
and .0220 with 64, .0173 and .0228 with 128. Two splits differ by more than that, so the cost decides: with 64, a head
has a quarter of a million numbers on 4096 inputs, and a laptop can train a grid of dozens.
"""


def initial_head(
    depth: int, dim: int, width: int, constant: float, generator: torch.Generator
) -> dict[str, torch.Tensor]:
    """Make an untrained head that outputs `constant` (before the link) for every vector.

    Hidden weights are He-normal and output weights zero, so that training starts at the best constant, and every
    improvement is an improvement over the baseline.
    """
    head, fan_in = {}, dim
    for layer in range(depth):
        head[f"hidden.{layer}.weight"] = torch.randn(width, fan_in, generator=generator) * (2 / fan_in) ** 0.5
        head[f"hidden.{layer}.bias"] = torch.zeros(width)
        fan_in = width
    head["output.weight"] = torch.zeros(fan_in)
    head["output.bias"] = torch.tensor(float(constant))
    return head


def apply_head(head: Mapping[str, Array], X: Array) -> Array:
    """Apply a head: float32 (n, d), standardized as in training -> float32 (n,), before any link function."""
    layer = 0
    while f"hidden.{layer}.weight" in head:
        X = np.maximum(X @ head[f"hidden.{layer}.weight"].T + head[f"hidden.{layer}.bias"], 0)
        layer += 1
    return np.asarray(X @ head["output.weight"] + head["output.bias"], np.float32)
