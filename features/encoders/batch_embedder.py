"""Run backbones on batches of pictures: uint8 pictures in, float32 vectors per encoder out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import nn, torch
from photogenic.features.encoders.base import Backbone, Encoder, InputSpec
from photogenic.features.encoders.device import Device

__all__ = ["Embedder", "embedders", "input_specs"]

_log = logging.getLogger(__name__)


def embedders(
    encoders: Sequence[Encoder], device: Device, *, exact: bool = True, n_pictures: int = 0
) -> list[Embedder]:
    """One embedder per backbone: encoders that are layers of the same network share its forward pass.

    Args:
        encoders: Any encoders.
        device: Where the networks run.
        exact: See `Embedder`.
        n_pictures: Estimated number of pictures; it decides whether `torch.compile` is worth its time.
    """
    by_backbone: dict[Backbone, list[Encoder]] = {}
    for e in encoders:
        by_backbone.setdefault(e.backbone, []).append(e)
    compiled = exact and device.compiles(n_pictures)
    return [Embedder(some, device, exact=exact, compiled=compiled) for some in by_backbone.values()]


def input_specs(networks: Sequence[Embedder]) -> dict[str, tuple[InputSpec, frozenset[str]]]:
    """By the name of the backbone: the picture that it takes, and the names of the encoders that are its layers."""
    return {e.backbone.name: (e.backbone.input_spec, frozenset(own.name for own in e.encoders)) for e in networks}


class Embedder:
    """One loaded backbone and the encoders that are its layers. It is thread-safe.

    Args:
        encoders: Encoders of the same backbone.
        device: Where the network runs.
        exact: Pad every forward pass to the same batch size. The last bits of a vector depend on the batch size, so a
            photo gets the same bits in every batch. It costs time, so a single query does without it.
        compiled: Compile the network for the device with `torch.compile`; where that fails, it runs uncompiled.
    """

    def __init__(
        self, encoders: Sequence[Encoder], device: Device, *, exact: bool = True, compiled: bool = False
    ) -> None:

        self.encoders, self.device, self._exact = tuple(encoders), device, exact
        self.backbone: Backbone = encoders[0].backbone
        self._module = device.place(self.backbone.module())
        self._mean = torch.tensor(self.backbone.mean, device=device.name).view(3, 1, 1)
        self._scale = 1 / torch.tensor(self.backbone.std, device=device.name).view(3, 1, 1)
        # cuDNN plans each convolution again in every thread that calls it, which takes seconds per network. So all
        # calls come from one thread.
        self._gpu_thread = ThreadPoolExecutor(1, thread_name_prefix="gpu") if device.is_gpu else None
        self._copy_stream = torch.cuda.Stream(device.name) if device.is_gpu else None  # type: ignore[no-untyped-call]
        if compiled:
            self._compile()

    def __call__(
        self, pictures: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], *, flip: bool = False
    ) -> dict[str, NDArray[np.float32]]:
        """Compute vectors.

        Args:
            pictures: n pictures, uint8 (size, size, 3), RGB.
            flip: Mirror the pictures first.

        Returns:
            Vectors by encoder name, float32 (n, dim).
        """
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
        """Replace the network by its compiled form, after one forward pass of the usual batch size has succeeded."""
        plain, size = self._module, self.backbone.size
        self._module = _torch_compile(plain, dynamic=False)
        try:
            self._forward(torch.zeros((self.device.batch, size, size, 3), dtype=torch.uint8), flip=False)
        except RuntimeError as error:  # there is no compiler, or it does not support the network
            _log.warning("%s runs without torch.compile: %s", self.backbone.name, str(error).partition("\n")[0])
            self._module = plain

    def _forward(self, stack: torch.Tensor, flip: bool) -> dict[str, NDArray[np.float32]]:

        # A view as (n, 3, s, s): channels last without a copy, and one byte per value on the way to the GPU.
        batch = stack.permute(0, 3, 1, 2)
        if self._gpu_thread is None or self._copy_stream is None:
            return self._layers(batch, flip)
        # Each calling thread copies its own batch to the GPU while the network computes another one.
        with torch.cuda.stream(self._copy_stream):
            sent = self.device.send(batch)
        self._copy_stream.synchronize()
        return self._gpu_thread.submit(self._layers, sent, flip).result()

    def _layers(self, batch: torch.Tensor, flip: bool) -> dict[str, NDArray[np.float32]]:

        with torch.inference_mode():
            x = batch.float().sub_(self._mean).mul_(self._scale)
            if flip:
                x = x.flip(3)
            x = x.contiguous(memory_format=torch.channels_last)
            with self.device.precision():
                found = _to_numpy(self._module(x))
            if self.device.half and not all(np.isfinite(layer).all() for layer in found.values()):
                found = _to_numpy(self._module(x))  # a value exceeded the range of float16
            return found


def _to_numpy(layers: Mapping[str, torch.Tensor]) -> dict[str, NDArray[np.float32]]:
    return {name: layer.float().cpu().numpy() for name, layer in layers.items()}


def _torch_compile(module: nn.Module, *, dynamic: bool) -> nn.Module:

    return torch.compile(module, dynamic=dynamic)  # type: ignore[return-value]
