"""Base class of heads: a head fits arrays to samples, and applies them to vectors.

    @register_head("median")
    class Median(Head):
        summary = "the median label, whatever the photo shows"

        def fit(self, data, settings):
            label = np.median(data.samples.part("train").y)
            return self.fitted(data, {"label": label}, hyperparameters={"seed": settings.seed})

        def apply(self, arrays, X):
            return np.full(len(X), arrays["label"])

A file with such a class in `models/heads/entries`, or in a module that `FEATURES_MODULES` names, adds a head: it is
trained by `features train --head median`, and stored, listed and applied like the others. This file and the entries
import no heavy libraries, because the command line reads names and help from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from photogenic.warehouse import Progress, no_progress

if TYPE_CHECKING:
    from photogenic.models.data.array_types import Array
    from photogenic.models.data.samples import Samples, Standardisation
    from photogenic.models.data.targets import Target
    from photogenic.models.heads.grid import Grid
    from photogenic.models.heads.model import Link, Model

__all__ = ["FitData", "FitSettings", "Fitted", "Head", "measured"]


@dataclass(frozen=True, slots=True)
class FitData:
    """Training data of one head.

    Attributes:
        target: target, which defines the labels `samples.y`. If it is not `bounded`, they are standardized numbers.
        samples: samples of one encoder and setup, split into train, dev and test; a head must not read test. Inputs
            beside the vectors are the last columns of X, standardized and without missing values.
        dims: dimension of the vector of each encoder, in the order in which they are joined; then that of the inputs.
    """

    target: Target
    samples: Samples
    dims: Sequence[int]


@dataclass(frozen=True, slots=True)
class FitSettings:
    """Settings of fitting.

    Attributes:
        grid: hyperparameter grid of the fully connected heads.
        seed: seed of every random draw.
        device: device for torch: cpu, cuda or cuda:1.
        master: Spark master URL for `mllib_svm`. None: `local[*]`.
        progress: callback for progress updates.
    """

    grid: Grid
    seed: int = 0
    device: str = "cpu"
    master: str | None = None
    progress: Progress = no_progress


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted head.

    Attributes:
        dev_loss: loss of the target on dev, which may differ from its metric.
        hyperparameters: hyperparameters of the fit.
        results: learning curve, and results of the other members of the grid.
    """

    model: Model
    dev_loss: float
    hyperparameters: dict[str, Any]
    results: dict[str, Any]


def measured(
    model: Model, target: Target, samples: Samples, hyperparameters: dict[str, Any], results: dict[str, Any]
) -> Fitted:
    """Compute the loss on dev, and return the fitted head with it."""
    from photogenic.models.evaluation.metrics import loss_of
    from photogenic.models.heads.model import Model

    if not target.bounded and model.link == "identity":
        model = Model(model.kind, "unbounded", model.arrays)
    dev = samples.part("dev")
    return Fitted(model, loss_of(target, dev.y, model.predict(dev.X), dev.weight), hyperparameters, results)


class Head:
    """One kind of head. `register_head` gives it its name and makes it available.

    Attributes:
        name: name in `--head`, `runs.head` and the report.
        summary: one line for the help of `--head`.
        aliases: other names for `--head`.
        losses: losses of the targets that it can learn: `mse` for a number, `log_loss` for a binary target.
        kind: format of its arrays; heads of one kind share `apply`. Empty: the name of the head.
        keeps_vectors: whether its arrays hold vectors that it learned from. They must then be called `support`, because
            `features erase` finds the heads that it must remove by this name.
        place: position in lists, in ascending order.
        group: name of the heads that `fit_group` fits together. Empty: fitted alone.
        made_of_others: whether it is an ensemble of the heads that were asked for; `models.ensemble` makes it.
        needs_spark: whether it uses `--master`.
    """

    name: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    aliases: ClassVar[tuple[str, ...]] = ()
    losses: ClassVar[tuple[Literal["mse", "log_loss"], ...]] = ("mse", "log_loss")
    kind: ClassVar[str] = ""
    keeps_vectors: ClassVar[bool] = False
    place: ClassVar[int] = 1000
    group: ClassVar[str] = ""
    made_of_others: ClassVar[bool] = False
    needs_spark: ClassVar[bool] = False

    def fit(self, data: FitData, settings: FitSettings) -> Fitted:
        """Fit to train; dev may be used for early stopping and for selection.

        Raises:
            InputError: this head cannot learn from the train samples.
        """
        raise NotImplementedError(f"{type(self).__name__}.fit")

    def fit_group(
        self, heads: Sequence[str], data: Mapping[str, FitData], settings: FitSettings
    ) -> dict[tuple[str, str], Fitted]:
        """Return (target, head) -> fitted head, for several heads of its group and several targets.

        Args:
            heads: names of heads, in the order of the registry.
            data: training data by target.
            settings: settings of fitting.
        """
        raise NotImplementedError(f"{type(self).__name__}.fit_group")

    def apply(self, arrays: Mapping[str, Array], X: Array) -> Array:
        """Return the output before the link: X float32 (n, d), standardized as in `fit` -> (n,)."""
        raise NotImplementedError(f"{type(self).__name__}.apply")

    def tried(self, grid: Grid) -> dict[str, Any]:  # noqa: ARG002 - used by heads with a grid
        """Return the hyperparameter grid; it is part of the run id, so another grid gives another run."""
        return {}

    def check(self, settings: FitSettings) -> None:
        """Refuse, before any training, settings that `fit` cannot use here.

        Raises:
            PhotogenicError: a library is missing, or a setting is invalid.
        """

    def fitted(
        self,
        data: FitData,
        arrays: Mapping[str, Array],
        *,
        link: Link = "identity",
        standardise: Standardisation | None = None,
        hyperparameters: Mapping[str, Any] | None = None,
        results: Mapping[str, Any] | None = None,
    ) -> Fitted:
        """Make a fitted head from arrays, and compute its loss on dev.

        Args:
            data: training data of the fit.
            arrays: numeric arrays by name; `mean` and `scale` are added.
            link: function from the output to a ratio or probability; `identity` is clipped to 0..1, unless the target
                is a number of any size.
            standardise: standardization of the vectors in the fit. None: vectors were not standardized.
            hyperparameters: hyperparameters of the fit.
            results: further results of the fit.
        """
        import numpy as np

        from photogenic.models.heads.model import Model

        if self.keeps_vectors != ("support" in arrays):
            raise TypeError(f"{self.name}: keeps_vectors is {self.keeps_vectors}, and its arrays are {sorted(arrays)}")
        dim = data.samples.X.shape[1]
        mean, scale = np.zeros(dim, np.float32), np.ones(dim, np.float32)
        if standardise is not None:
            mean, scale = standardise.mean, standardise.scale
        kept = {name: np.asarray(array) for name, array in arrays.items()} | {"mean": mean, "scale": scale}
        model = Model(self.kind, link, kept)
        return measured(model, data.target, data.samples, dict(hyperparameters or {}), dict(results or {}))
