"""Backbones at work: stacks of pictures in, vectors by encoder out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from photogenic.features.encoders.backbones import Cut
from photogenic.features.encoders.device import Device
from photogenic.features.encoders.registry import Backbone, Encoder

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Embedder", "cuts", "embedders"]

_log = logging.getLogger(__name__)


def embedders(
    encoders: Sequence[Encoder], device: Device, *, exact: bool = True, n_pictures: int = 0
) -> list[Embedder]:
    """One per backbone: layers of the same network share its pass. `n_pictures`: that will come, about."""
    by_backbone: dict[Backbone, list[Encoder]] = {}
    for e in encoders:
        by_backbone.setdefault(e.backbone, []).append(e)
    compiled = exact and device.compiles(n_pictures)
    return [Embedder(some, device, exact=exact, compiled=compiled) for some in by_backbone.values()]


def cuts(networks: Sequence[Embedder]) -> dict[str, tuple[Cut, frozenset[str]]]:
    """By backbone: how its picture is cut, and the encoders that are its layers."""
    return {e.backbone.name: (e.backbone.cut, frozenset(own.name for own in e.encoders)) for e in networks}


class Embedder:
    """One backbone, loaded, and the encoders that are its layers. Call it from any thread.

    Args:
        encoders: all of one backbone.
        device: where it runs.
        exact: pad every pass to the same width, because the last bits of a result depend on it: a photo then has
            the same vector to the bit, whatever it was computed with. Not worth its time for a single question.
        compiled: have torch translate the network for this device first; where it cannot, the network runs as it is.
    """

    def __init__(
        self, encoders: Sequence[Encoder], device: Device, *, exact: bool = True, compiled: bool = False
    ) -> None:
        import torch

        self.encoders, self.device, self._exact = tuple(encoders), device, exact
        self.backbone: Backbone = encoders[0].backbone
        self._module = device.place(self.backbone.module())
        self._mean = torch.tensor(self.backbone.mean, device=device.name).view(3, 1, 1)
        self._scale = 1 / torch.tensor(self.backbone.std, device=device.name).view(3, 1, 1)
        # cuDNN plans each convolution anew in every thread that asks, some seconds for a network: so one thread asks.
        self._alone = ThreadPoolExecutor(1, thread_name_prefix="gpu") if device.is_gpu else None
        self._copying = torch.cuda.Stream(device.name) if device.is_gpu else None  # type: ignore[no-untyped-call]
        if compiled:
            self._compile()

    def __call__(
        self, pictures: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], *, flip: bool = False
    ) -> dict[str, NDArray[np.float32]]:
        """Vectors float32 (n, dim) per encoder name, of n pictures uint8 (size, size, 3); `flip`: of their mirrors."""
        import torch

        parts: dict[str, list[NDArray[np.float32]]] = {e.name: [] for e in self.encoders}
        for at in range(0, len(pictures), self.device.batch):
            some = pictures[at : at + self.device.batch]
            size = self.backbone.size
            width = self.device.batch if self._exact else len(some)
            stack = torch.empty((width, size, size, 3), dtype=torch.uint8, pin_memory=self.device.is_gpu)
            stack.numpy()[: len(some)] = some
            stack[len(some) :] = 0
            layers = self._forward(stack, flip)
            for e in self.encoders:
                parts[e.name].append(layers[e.layer][: len(some)])
        return {
            e.name: np.concatenate(parts[e.name]) if parts[e.name] else np.empty((0, e.dim), np.float32)
            for e in self.encoders
        }

    def _compile(self) -> None:
        """Replace the network by its translation, once that has answered for a stack as wide as all that follow."""
        import torch

        plain, size = self._module, self.backbone.size
        self._module = _translated(plain, dynamic=False)
        try:
            self._forward(torch.zeros((self.device.batch, size, size, 3), dtype=torch.uint8), flip=False)
        except RuntimeError as error:  # no compiler on this machine, or a network that it cannot read
            _log.warning("%s runs without torch.compile: %s", self.backbone.name, str(error).partition("\n")[0])
            self._module = plain

    def _forward(self, stack: Tensor, flip: bool) -> dict[str, NDArray[np.float32]]:
        import torch

        # (n, 3, s, s) whose memory is (n, s, s, 3): channels last without a copy, one byte a value on the way.
        batch = stack.permute(0, 3, 1, 2)
        if self._alone is None or self._copying is None:
            return self._layers(batch, flip)
        # Each caller sends its own stack while the network is at another one.
        with torch.cuda.stream(self._copying):
            sent = self.device.send(batch)
        self._copying.synchronize()
        return self._alone.submit(self._layers, sent, flip).result()

    def _layers(self, batch: Tensor, flip: bool) -> dict[str, NDArray[np.float32]]:
        import torch

        with torch.inference_mode():
            x = batch.float().sub_(self._mean).mul_(self._scale)
            if flip:
                x = x.flip(3)
            x = x.contiguous(memory_format=torch.channels_last)
            with self.device.precision():
                found = _fetched(self._module(x))
            if self.device.half and not all(np.isfinite(layer).all() for layer in found.values()):
                found = _fetched(self._module(x))  # beyond what half precision holds
            return found


def _fetched(layers: Mapping[str, Tensor]) -> dict[str, NDArray[np.float32]]:
    return {name: layer.float().cpu().numpy() for name, layer in layers.items()}


def _translated(module: nn.Module, *, dynamic: bool) -> nn.Module:
    import torch

    return torch.compile(module, dynamic=dynamic)  # type: ignore[return-value]
