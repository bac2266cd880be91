"""Reading files of weights that torch wrote: tensors by name, and nothing that could run."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch._weights_only_unpickler import UnpicklingError  # type: ignore[attr-defined]

__all__ = ["state"]


def state(path: Path | None) -> dict[str, Tensor]:
    """The state dict in a file.

    Raises:
        ValueError: the file holds something else. torch's own message would advise to run what it holds.
    """
    assert path is not None
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise ValueError("it is not a file of weights that torch saved") from error
    if not isinstance(found, dict):
        raise ValueError("it holds no tensors by name")
    return found
