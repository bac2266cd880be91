"""Experiments: a target, an encoder and a setup with split, audited samples, on which heads are trained and evaluated.

With folds there is one split per fold, and a run has one head per fold. Each photo is predicted by the head that was
trained without it, so all photos are in test; a new photo gets the mean of all heads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from photogenic import sql
from photogenic.features.encoders.registry import uses_published_weights
from photogenic.features.vectors import reader
from photogenic.models.data.array_types import Array
from photogenic.models.data.leakage import audit, check_tuned, duplicates_known
from photogenic.models.data.samples import SPLITS, Samples, encoder_parts, gather, with_mirrors
from photogenic.models.data.split import Groups, make_split
from photogenic.models.data.split_config import DEFAULT_SPLIT, SplitConfig
from photogenic.models.data.targets import Target
from photogenic.models.evaluation.conformal import bounds
from photogenic.models.evaluation.importance import Importance, permuted
from photogenic.models.evaluation.metrics import evaluate
from photogenic.models.evaluation.predictions import Predictions
from photogenic.models.evaluation.slices import by_gender
from photogenic.models.heads.base import Fitted
from photogenic.models.heads.fit_mlp import constant
from photogenic.models.heads.model import Model, ensemble, members
from photogenic.models.runs.run_store import Run
from photogenic.warehouse import InputError, Store, StoreError
from photogenic.warehouse.columns import ColumnRef

__all__ = ["Experiment", "OneAnswerError", "combined", "content_of", "groups_of", "no_mirrors", "split_samples"]


class OneAnswerError(InputError):
    """Every training photo has the same label."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """Training and evaluation data of the heads of one target, encoder and setup.

    Attributes:
        digests: digest of each encoder when its vectors were computed.
        dims: dimension of the vector of each encoder.
        parts: samples with their split; one element, or one per fold.
        mirrors: vectors of the mirror images. None: not used.
        audits: audit of each part.
        content: digest of all training data.
        own_weights: SHA-256 of the user's own weights, by encoder.
        inputs: columns beside the vectors.
        left_out: counts of photos that were left out, as `models.data.samples.gather` returns them.
    """

    target: Target
    setup: str
    encoder: str
    division: SplitConfig
    digests: dict[str, str]
    dims: list[int]
    parts: list[Samples]
    mirrors: Samples | None
    audits: list[dict[str, Any]]
    content: str
    own_weights: dict[str, str]
    inputs: tuple[ColumnRef, ...] = ()
    left_out: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        store: Store,
        target: Target,
        encoder: str,
        setup: str,
        division: SplitConfig,
        *,
        flip: bool,
        own_run: str | None = None,
        inputs: Sequence[ColumnRef] = (),
        allow_correlated: bool = False,
    ) -> Experiment:
        """Read, split and audit the samples. `own_run`: the run that fine-tuned the encoder and is being evaluated.

        `inputs`: columns beside the vectors. `allow_correlated`: whether one of them may tell the label.

        Raises:
            InputError: a split is empty.
            StoreError: there are no labels or vectors, or train and test are not separate.
        """
        samples, left_out = gather(store, target, encoder, setup, inputs=inputs)
        mirrors = gather(store, target, encoder, setup, flip=True, inputs=inputs)[0] if flip else None
        if mirrors is not None and not len(mirrors):
            raise no_mirrors(encoder)
        groups = groups_of(store, setup, samples, labeled=target.column is None)
        parts, audits = split_samples(
            store,
            target,
            samples,
            groups,
            setup=setup,
            division=division,
            what=f"by {encoder}",
            inputs=[ref.name for ref in inputs],
            allow_correlated=allow_correlated,
        )
        for part in parts:
            check_tuned(
                store.database,
                encoder,
                part,
                groups.of_photos(samples.photo_ids, part.photo_ids),
                besides=own_run,
            )
        manifests = [reader.manifest(store.layout, name) for name in encoder_parts(encoder)]
        return cls(
            target,
            setup,
            encoder,
            division,
            {made.encoder: made.digest for made in manifests},
            [made.dim for made in manifests],
            parts,
            mirrors,
            audits,
            content_of(samples, parts, mirrors),
            {
                made.encoder: made.weights_sha256
                for made in manifests
                if not uses_published_weights(made.encoder, made.weights_sha256)
            },
            tuple(inputs),
            left_out,
        )

    def part(self, place: int) -> Samples:
        """Return the samples for one head: of a fold, or of the only split; with mirror images if asked."""
        part = self.parts[place]
        return part if self.mirrors is None else with_mirrors(part, self.mirrors)

    def outside(self, model: Model, split: str) -> Predictions:
        """Return the predictions of a run for `split`, each photo by the head that did not learn from it."""
        rows = [part.part(split) for part in self.parts]
        said = [head.predict(part.X) for head, part in zip(self._heads(model), rows, strict=True)]
        return Predictions.of(rows, np.concatenate(said), [constant(part.part("train")) for part in self.parts])

    def predictions(self, model: Model, photo_ids: Sequence[str], X: Array) -> tuple[Array, list[str | None]]:
        """Return (prediction, split) of every photo with a vector; split None: it has no label, or was left out."""
        p = model.predict(X)
        if not self.division.folds:
            split = dict(zip(self.parts[0].photo_ids.tolist(), self.parts[0].split.tolist(), strict=True))
            return p, [split.get(photo_id) for photo_id in photo_ids]
        ids, tested = np.asarray(photo_ids, np.str_), np.zeros(len(X), bool)
        for (head, _), part in zip(members(model), self.parts, strict=True):
            own = np.isin(ids, part.part("test").photo_ids)
            p[own], tested[own] = head.predict(X[own]), True
        return p, ["test" if held else None for held in tested.tolist()]

    def evaluate(self, run_id: str, head: str, fit: Fitted, seed: int) -> Run:
        """Evaluate a head on test, once, and return the run."""
        rng = np.random.default_rng(seed)
        test, dev = self.outside(fit.model, "test"), self.outside(fit.model, "dev")
        figures, tuned = (
            evaluate(self.target, of.y, of.p, weight=of.weight, users=of.user_ids, constant=of.constant, rng=rng)
            for of in (test, dev)
        )
        results = {
            **figures,
            **fit.results,
            "dev_loss": fit.dev_loss,
            "constant": float(np.mean(test.constant)),
            "leakage": self.audits,
            "slices": [slice_.recorded() for slice_ in by_gender(self.target, test, seed)],
            **bounds(self.target, dev, test),
        }
        if self.inputs:
            results["importance"] = [each.recorded() for each in self.importance(fit.model, seed)]
        learnt = self.parts[0].split == "train"
        return Run(
            run_id=run_id,
            target=self.target.name,
            setup=self.setup,
            encoder=self.encoder,
            head=head,
            metric=self.target.metric,
            dev=tuned["metric"],
            test=figures["metric"],
            baseline=figures["baseline"],
            n_train=int(np.sum(learnt)),
            n_dev=len(dev.y),
            n_test=len(test.y),
            dim=fit.model.dim,
            kind=fit.model.kind,
            link=fit.model.link,
            encoder_digests=self.digests,
            samples=self.content,
            hyperparameters={
                **fit.hyperparameters,
                "division": self.division.name,
                "flip": self.mirrors is not None,
                **({"own_weights": self.own_weights} if self.own_weights else {}),
                **self.declared(),
            },
            results=results,
        )

    def declared(self) -> dict[str, Any]:
        """Return what `hyperparameters` of a run say of a column as the target, its weight, and inputs."""
        found: dict[str, Any] = {}
        if self.left_out:
            found["left_out"] = self.left_out
        if self.target.weight is not None:
            found["weight"] = self.target.weight.name
        if self.inputs:
            part = self.parts[0]
            missing = ~np.isfinite(part.X[:, -len(self.inputs) :])
            found["inputs"] = [
                {
                    "name": ref.name,
                    "missing": {split: int(np.sum(missing[part.split == split, at])) for split in SPLITS},
                }
                for at, ref in enumerate(self.inputs)
            ]
        return found

    def importance(self, model: Model, seed: int) -> list[Importance]:
        """Return how much each input, and the whole vector, lowers the error of a head on test."""
        tests = [(head, part.part("test")) for head, part in zip(self._heads(model), self.parts, strict=True)]
        return permuted(self.target, tests, [ref.name for ref in self.inputs], encoder=self.encoder, seed=seed)

    def _heads(self, model: Model) -> list[Model]:
        """Return the head of each part."""
        return [head for head, _ in members(model)] if self.division.folds else [model]


def content_of(samples: Samples, parts: Sequence[Samples], mirrors: Samples | None = None) -> str:
    """Return a digest of the data of an experiment, 16 hex digits: samples, their splits, and mirror images."""
    state = hashlib.sha256(samples.digest().encode())
    for part in parts:
        state.update("\0".join([*part.photo_ids.tolist(), *part.split.tolist()]).encode())
    if mirrors is not None:
        state.update(mirrors.digest().encode())
    return state.hexdigest()[:16]


def split_samples(
    store: Store,
    target: Target,
    samples: Samples,
    groups: Groups,
    *,
    setup: str,
    division: SplitConfig,
    what: str,
    inputs: Sequence[str] = (),
    allow_correlated: bool = False,
) -> tuple[list[Samples], list[dict[str, Any]]]:
    """Return the samples with their split, one result or one per fold, and the audit of each.

    Raises:
        InputError: a split is empty; `what` names the encoder in the message.
        OneAnswerError: all labels of train are equal, of a binary target or a column.
        StoreError: train and test are not separate.
    """
    known = duplicates_known(store.database)
    parts = make_split(samples, groups, division, setup)
    for part in parts:
        for split in SPLITS:
            if not np.any(part.split == split):
                raise InputError(
                    f"The {split} split of {target.name} {what} in setup {setup} is empty "
                    f"({len(samples)} photos, divided {division.name}).",
                    "photos with a label and a vector in train, dev and test",
                    "features status, to see what is missing; features build, to update the store",
                )
        _check_answers(target, part.part("train"), setup)
    audits = [
        audit(
            part,
            groups.of_photos(samples.photo_ids, part.photo_ids),
            division,
            known_duplicates=known,
            inputs=inputs,
            allow_correlated=allow_correlated,
        )
        | {"n_left_out": len(samples) - len(part)}
        | ({"n_moved": int(np.sum(samples.split != part.split))} if division == DEFAULT_SPLIT else {})
        for part in parts
    ]
    return parts, audits


def no_mirrors(encoder: str) -> StoreError:
    """Return the error of `--flip` for a store without vectors of mirror images."""
    return StoreError(
        f"No photo has a {encoder} vector of its mirror image.",
        "vectors of mirror images",
        f"features build --flip --encoder {encoder.replace('+', ' --encoder ')}",
    )


def _check_answers(target: Target, train: Samples, setup: str) -> None:
    """Refuse to train on one label only; more photos of the same label would not help."""
    if (target.loss != "log_loss" and target.bounded) or len(np.unique(train.y)) > 1:
        return
    if target.loss != "log_loss":
        raise OneAnswerError(
            f"All {len(train)} photos of train in setup {setup} have one value of {target.name}: {train.y[0]:g}.",
            "a number that differs between photos",
            f'features sql "from {target.name.partition(".")[0]} limit 5", to see its rows; or another --target',
        )
    answers = target.answers
    if target.name == "gender":
        remedy = "features ingest users, with owners of both genders; or --target like_ratio"
    elif target.bounded and target.column is None:
        remedy = "features build, with photos of both kinds; or --target like_ratio"
    else:
        remedy = f'features sql "from {target.name.partition(".")[0]} limit 5", to see its rows; or another --target'
    raise OneAnswerError(
        f"All {len(train)} photos of train in setup {setup} have one answer for {target.name}: they are "
        f"{answers[int(train.y[0])]}.",
        f"photos that are {answers[0]} and photos that are {answers[1]}; more of the same do not help",
        remedy,
    )


def combined(fits: Sequence[Fitted]) -> Fitted:
    """Combine the heads of several folds into one; return a single head unchanged."""
    if len(fits) == 1:
        return fits[0]
    return Fitted(
        model=ensemble([(fit.model, range(fit.model.dim)) for fit in fits]),
        dev_loss=float(np.mean([fit.dev_loss for fit in fits])),
        hyperparameters={"folds": [fit.hyperparameters for fit in fits]},
        results={"folds": [fit.results for fit in fits]},
    )


def groups_of(store: Store, setup: str, samples: Samples, *, labeled: bool = True) -> Groups:
    """Return the groups that connect the labeled photos of a setup, or all photos."""
    with store.database.read() as con:
        if not labeled:
            return Groups.of(samples.photo_ids, con.sql(sql.read("training/photo_origins")).pl())
        ((swipes,),) = con.execute("select count(*) from photo_labels where source = 'swipes'").fetchall()
        said = {"setup": setup, "source": "swipes" if swipes else "posts"}
        return Groups.of(samples.photo_ids, con.sql(sql.read("training/origins"), params=said).pl())
