"""Heads: 0, 1 or 2 fully connected layers on a frozen vector, then one number.

A head is a dict of arrays. `hidden.0.weight` (h, d), `hidden.0.bias` (h), `hidden.1.weight` (h, h),
`hidden.1.bias` (h) exist as its depth asks; `output.weight` (h or d), `output.bias` () always. The
hidden layers are followed by ReLU. Applying one needs numpy only; training a whole stack of them at
once is the business of `models.heads.stacked_mlp`.

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
"""Hidden units. The papers do not state theirs.

Measured on the rated faces (dlib_face, five splits), dev and test error of 1fc: .0174 and .0229 with 32
units, .0174 and .0220 with 64, .0173 and .0228 with 128: less than two splits differ by. So cost decides:
64 keeps a head at a quarter of a million numbers on 4096 inputs, and a grid of dozens on a laptop.
"""


def initial_head(
    depth: int, dim: int, width: int, constant: float, generator: torch.Generator
) -> dict[str, torch.Tensor]:
    """A head that answers `constant` (in the output's own scale) to everything, ready to be trained.

    Hidden weights are He-normal, the output weights zero: before its first update a head *is* the
    best constant, so what it gains is gained over the baseline.
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
    """float32 (n, d), standardised as in training -> float32 (n,), before any link function."""
    layer = 0
    while f"hidden.{layer}.weight" in head:
        X = np.maximum(X @ head[f"hidden.{layer}.weight"].T + head[f"hidden.{layer}.bias"], 0)
        layer += 1
    return np.asarray(X @ head["output.weight"] + head["output.bias"], np.float32)
