"""Find trained heads that contain vectors of photos, which an erase must remove."""

from __future__ import annotations

import json
from pathlib import Path

__all__ = ["holds_vectors"]


def holds_vectors(run: Path) -> bool:
    """Whether a head contains training vectors, as `kernel` and ensembles with it do.

    Args:
        run: folder of the training run.
    """
    path = run / "weights.safetensors"
    if not path.exists():
        return False
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return any(key.rpartition("|")[2] == "support" for key in header)
