"""What happens to samples before a head sees them, as arrays that the trained head keeps.

Inputs beside the vectors are standardized, and a missing value is the mean of train. An input that is missing for some
photos of train has a second column, 1 where it is missing. Labels that are numbers of any size are standardized, and
predictions are scaled back. Everything is learned from train, so each fold has its own.

    X   vectors, then inputs with NaN (n, d)   ->   vectors, then inputs, then columns of missing values (n, d + m)

The arrays are called `inputs.mean`, `inputs.scale`, `inputs.indicated`, `target.mean` and `target.scale`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from photogenic.models.data.array_types import Array

if TYPE_CHECKING:
    from photogenic.models.data.samples import Samples

__all__ = ["Preparation", "n_columns", "with_inputs"]


@dataclass(frozen=True, slots=True)
class Preparation:
    """Preparation of the samples of one split.

    Attributes:
        arrays: arrays to keep, by name; empty: samples stay as they are.
    """

    arrays: Mapping[str, Array]

    @classmethod
    def of(cls, train: Samples, n_inputs: int, *, bounded: bool) -> Preparation:
        """Learn the preparation from train.

        Args:
            train: samples of train.
            n_inputs: number of inputs, the last columns of X.
            bounded: whether labels are from 0 to 1, so that they stay as they are.
        """
        arrays: dict[str, Array] = {}
        if n_inputs:
            inputs = train.X[:, -n_inputs:].astype(np.float64)
            known = np.isfinite(inputs)
            n = known.sum(0)
            mean = np.where(known, inputs, 0).sum(0) / np.maximum(n, 1)
            spread = np.sqrt((np.where(known, inputs - mean, 0) ** 2).sum(0) / np.maximum(n, 1))
            arrays["inputs.mean"] = mean
            arrays["inputs.scale"] = np.where(spread > 0, spread, 1.0)
            arrays["inputs.indicated"] = ((n > 0) & (n < len(inputs))).astype(np.float64)
        if not bounded:
            y, weight = train.y.astype(np.float64), train.weight.astype(np.float64)
            middle = np.average(y, weights=weight)
            spread = np.sqrt(np.average((y - middle) ** 2, weights=weight))
            arrays["target.mean"] = np.asarray(middle)
            arrays["target.scale"] = np.asarray(spread if spread > 0 else 1.0)
        return cls(arrays)

    def samples(self, samples: Samples) -> Samples:
        """Return the samples as a head sees them."""
        if not self.arrays:
            return samples
        y = samples.y
        if "target.mean" in self.arrays:
            y = ((y - self.arrays["target.mean"]) / self.arrays["target.scale"]).astype(np.float32)
        return replace(samples, X=with_inputs(self.arrays, samples.X), y=np.asarray(y, np.float32))

    def dims(self, dims: Sequence[int]) -> list[int]:
        """Return the dimension of each part of X as a head sees it: each encoder, then the inputs."""
        if "inputs.mean" not in self.arrays:
            return list(dims)
        return [*dims, len(self.arrays["inputs.mean"]) + int(self.arrays["inputs.indicated"].sum())]

    def scaled_back(self, results: Mapping[str, Any]) -> dict[str, Any]:
        """Return results of a fit with squared errors in the unit of the labels."""
        if "target.scale" not in self.arrays:
            return dict(results)
        by = float(self.arrays["target.scale"]) ** 2
        found = dict(results)
        for name in ("curve", "train_curve"):
            if name in found:
                found[name] = [(step, loss * by) for step, loss in found[name]]
        if "grid" in found:
            found["grid"] = [point | {"dev_loss": point["dev_loss"] * by} for point in found["grid"]]
        return found


def with_inputs(arrays: Mapping[str, Array], X: Array) -> Array:
    """Standardize the inputs of X, put the mean where one is missing, and add the columns of missing values."""
    if "inputs.mean" not in arrays:
        return X
    n = len(arrays["inputs.mean"])
    start = X.shape[1] - n
    inputs = X[:, start:].astype(np.float64)
    missing = ~np.isfinite(inputs)
    scaled = np.where(missing, 0, (inputs - arrays["inputs.mean"]) / arrays["inputs.scale"])
    indicators = missing[:, arrays["inputs.indicated"] > 0]
    return np.concatenate([X[:, :start], scaled.astype(np.float32), indicators.astype(np.float32)], 1)


def n_columns(arrays: Mapping[str, Array]) -> int:
    """Return the number of columns of X that a head with these arrays reads."""
    seen = len(arrays["mean"])
    return seen - int(arrays["inputs.indicated"].sum()) if "inputs.indicated" in arrays else seen
