"""A store whose vectors determine the labels: like ratios and genders follow from a planted direction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from photogenic import FeatureStore
from photogenic.features.encoders.registry import ENCODERS
from photogenic.features.vectors.writer import VectorWriter
from photogenic.models.evaluation.leaderboard import Leaderboard
from photogenic.models.finetune.finetune import finetune as finetune_on
from photogenic.models.heads.grid import PUBLISHED_GRID, Grid
from photogenic.models.heads.train_stack import Schedule
from photogenic.models.options import FinetuneOptions, TrainOptions
from photogenic.models.train import train as train_on
from photogenic.warehouse import Layout, Progress, Store
from tests.features.toy import SETTINGS, put_photos, put_vectors

QUICK = Grid(
    learning_rates=(0.01, 0.1), penalties=(0.0,), width=4, schedule=Schedule(least_updates=120, evaluations=12)
)


def planted(folder: Path, n: int = 160, seed: int = 0, *, shuffled: bool = False) -> FeatureStore:
    """Make `n` labeled photos and 5 without swipes, with vectors of `toy_a` (4) and `toy_b` (3)."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4)).astype(np.float32)
    rate = 1 / (1 + np.exp(-1.5 * X[:, 0]))
    if shuffled:
        rate = rng.permutation(rate)
    n_swipes = rng.integers(5, 60, n)
    ids = [f"p{i:03d}" for i in range(n)]
    store = FeatureStore(folder / "store", settings=SETTINGS)
    put_photos(
        store.database,
        pl.DataFrame(
            {
                "photo_id": ids,
                "gender": [None if i % 10 == 0 else "female" if x > 0 else "male" for i, x in enumerate(X[:, 1])],
                "n_swipes": n_swipes,
                "n_likes": rng.binomial(n_swipes, rate),
            }
        ),
    )
    unseen = [f"unseen{i}" for i in range(5)]
    X = np.vstack([X, rng.normal(size=(5, 4)).astype(np.float32)])
    put_vectors(store.layout, "toy_a", ids + unseen, 3 * X + 7)
    put_vectors(store.layout, "toy_b", ids[:-10] + unseen, np.vstack([X[: n - 10, 1:], X[n:, 1:]]))
    return store


def put_mirrors(layout: Layout, name: str, X: np.ndarray) -> None:
    """Give every photo that has a vector of `name` a vector of its mirror image too: rows of X, by id."""
    writer = VectorWriter(layout, ENCODERS[name], "")
    held = writer.stored().sort("photo_id").select("photo_id", "sha256")
    writer.append(*(held[column].to_list() for column in held.columns), [True] * len(held), X.astype("f4"))
    writer.commit(held)


def train(
    store: FeatureStore,
    target: str | Sequence[str] = "like_ratio",
    encoders: Sequence[str] | None = None,
    heads: Sequence[str] = ("0fc", "1fc", "2fc"),
    setup: str | Sequence[str] = "one_face",
    *,
    grid: Grid = PUBLISHED_GRID,
    progress: Progress | None = None,
    **options: Any,
) -> Leaderboard:
    """Call `photogenic.models.train.train` with options as keyword arguments."""
    chosen = TrainOptions(target=target, encoders=encoders, heads=heads, setup=setup, **options)
    return train_on(Store(store.database, progress or store.progress), chosen, grid=grid)


def finetune(
    store: FeatureStore,
    backbone: str = "efficientnet_lite0",
    target: str = "like_ratio",
    setup: str = "one_face",
    *,
    progress: Progress | None = None,
    **options: Any,
) -> Leaderboard:
    """Call `photogenic.models.finetune.finetune.finetune` with options as keyword arguments."""
    chosen = FinetuneOptions(backbone=backbone, target=target, setup=setup, **options)
    return finetune_on(Store(store.database, progress or store.progress), chosen)
