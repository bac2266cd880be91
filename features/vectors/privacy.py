"""Which trained heads hold vectors of photos, and so must go when a person is erased."""

from __future__ import annotations

import json
from pathlib import Path

__all__ = ["holds_vectors"]


def holds_vectors(run: Path) -> bool:
    """Whether a head keeps vectors that it learned from, as `kernel` does and ensembles with it."""
    path = run / "weights.safetensors"
    if not path.exists():
        return False
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return any(key.rpartition("|")[2] == "support" for key in header)
