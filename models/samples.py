"""What a head learns from: photos with their vectors, labels, weights and splits, joined by photo id.

gather(store, "like_ratio", "dlib_face", "one_face")                      one encoder
gather(store, "like_ratio", "efficientnet_lite0+dlib_face", "one_face")   vectors side by side
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models.arrays import Array, Strings
from models.targets import Target
from warehouse import InputError

if TYPE_CHECKING:
    from features.store import FeatureStore
    from warehouse import Layout

__all__ = ["Samples", "Standardisation", "gather", "read_vectors"]


@dataclass(frozen=True, slots=True)
class Samples:
    """Rows of one target, encoder and setup.

    Attributes:
        X: float32 (n, d), as the encoder made them.
        y: float32 (n,), 0..1.
        weight: float32 (n,), > 0; swipes, or all 1 where the target is not weighted.
        gender: '' where unknown.
        split: train, dev or test.
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
        """The rows of one split."""
        return self.rows(self.split == split)

    def rows(self, chosen: Any) -> Samples:
        """A mask or positions; positions may reorder."""
        columns = {name: getattr(self, name)[chosen] for name in self.__slots__}
        return Samples(**columns)

    def digest(self) -> str:
        """Names the content, in 16 hex digits: other rows, vectors, labels or splits, another digest."""
        state = hashlib.sha256()
        for name in self.__slots__:
            column = np.ascontiguousarray(getattr(self, name))
            state.update(f"{name}{column.dtype}{column.shape}".encode())
            state.update(column.data if column.dtype.kind == "f" else "\0".join(column.tolist()).encode())
        return state.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Standardisation:
    """Shift and scale of each number of a vector, from train alone."""

    mean: Array
    scale: Array

    @classmethod
    def of(cls, X: Array) -> Standardisation:
        """Mean and standard deviation; a number that never changes is only shifted."""
        mean, scale = X.mean(0, dtype=np.float64), X.std(0, dtype=np.float64)
        return cls(mean.astype(np.float32), np.where(scale > 1e-6, scale, 1.0).astype(np.float32))

    def __call__(self, X: Array) -> Array:
        return np.asarray((X - self.mean) / self.scale, np.float32)


def gather(store: FeatureStore, target: Target, encoder: str, setup: str) -> Samples:
    """The rows of the store for one experiment. An encoder `a+b` keeps the photos that have both vectors.

    Raises:
        InputError: a split is empty.
        StoreError: no labels, or no vectors of an encoder.
    """
    found = store.training_set(target.name, encoder=encoder, setup=setup)  # type: ignore[arg-type]
    ones = np.ones_like(found.y)
    samples = Samples(
        photo_ids=np.asarray(found.photo_ids, np.str_),
        user_ids=np.asarray(found.user_ids, np.str_),
        X=found.X,
        y=found.y,
        weight=found.weight if target.weighted else ones,
        gender=np.asarray([gender or "" for gender in found.gender], np.str_),
        split=np.asarray(found.split, np.str_),
    )
    for split in ("train", "dev", "test"):
        if not np.any(samples.split == split):
            raise InputError(
                f"The {split} split of {target.name} by {encoder} in setup {setup} is empty ({len(samples)} photos).",
                "photos with a label and a vector in train, dev and test",
                "features status, to see what is there; features build, to bring it up to date",
            )
    return samples


def read_vectors(layout: Layout, encoder: str) -> tuple[list[str], Array]:
    """Every photo that has the vectors of `encoder` (`a+b`: of both), sorted by id; X float32 (n, d).

    Raises:
        StoreError: an encoder has no vectors in the store.
    """
    from features import vectors

    ids, X = vectors.read(layout, encoder.split("+", maxsplit=1)[0])
    for name in encoder.split("+")[1:]:
        others, Y = vectors.read(layout, name)
        _, i, j = np.intersect1d(np.asarray(ids), np.asarray(others), assume_unique=True, return_indices=True)
        ids, X = [ids[at] for at in i], np.concatenate([X[i], Y[j]], 1)
    return ids, X
