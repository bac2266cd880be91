"""Training samples: photos with their vectors, labels, weights and splits, joined by photo id.

gather(store, TARGETS["like_ratio"], "dlib_face", "one_face")                      one encoder
gather(store, TARGETS["like_ratio"], "efficientnet_lite0+dlib_face", "one_face")   vectors joined
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from photogenic.features.vectors import reader
from photogenic.features.vectors.training_set import training_set
from photogenic.models.data.array_types import Array, Strings
from photogenic.models.data.targets import Target
from photogenic.warehouse import Layout, Store

__all__ = ["SPLITS", "Samples", "Standardisation", "gather", "read_vectors", "with_mirrors"]

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples of one target, encoder and setup.

    Attributes:
        X: vectors, float32 (n, d), not standardized.
        y: labels, float32 (n,), 0 to 1.
        weight: weights, float32 (n,), above 0: numbers of swipes, or all 1 if the target is not weighted.
        gender: gender of each owner; '' if unknown.
        split: split of each photo: train, dev or test.
    """

    photo_ids: Strings
    user_ids: Strings
    X: Array
    y: Array
    weight: Array
    gender: Strings
    split: Strings

    def __len__(self) -> int:
        return len(self.photo_ids)

    def part(self, split: str) -> Samples:
        """Return the rows of one split."""
        return self.rows(self.split == split)

    def rows(self, chosen: Any) -> Samples:
        """Return the rows of a mask or of positions, in the order of the positions."""
        columns = {name: getattr(self, name)[chosen] for name in self.__slots__}
        return Samples(**columns)

    def digest(self) -> str:
        """Return a digest of the content, 16 hex digits: rows, vectors, labels and splits."""
        state = hashlib.sha256()
        for name in self.__slots__:
            column = np.ascontiguousarray(getattr(self, name))
            state.update(f"{name}{column.dtype}{column.shape}".encode())
            state.update(column.data if column.dtype.kind == "f" else "\0".join(column.tolist()).encode())
        return state.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Standardisation:
    """Shift and scale of each dimension of the vectors, computed from train only."""

    mean: Array
    scale: Array

    @classmethod
    def of(cls, X: Array) -> Standardisation:
        """Compute mean and standard deviation; a constant dimension is only shifted."""
        mean, scale = X.mean(0, dtype=np.float64), X.std(0, dtype=np.float64)
        return cls(mean.astype(np.float32), np.where(scale > 1e-6, scale, 1.0).astype(np.float32))

    def __call__(self, X: Array) -> Array:
        return np.asarray((X - self.mean) / self.scale, np.float32)


def gather(store: Store, target: Target, encoder: str, setup: str, *, flip: bool = False) -> Samples:
    """Read the samples of one experiment. An encoder `a+b` keeps the photos that have both vectors.

    Args:
        store: store with labels and vectors.
        target: target that gives y.
        encoder: encoder of the vectors.
        setup: all or one_face.
        flip: whether to read the vectors of the mirror images.

    Raises:
        StoreError: there are no labels, or no vectors of an encoder.
    """
    found = training_set(store, target.name, encoder=encoder, setup=setup, flip=flip)  # type: ignore[arg-type]
    return Samples(
        photo_ids=np.asarray(found.photo_ids, np.str_),
        user_ids=np.asarray(found.user_ids, np.str_),
        X=found.X,
        y=found.y,
        weight=found.weight if target.weighted else np.ones_like(found.y),
        gender=np.asarray([gender or "" for gender in found.gender], np.str_),
        split=np.asarray(found.split, np.str_),
    )


def with_mirrors(samples: Samples, mirrors: Samples) -> Samples:
    """Add to train the mirror image of each train photo that has one; dev and test stay as they are.

    Both copies have the same photo id and owner, so cross-validation keeps them in one fold.
    """
    train = samples.photo_ids[samples.split == "train"]
    copies = mirrors.rows(np.isin(mirrors.photo_ids, train))
    copies = replace(copies, split=np.full(len(copies), "train"))
    columns = {name: np.concatenate([getattr(samples, name), getattr(copies, name)]) for name in Samples.__slots__}
    return Samples(**columns)


def read_vectors(layout: Layout, encoder: str) -> tuple[list[str], Array]:
    """Read all vectors of an encoder (for `a+b`: of photos with both), sorted by id; X float32 (n, d).

    Raises:
        StoreError: an encoder has no vectors in the store.
    """
    ids, X = reader.read(layout, encoder.split("+", maxsplit=1)[0])
    for name in encoder.split("+")[1:]:
        others, Y = reader.read(layout, name)
        _, i, j = np.intersect1d(np.asarray(ids), np.asarray(others), assume_unique=True, return_indices=True)
        ids, X = [ids[at] for at in i], np.concatenate([X[i], Y[j]], 1)
    return ids, X
