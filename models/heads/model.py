"""A trained head: numeric arrays and the rule that applies them, without pickled code.

    Model("fc", "identity", arrays).predict(X)      X float32 (n, d), not standardized -> (n,) in 0..1

The arrays are stored as safetensors. `mean` and `scale` are the standardization of training. Those of inputs and of
labels that are not from 0 to 1 are described in models/data/preparation.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from photogenic.models.data.array_types import Array
from photogenic.models.data.preparation import n_columns, with_inputs
from photogenic.models.data.samples import Standardisation
from photogenic.models.heads.kinds import ENSEMBLE, rule_of

__all__ = ["Link", "Model", "ensemble", "members"]

Link = Literal["identity", "sigmoid", "unbounded"]


@dataclass(frozen=True, slots=True)
class Model:
    """One head with its arrays.

    Attributes:
        kind: format of `arrays`: `ensemble`, or the kind of a registered head.
        link: function from the output to a ratio or probability; `identity` is clipped to 0..1. `unbounded`: the
            output is a standardized number, which is scaled back.
        arrays: arrays by name.
    """

    kind: str
    link: Link
    arrays: dict[str, Array]

    def predict(self, X: Array) -> Array:
        """Predict: float32 (n, d), not standardized -> float64 (n,), 0..1 unless the link is `unbounded`."""
        if self.kind == ENSEMBLE:
            said = [model.predict(X[:, columns]) for model, columns in members(self)]
            return np.asarray(np.mean(said, axis=0), np.float64)
        standardise = Standardisation(self.arrays["mean"], self.arrays["scale"])
        apply = rule_of(self.kind)
        output = np.concatenate(
            [
                apply(self.arrays, standardise(with_inputs(self.arrays, X[at : at + 8192])))
                for at in range(0, max(len(X), 1), 8192)
            ]
        ).astype(np.float64)
        if self.link == "unbounded":
            return np.asarray(output * self.arrays.get("target.scale", 1.0) + self.arrays.get("target.mean", 0.0))
        if self.link == "sigmoid":
            return np.asarray(1 / (1 + np.exp(-np.clip(output, -50, 50))))
        return np.clip(output, 0, 1)

    def check(self) -> None:
        """Refuse a model that cannot be applied here.

        Raises:
            InputError: its kind, or the kind of a member, belongs to no head that is registered here.
        """
        if self.kind != ENSEMBLE:
            rule_of(self.kind)
            return
        for model, _ in members(self):
            model.check()

    @property
    def dim(self) -> int:
        """Number of columns of X that it reads: vectors, then inputs."""
        if self.kind == ENSEMBLE:
            return 1 + max(int(columns.max()) for _, columns in members(self))
        return n_columns(self.arrays)


def ensemble(parts: Sequence[tuple[Model, Sequence[int]]]) -> Model:
    """Make a model that predicts the mean of others.

    Args:
        parts: models, each with the columns of the joined vector that it reads. Their arrays are stored as
            `place|kind|link|name`.
    """
    arrays = {}
    for place, (model, columns) in enumerate(parts):
        for name, array in (model.arrays | {"columns": np.asarray(columns, np.float32)}).items():
            arrays[f"{place}|{model.kind}|{model.link}|{name}"] = array
    return Model(ENSEMBLE, "identity", arrays)


def members(model: Model) -> list[tuple[Model, NDArray[np.intp]]]:
    """Return the models of an ensemble, with the columns that each reads."""
    found: dict[int, dict[str, Array]] = {}
    kinds: dict[int, tuple[str, str]] = {}
    for key, array in model.arrays.items():
        place, kind, link, name = key.split("|", 3)
        found.setdefault(int(place), {})[name] = array
        kinds[int(place)] = (kind, link)
    return [
        (Model(kinds[k][0], cast("Link", kinds[k][1]), arrays), arrays.pop("columns").astype(np.intp))
        for k, arrays in sorted(found.items())
    ]
