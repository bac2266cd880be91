"""Wrappers around networks: one adds an output layer, one returns layers by name as `Backbone.build` requires."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["Headed", "Pooled"]


class Headed(nn.Module):
    """A network with an additional linear layer with one output, (n,)."""

    def __init__(self, network: nn.Module, layer: str, dim: int) -> None:
        super().__init__()
        self.network, self.output, self._layer = network, nn.Linear(dim, 1), layer

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.output(self.network(x)[self._layer])[:, 0]
        return answer


class Pooled(nn.Module):
    """A network whose output is one vector per picture."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"pooled": self.network(x)}
