"""A trained head, ready to be applied: plain arrays and the rule that reads them, never pickled code.

    Model("fc", "identity", arrays).predict(X)      X float32 (n, d) as the encoder made it -> (n,) in 0..1

The arrays travel as safetensors. `mean` and `scale` are the standardisation that training used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from models.arrays import Array
from models.heads import apply_head
from models.samples import Standardisation

__all__ = ["Kind", "Link", "Model"]

Kind = Literal["fc"]
Link = Literal["identity", "sigmoid"]


@dataclass(frozen=True, slots=True)
class Model:
    """One head with everything it needs.

    Attributes:
        kind: how `arrays` are read.
        link: what turns the output into a ratio or a probability; `identity` is clipped to 0..1.
        arrays: float32, by name.
    """

    kind: Kind
    link: Link
    arrays: dict[str, Array]

    def predict(self, X: Array) -> Array:
        """float32 (n, d), unstandardised -> float64 (n,), 0..1."""
        standardise = Standardisation(self.arrays["mean"], self.arrays["scale"])
        output = np.concatenate(
            [apply_head(self.arrays, standardise(X[at : at + 8192])) for at in range(0, max(len(X), 1), 8192)]
        ).astype(np.float64)
        if self.link == "sigmoid":
            return np.asarray(1 / (1 + np.exp(-np.clip(output, -50, 50))))
        return np.clip(output, 0, 1)

    @property
    def dim(self) -> int:
        """Length of the vectors it takes."""
        return len(self.arrays["mean"])
