"""`0fc`, `1fc`, `2fc`: 0, 1 or 2 hidden fully connected layers, all fitted in one pass.

The computation is in models/heads/mlp.py (one head), stacked_mlp.py (all at once), train_stack.py and fit_mlp.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from photogenic.models.heads.base import FitData, FitSettings, Fitted, Head
from photogenic.models.heads.registry import register_head

if TYPE_CHECKING:
    from photogenic.models.data.array_types import Array
    from photogenic.models.heads.grid import Grid

__all__ = ["Layers", "NoLayer", "OneLayer", "TwoLayers"]


class Layers(Head):
    """Fully connected layers with one output."""

    summary = "0, 1 or 2 fully connected hidden layers"
    kind = "fc"
    group = "layers"

    def tried(self, grid: Grid) -> dict[str, Any]:
        return asdict(grid)

    def fit_group(
        self, heads: Sequence[str], data: Mapping[str, FitData], settings: FitSettings
    ) -> dict[tuple[str, str], Fitted]:
        from photogenic.models.heads.fit_mlp import fit_layers

        return fit_layers(
            {target: each.samples for target, each in data.items()},
            heads,
            seed=settings.seed,
            grid=settings.grid,
            device=settings.device,
            progress=settings.progress,
            targets={target: each.target for target, each in data.items()},
        )

    def apply(self, arrays: Mapping[str, Array], X: Array) -> Array:
        from photogenic.models.heads.mlp import apply_head

        return apply_head(arrays, X)


@register_head("0fc")
class NoLayer(Layers):
    """No hidden layer: linear in the vector."""

    place = 0


@register_head("1fc")
class OneLayer(Layers):
    """One hidden layer."""

    place = 1


@register_head("2fc")
class TwoLayers(Layers):
    """Two hidden layers."""

    place = 2
