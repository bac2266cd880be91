"""Wrappers that give any network the one forward that encoders have: a batch in, layers by name out."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["Pooled"]


class Pooled(nn.Module):
    """A network whose output is one vector per picture."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"pooled": self.network(x)}
