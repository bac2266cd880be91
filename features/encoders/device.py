"""Where networks run: one switch, chosen once, that says how tensors travel and how wide batches are.

On a CPU every worker runs its own forward pass on one thread, because N passes side by side waste less
than one pass spread over N cores. On a GPU one pass runs at a time, wide, in half precision.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from photogenic.warehouse import MissingPartError

if TYPE_CHECKING:
    import torch

__all__ = ["CPU", "Device", "choose", "one_thread_each", "wide_gradients"]


@dataclass(frozen=True, slots=True)
class Device:
    """A place to compute.

    Attributes:
        name: as torch spells it: `cpu`, `cuda`, `cuda:1`.
        batch: photos per forward pass. On a CPU, as many as keep a layer's output in the cache.
        half: multiply in half precision (accumulation stays float32).
        compile_from: passes from which `torch.compile` saves more time than it takes; None: never.
    """

    name: str
    batch: int
    half: bool
    compile_from: int | None = None

    @property
    def is_gpu(self) -> bool:
        return self.name != "cpu"

    def place(self, module: torch.nn.Module) -> torch.nn.Module:
        """The module ready to answer: evaluation mode, on this device, channels last."""
        import torch

        return module.eval().requires_grad_(False).to(self.name, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def compiles(self, n_pictures: int) -> bool:
        """Whether so many pictures are worth a translation of the network (`torch.compile`)."""
        return self.compile_from is not None and n_pictures >= self.compile_from * self.batch

    def send(self, batch: torch.Tensor) -> torch.Tensor:
        """`batch` on this device; pinned on the way to a GPU, so that the copy overlaps with computing."""
        if not self.is_gpu:
            return batch
        return (batch if batch.is_pinned() else batch.pin_memory()).to(self.name, non_blocking=True)

    def precision(self, *, training: bool = False) -> AbstractContextManager[object]:
        """The context in which a forward pass runs.

        On a GPU float16, whose ten bits keep vectors nearer to the CPU's than the seven of bfloat16 (least cosine of
        EfficientNet's: 0.9999 against 0.998). Training takes bfloat16 where it can: no gradient is too small for it.
        """
        import torch

        if not self.half:
            return contextlib.nullcontext()
        return torch.autocast("cuda", dtype=torch.bfloat16 if training and wide_gradients() else torch.float16)


def wide_gradients() -> bool:
    """Whether the GPU has bfloat16, so that gradients need no scaling."""
    import torch

    return bool(torch.cuda.is_bf16_supported())


_COMPILE_FROM = 2_000
"""Passes: half a million pictures. A translation takes a minute or so, and then saves some ten milliseconds a pass."""

# On two cores a compiled EfficientNet takes 1.04 x the time of the plain one: its convolutions are oneDNN's either way.
CPU = Device("cpu", batch=8, half=False)


def choose(name: str | None = None) -> Device:
    """The device of that name; by default `$FEATURES_DEVICE`, else the first GPU, else the CPU.

    Raises:
        MissingPartError: a GPU was asked for by name and is not there.
    """
    import torch

    name = name or os.environ.get("FEATURES_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cpu":
        return CPU
    if not name.startswith("cuda") or not torch.cuda.is_available():
        raise MissingPartError(f"The device {name!r} is not here.", "cpu, or cuda with a driver", "--device cpu")
    return Device(name, batch=256, half=True, compile_from=_COMPILE_FROM)


@contextlib.contextmanager
def one_thread_each() -> Iterator[None]:
    """Within, what torch computes on the CPU, a pass or a resize, uses the thread that asked for it and no other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
