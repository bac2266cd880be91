"""What a kind of head is: a class that fits arrays to samples, and applies them to vectors.

    @register_head("median")
    class Median(Head):
        summary = "the median label, whatever the photo shows"

        def fit(self, data, settings):
            label = np.median(data.samples.part("train").y)
            return self.fitted(data, {"label": label}, hyperparameters={"seed": settings.seed})

        def apply(self, arrays, X):
            return np.full(len(X), arrays["label"])

Put into a file of `models/heads/entries`, or into a module that `FEATURES_MODULES` names, it is trained by
`features train --head median`, kept, listed and applied as any other. This file and those of the entries load
nothing heavy: the command line reads names and help from them.
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

__all__ = ["FitData", "FitSettings", "Fitted", "Head"]


@dataclass(frozen=True, slots=True)
class FitData:
    """What one head learns from.

    Attributes:
        target: what the labels `samples.y` are.
        samples: of one encoder and setup, divided into train, dev and test; test is for whoever evaluates the head.
        dims: length of the vector of each encoder, in the order in which they stand side by side.
    """

    target: Target
    samples: Samples
    dims: Sequence[int]


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How heads are fitted.

    Attributes:
        grid: what dev chooses from, for fully connected layers.
        seed: of everything that is drawn.
        device: for torch; cpu, cuda or cuda:1.
        master: of the Spark that trains `mllib_svm`; None: `local[*]`.
        progress: callback for progress updates.
    """

    grid: Grid
    seed: int = 0
    device: str = "cpu"
    master: str | None = None
    progress: Progress = no_progress


@dataclass(frozen=True, slots=True)
class Fitted:
    """A head that was fitted.

    Attributes:
        dev_loss: in the loss of the target, not its metric.
        hyperparameters: what it was made with.
        results: its learning curve, and what the rest of the grid reached.
    """

    model: Model
    dev_loss: float
    hyperparameters: dict[str, Any]
    results: dict[str, Any]


class Head:
    """One kind of head. `register_head` gives it its name, and makes it known.

    Attributes:
        name: what `--head`, `runs.head` and the report call it.
        summary: one line for the help of `--head`.
        aliases: other names that `--head` takes.
        losses: of the targets that it can learn: `mse` of a ratio, `log_loss` of a yes or no.
        kind: how its arrays are read; heads of one kind share `apply`. Empty: a kind of its own, called as the head.
        keeps_vectors: whether its arrays hold vectors that it learned from. They must then be called `support`: by this
            name `features erase` finds the heads that it has to remove.
        place: where lists name it, lesser first.
        group: heads of one group are fitted together by `fit_group`; empty: each by itself.
        made_of_others: whether it is an ensemble of the heads that were asked for, which `models.ensemble` makes.
        needs_spark: whether `--master` is for it.
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
        """Learn from train; dev may stop or choose.

        Raises:
            InputError: train is not such that this head can learn from it.
        """
        raise NotImplementedError(f"{type(self).__name__}.fit")

    def fit_group(
        self, heads: Sequence[str], data: Mapping[str, FitData], settings: FitSettings
    ) -> dict[tuple[str, str], Fitted]:
        """(target, head) -> the head, for several heads of its group and several targets.

        Args:
            heads: names, in the order of the registry.
            data: by target.
            settings: how.
        """
        raise NotImplementedError(f"{type(self).__name__}.fit_group")

    def apply(self, arrays: Mapping[str, Array], X: Array) -> Array:
        """What a fitted head says before its link: X float32 (n, d), standardised as it was for `fit` -> (n,)."""
        raise NotImplementedError(f"{type(self).__name__}.apply")

    def tried(self, grid: Grid) -> dict[str, Any]:  # noqa: ARG002 - of heads that have a grid
        """Its hyperparameter grid, which is part of what a run is named after: another grid, another run."""
        return {}

    def check(self, settings: FitSettings) -> None:
        """Refuse before anything is trained what `fit` could not do here.

        Raises:
            PhotogenicError: a part is missing, or a setting cannot be.
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
        """A head with these arrays, its loss on dev worked out.

        Args:
            data: that it was fitted to.
            arrays: by name, numbers only; `mean` and `scale` are added.
            link: what turns its output into a ratio or probability; `identity` is clipped to 0..1.
            standardise: that of the vectors it was fitted to; None: it was fitted to them as they are.
            hyperparameters: what it was made with.
            results: what is worth knowing of the fit.
        """
        import numpy as np

        from photogenic.models.evaluation.metrics import loss_of
        from photogenic.models.heads.model import Model

        if self.keeps_vectors != ("support" in arrays):
            raise TypeError(f"{self.name}: keeps_vectors is {self.keeps_vectors}, and its arrays are {sorted(arrays)}")
        dim = data.samples.X.shape[1]
        mean, scale = np.zeros(dim, np.float32), np.ones(dim, np.float32)
        if standardise is not None:
            mean, scale = standardise.mean, standardise.scale
        kept = {name: np.asarray(array) for name, array in arrays.items()} | {"mean": mean, "scale": scale}
        model, dev = Model(self.kind, link, kept), data.samples.part("dev")
        loss = loss_of(data.target, dev.y, model.predict(dev.X), dev.weight)
        return Fitted(model, loss, dict(hyperparameters or {}), dict(results or {}))
