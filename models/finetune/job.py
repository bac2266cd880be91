"""One fine-tuning job: its photos, split and audited, its settings, and the network and head that it makes."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from photogenic._lazy import torch
from photogenic.features.compute.pipeline import photo_bytes
from photogenic.features.compute.preprocess import loader
from photogenic.features.compute.training_images import crop_pictures
from photogenic.features.decoded.reader import DecodedPictures, opened_pictures
from photogenic.features.decoded.rule import PictureRule
from photogenic.features.encoders.base import Encoder
from photogenic.features.encoders.device import choose, torch_threads
from photogenic.features.encoders.finetuned import base_encoder, publish_encoder, trainable
from photogenic.features.encoders.weights import resolve
from photogenic.features.vectors.training_set import labelled
from photogenic.models.data.array_types import Strings
from photogenic.models.data.samples import Samples
from photogenic.models.data.split_config import DEFAULT_SPLIT, SplitConfig
from photogenic.models.data.targets import TARGETS, Target, is_column
from photogenic.models.data.targets import target as target_named
from photogenic.models.experiment import groups_of, split_samples
from photogenic.models.finetune import checkpoints
from photogenic.models.finetune.loop import FinetuneData, train_loop
from photogenic.models.finetune.recipes import Recipe, recipe_of
from photogenic.models.heads.base import Fitted
from photogenic.models.heads.model import Model
from photogenic.models.options import FinetuneOptions
from photogenic.models.runs import run_store
from photogenic.warehouse import InputError, Store, WeightsError

__all__ = ["HEAD", "Tuning"]

HEAD = "finetuned"
"""Name of the last layer of a fine-tuned network in the column `head`."""

_RULES = 1
"""Version of fine-tuning; increased if the same samples, recipe and seed would give another run."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """Everything that determines the result of a fine-tuning.

    Attributes:
        options: options of the fine-tuning.
        start: encoder whose network is fine-tuned.
        published: file of published weights. None: the weights start random.
        samples: samples with their split, without vectors.
        sha256s: SHA-256 of the bytes of each photo, (n,).
        audits: audit of the split.
        recipe: recipe with its number of iterations.
    """

    options: FinetuneOptions
    target: Target
    division: SplitConfig
    start: Encoder
    published: Path | None
    samples: Samples
    sha256s: Strings
    audits: list[dict[str, Any]]
    recipe: Recipe

    @classmethod
    def of(cls, store: Store, options: FinetuneOptions) -> Tuning:
        """Read, split and audit the samples, and find the weights to start with.

        Raises:
            InputError: a split is empty.
            StoreError: there are no labels, or train and test are not separate.
            WeightsError: the published weights are not found.
        """
        if is_column(options.target):
            raise InputError(
                f"A network cannot be fine-tuned for {options.target}, which is a column.",
                f"one of {', '.join(TARGETS)}",
                f"features train --target {options.target}, which trains heads for columns",
            )
        target, recipe, setup = target_named(options.target), recipe_of(options), options.setup
        division, start = _division(options.division, recipe), base_encoder(options.backbone)
        published = None if options.random_weights else _published_weights(start)
        samples, sha256s = _gather(store, target, setup)
        groups, what = groups_of(store, setup, samples), f"for {options.backbone}"
        (part,), audits = split_samples(store, target, samples, groups, setup=setup, division=division, what=what)
        digests = sha256s[np.searchsorted(samples.photo_ids, part.photo_ids)]
        settled = recipe.settled(int(np.sum(part.split == "train")))
        return cls(options, target, division, start, published, part, digests, audits, settled)

    @property
    def encoder(self) -> str:
        """Name of the fine-tuned network as an encoder."""
        return f"{self.options.backbone}@{self.run_id}"

    @property
    def run_id(self) -> str:
        """Id of the run, a digest of everything that determines the result."""
        content = hashlib.sha256("\0".join([self.samples.digest(), *self.sha256s.tolist()]).encode()).hexdigest()
        return run_store.run_id(
            [
                _RULES,
                HEAD,
                self.options.backbone,
                self.base_sha256,
                self.target.name,
                self.options.setup,
                asdict(self.division),
                asdict(self.recipe),
                content,
                self.options.seed,
            ]
        )

    @property
    def base_sha256(self) -> str:
        """SHA-256 of the weights at the start; empty if they are random."""
        return "" if self.published is None else self.start.backbone.weights_sha256()

    def fit(self, store: Store) -> Fitted:
        """Crop the pictures, train, and save the network as an encoder; return the head on its vectors.

        Continues where an earlier call was killed.
        """
        folder, n_threads = store.layout.models / self.run_id, store.database.settings.threads
        data = self._data(store, folder / "work", n_threads)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.options.seed)
            network = trainable(self.options.backbone, self.published)
        with torch_threads(n_threads):
            end = train_loop(
                data,
                network,
                self.recipe,
                folder / "checkpoint",
                seed=self.options.seed,
                device=choose(self.options.device),
                progress=store.progress,
            )
        best = checkpoints.read_tensors(folder / "checkpoint" / end.best)
        weights = {name.removeprefix("network."): t for name, t in best.items() if name.startswith("network.")}
        checkpoints.write_tensors(folder / "network.safetensors", weights)
        publish_encoder(
            folder,
            self.options.backbone,
            target=self.target.name,
            setup=self.options.setup,
            base_sha256=self.base_sha256,
        )
        arrays = {
            "output.weight": best["output.weight"][0].numpy(),
            "output.bias": best["output.bias"][0].numpy(),
            "mean": np.zeros(self.start.dim, np.float32),
            "scale": np.ones(self.start.dim, np.float32),
        }
        facts = {
            "seed": self.options.seed,
            "weights": "drawn" if self.published is None else "own" if self.start.own_weights else "published",
            "weights_sha256": self.base_sha256,
            "stopped_at": end.best_step,
            "ended_at": end.step,
        }
        return Fitted(
            model=Model("fc", "sigmoid", arrays),
            dev_loss=min(loss for _, loss in end.curve),
            hyperparameters={"recipe": self.recipe.name, **asdict(self.recipe), **facts},
            results={"curve": end.curve},
        )

    def tidy(self, store: Store) -> None:
        """Remove pictures and checkpoints, which a finished run no longer needs."""
        for name in ("work", "checkpoint"):
            shutil.rmtree(store.layout.models / self.run_id / name, ignore_errors=True)

    def _data(self, store: Store, folder: Path, n_threads: int) -> FinetuneData:
        with opened_pictures(self.options.decoded, self._rules()) as decoded:
            return self._crops(store, folder, n_threads, decoded)

    def _rules(self) -> list[PictureRule | None]:
        """How photos become pictures of train, and those of dev and of the encoder."""
        backbone = self.start.backbone
        return [PictureRule.of_training(backbone), PictureRule.of_input(backbone.input_spec)]

    def _crops(self, store: Store, folder: Path, n_threads: int, decoded: DecodedPictures | None) -> FinetuneData:
        cut = {}
        for split in ("train", "dev"):
            pictures, sound = crop_pictures(
                folder / f"{split}.npy",
                self.sha256s[self.samples.split == split].tolist(),
                loader(store.layout),
                self.start.backbone,
                with_margin=split == "train",
                decoded=decoded,
                n_threads=n_threads,
                progress=store.progress,
            )
            if not sound.all():
                store.progress.note(f"{int(np.sum(~sound))} pictures of {split} cannot be decoded and are left out.")
            if not sound.any():
                raise InputError(
                    f"No picture of {split} can be decoded.", "readable pictures", "features doctor --thorough"
                )
            cut[split] = pictures, np.flatnonzero(sound), self.samples.part(split).rows(sound)
        (pictures, places, train), (dev_pictures, dev_places, dev) = cut["train"], cut["dev"]
        return FinetuneData(
            self.target,
            pictures,
            places,
            train.y,
            train.weight,
            (dev_pictures[dev_places], dev.y, dev.weight),
            self.start.backbone,
            self.start.layer,
            self.start.dim,
            drawn=self.published is None,
        )


def _division(division: SplitConfig, recipe: Recipe) -> SplitConfig:
    """Return the division that was asked for, or that of the recipe."""
    if division.folds:
        raise InputError("A network cannot be fine-tuned in folds.", "one division", "--ratio 8:1:1")
    return SplitConfig(recipe.ratio) if division == DEFAULT_SPLIT else division


def _published_weights(start: Encoder) -> Path:
    """Return the file of published weights.

    Raises:
        WeightsError: the file is not found; the remedy also names the start with random weights.
    """
    assert start.backbone.weights is not None
    try:
        return resolve(start.backbone.weights)
    except WeightsError as error:
        raise WeightsError(
            error.what, error.expected, f"{error.remedy}; or start with random weights: --random-weights"
        ) from error


def _gather(store: Store, target: Target, setup: str) -> tuple[Samples, Strings]:
    """Return the labeled photos that have bytes, without vectors, and the digest of each photo's bytes."""
    rows = labelled(store.database, target.name, setup)  # type: ignore[arg-type]
    held = photo_bytes(store.database).filter(status="ok").drop("status")
    rows = rows.join(held, on="photo_id", how="inner").sort("photo_id")
    n = len(rows)
    samples = Samples(
        photo_ids=np.asarray(rows["photo_id"].to_list(), np.str_),
        user_ids=np.asarray(rows["user_id"].to_list(), np.str_),
        X=np.empty((n, 0), np.float32),
        y=rows["y"].to_numpy().astype(np.float32),
        weight=rows["weight"].to_numpy().astype(np.float32) if target.weighted else np.ones(n, np.float32),
        gender=np.asarray(rows["gender"].fill_null("").to_list(), np.str_),
        split=np.asarray(rows["split"].to_list(), np.str_),
    )
    if not n:
        raise InputError(
            f"No photo of setup {setup} has both a label for {target.name} and a picture.",
            "labeled photos with bytes in the store",
            "features status, to see what is missing; features build, to update the store",
        )
    return samples, np.asarray(rows["sha256"].to_list(), np.str_)
