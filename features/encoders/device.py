"""Where networks run: on the CPU or a GPU, with the batch size and the precision of each.

On a CPU every worker runs its own forward pass in one thread, because N passes in parallel are faster than one pass
on N cores. On a GPU one pass runs at a time, with a large batch and in half precision.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from photogenic._lazy import torch
from photogenic.warehouse import MissingPartError

__all__ = ["CPU", "Device", "choose", "torch_threads", "wide_gradients"]


@dataclass(frozen=True, slots=True)
class Device:
    """A device for networks.

    Attributes:
        name: Name in torch: `cpu`, `cuda`, `cuda:1`.
        batch: Pictures per forward pass. On a CPU the output of a layer then fits into the cache.
        half: Compute in half precision; sums stay float32.
        compile_from: Number of forward passes from which `torch.compile` saves more time than it takes; None: never.
    """

    name: str
    batch: int
    half: bool
    compile_from: int | None = None

    @property
    def is_gpu(self) -> bool:
        return self.name != "cpu"

    def place(self, module: torch.nn.Module) -> torch.nn.Module:
        """Move the module to this device, in evaluation mode and with channels last."""
        return module.eval().requires_grad_(False).to(self.name, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def compiles(self, n_pictures: int) -> bool:
        """Whether `torch.compile` saves time for that many pictures."""
        return self.compile_from is not None and n_pictures >= self.compile_from * self.batch

    def send(self, batch: torch.Tensor) -> torch.Tensor:
        """Copy `batch` to this device. It is pinned first, so that the copy to a GPU overlaps with the computation."""
        if not self.is_gpu:
            return batch
        return (batch if batch.is_pinned() else batch.pin_memory()).to(self.name, non_blocking=True)

    def precision(self, *, training: bool = False) -> AbstractContextManager[object]:
        """Context manager for a forward pass.

        On a GPU it is float16, with 10 bits of precision: its vectors are closer to those of the CPU than with the 7
        bits of bfloat16 (smallest cosine for EfficientNet: 0.9999 against 0.998). Training uses bfloat16 where the GPU
        has it, because gradients do not underflow in it.
        """
        if not self.half:
            return contextlib.nullcontext()
        return torch.autocast("cuda", dtype=torch.bfloat16 if training and wide_gradients() else torch.float16)


def wide_gradients() -> bool:
    """Whether the GPU has bfloat16. Gradients need no scaling then."""
    return bool(torch.cuda.is_bf16_supported())


_COMPILE_FROM = 2_000
"""Forward passes, half a million pictures. Compilation takes about a minute and saves about 10 ms per pass."""

# On two cores a compiled EfficientNet takes 1.04 times as long as the plain one: both use oneDNN's convolutions.
CPU = Device("cpu", batch=8, half=False)


def choose(name: str | None = None) -> Device:
    """The device of that name; None: `$FEATURES_DEVICE`, else the first GPU, else the CPU.

    Raises:
        MissingPartError: The machine has no such GPU.
    """
    name = name or os.environ.get("FEATURES_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cpu":
        return CPU
    if not name.startswith("cuda") or not torch.cuda.is_available():
        raise MissingPartError(f"The device {name!r} is not available.", "cpu, or cuda with a driver", "--device cpu")
    return Device(name, batch=256, half=True, compile_from=_COMPILE_FROM)


@contextlib.contextmanager
def torch_threads(n: int | None) -> Iterator[None]:
    """Context manager that limits torch to `n` threads on the CPU. None: no change."""
    before = torch.get_num_threads()
    torch.set_num_threads(n or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
