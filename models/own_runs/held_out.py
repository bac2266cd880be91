"""Evaluate predictions that were made elsewhere by the test of the heads: same photos, figures, intervals and slices.

A photo of test counts only if the predictions were not learned from it, from another photo of its owner, or from a
duplicate of it. What they were learned from is what the user says. Without that the run is not audited, and is marked
as such: its figures may be of photos that it knew.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import pl
from photogenic.models.data.array_types import Strings
from photogenic.models.data.samples import NO_ENCODER, Samples, gather
from photogenic.models.data.split import Groups
from photogenic.models.data.split_config import SplitConfig
from photogenic.models.data.targets import Target
from photogenic.models.evaluation.conformal import bounds
from photogenic.models.evaluation.metrics import evaluate
from photogenic.models.evaluation.predictions import Predictions
from photogenic.models.evaluation.slices import by_gender
from photogenic.models.experiment import content_of, groups_of, split_samples
from photogenic.models.heads.fit_mlp import constant
from photogenic.warehouse import InputError, Store

__all__ = ["Evaluated", "HeldOut", "Learned"]


@dataclass(frozen=True, slots=True)
class Learned:
    """Photos that predictions were learned from.

    Attributes:
        photo_ids: these photos.
        user_ids, sha256s: owners and bytes of those that the store has.
    """

    photo_ids: Collection[str]
    user_ids: Collection[str]
    sha256s: Collection[str]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Predictions with their figures.

    Attributes:
        test: predictions of the photos of test that count.
        dev, figure, baseline: figures as in `runs`; dev is None if no photo of dev counts.
        results: intervals, further figures, slices, coverage and audit.
        split: photo_id -> train, dev or test; other photos are in none of them.
    """

    test: Predictions
    dev: float | None
    figure: float
    baseline: float
    results: dict[str, Any]
    split: dict[str, str]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The test of one target, setup and division.

    Attributes:
        samples: all labeled photos of the setup.
        parts: the same with their split; one element, or one per fold.
    """

    target: Target
    setup: str
    division: SplitConfig
    samples: Samples
    groups: Groups
    parts: list[Samples]

    @classmethod
    def of(cls, store: Store, target: Target, setup: str, division: SplitConfig) -> HeldOut:
        """Read and split the labeled photos, as a training does.

        Raises:
            InputError: there is no such setup, or a split is empty.
            StoreError: there are no labels.
        """
        samples, _ = gather(store, target, NO_ENCODER, setup)
        if not len(samples):
            raise InputError(
                f"No photo of setup {setup} has a label for {target.name}.",
                "labeled photos, on which predictions can be evaluated",
                "features status, to see what is missing; features build, to update the store",
            )
        groups = groups_of(store, setup, samples, labeled=target.column is None)
        parts, _ = split_samples(store, target, samples, groups, setup=setup, division=division, what="for predictions")
        return cls(target, setup, division, samples, groups, parts)

    def digest(self) -> str:
        """Return a digest of photos, labels, weights and splits, 16 hex digits."""
        return content_of(self.samples, self.parts)

    @property
    def n_test(self) -> int:
        """Number of photos of test."""
        return sum(int(np.sum(part.split == "test")) for part in self.parts)

    def __call__(self, rows: pl.DataFrame, learned: Learned | None, seed: int = 0) -> Evaluated:
        """Evaluate predictions.

        Args:
            rows: photo_id and prediction, one row per photo, by photo_id.
            learned: what the predictions were learned from; None: not said.
            seed: seed of the bootstrap.

        Raises:
            InputError: no photo of test counts.
        """
        seen = self._seen(learned)
        test, dev = self._predictions(rows, "test", seen), self._predictions(rows, "dev", seen)
        n_seen = self._count(rows, "test", seen)
        if not len(test.y):
            raise self._nothing_left(n_seen)
        rng = np.random.default_rng(seed)
        figures, tuned = (
            evaluate(self.target, of.y, of.p, weight=of.weight, users=of.user_ids, constant=of.constant, rng=rng)
            if len(of.y)
            else None
            for of in (test, dev)
        )
        assert figures is not None
        results = {
            **figures,
            "constant": float(np.mean(test.constant)),
            "coverage": {"n_predicted": len(test.y), "n_photos": self.n_test, "share": len(test.y) / self.n_test},
            "audit": {
                "learned_from": "not_said" if learned is None else "said",
                "n_learned": None if learned is None else len(learned.photo_ids),
                "n_test_left_out": n_seen,
            },
            "slices": [slice_.recorded() for slice_ in by_gender(self.target, test, seed)],
            **bounds(self.target, dev, test),
        }
        split = dict.fromkeys(learned.photo_ids if learned else (), "train")
        split |= dict.fromkeys(dev.photo_ids.tolist(), "dev") | dict.fromkeys(test.photo_ids.tolist(), "test")
        dev_figure = None if tuned is None else tuned["metric"]
        return Evaluated(test, dev_figure, figures["metric"], figures["baseline"], results, split)

    def predictions_of(self, rows: pl.DataFrame) -> Predictions:
        """Return stored test predictions of a run of the same split (photo_id, prediction) with their labels."""
        return self._predictions(rows, "test", np.zeros(len(self.samples), bool))

    def _seen(self, learned: Learned | None) -> NDArray[np.bool_]:
        """Return which labeled photos count as learned from, (n,): themselves, their owner's, or a duplicate."""
        if learned is None or not learned.photo_ids:
            return np.zeros(len(self.samples), bool)
        own = np.isin(self.samples.photo_ids, sorted(learned.photo_ids))
        groups, bytes_ = self.groups, self.groups.links["bytes"]
        found = np.isin(groups.group, groups.group[own]) | np.isin(self.samples.user_ids, sorted(learned.user_ids))
        return np.asarray(found | (np.isin(bytes_, sorted(learned.sha256s)) & (bytes_ != "")), np.bool_)

    def _chosen(self, rows: pl.DataFrame, split: str) -> list[tuple[Samples, NDArray[np.bool_]]]:
        """Return each part with a mask of the predicted photos of a split."""
        ids = rows["photo_id"].to_numpy().astype(np.str_)
        return [(part, (part.split == split) & np.isin(part.photo_ids, ids)) for part in self.parts]

    def _count(self, rows: pl.DataFrame, split: str, seen: NDArray[np.bool_]) -> int:
        """Count the predicted photos of a split that were learned from."""
        known = self.samples.photo_ids[seen]
        return sum(int(np.sum(np.isin(part.photo_ids[at], known))) for part, at in self._chosen(rows, split))

    def _predictions(self, rows: pl.DataFrame, split: str, seen: NDArray[np.bool_]) -> Predictions:
        """Return predictions with labels for the photos of a split that were not learned from."""
        ids, values = rows["photo_id"].to_numpy().astype(np.str_), rows["prediction"].to_numpy().astype(np.float64)
        known = self.samples.photo_ids[seen]
        chosen = [part.rows(at & ~np.isin(part.photo_ids, known)) for part, at in self._chosen(rows, split)]
        order, wanted = np.argsort(ids), np.concatenate([part.photo_ids for part in chosen])
        at = order[np.searchsorted(ids, wanted, sorter=order)] if len(ids) else order
        return Predictions.of(chosen, values[at], [constant(part.part("train")) for part in self.parts])

    def _nothing_left(self, n_seen: int) -> InputError:
        ids: Strings = self.parts[0].part("test").photo_ids[:3]
        if n_seen:
            return InputError(
                f"All {n_seen:,} predicted photos of test in setup {self.setup} are photos that the predictions were "
                "learned from, or of the same people.",
                "predictions for photos of test that they were not learned from",
                "learn from the photos of train in the training set, and predict those of test",
            )
        return InputError(
            f"None of the {self.n_test:,} photos of test in setup {self.setup} is predicted.",
            f"predictions for photos of test, such as {', '.join(ids.tolist())}",
            "predict all labeled photos: features sql 'select photo_id from photo_labels'",
        )
