"""Read weight files of torch: tensors by name. Code in the file is never run."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch._weights_only_unpickler import UnpicklingError  # type: ignore[attr-defined]

__all__ = ["read_state_dict"]


def read_state_dict(path: Path | None) -> dict[str, Tensor]:
    """The state dict in a file.

    Raises:
        ValueError: The file holds something else. torch's own message would recommend to run the code in it.
    """
    assert path is not None
    try:
        with path.open("rb") as file:  # by its path, torch would take the ending for the format
            found = torch.load(file, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise ValueError("it is not a weight file that torch saved") from error
    if not isinstance(found, dict):
        raise ValueError("it holds no tensors by name")
    return found
