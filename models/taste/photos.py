"""Features of photos for taste: the level of a photo, and its place in a projection of the encoder's vectors.

The level of a photo is the logit of its like ratio. Ridge regression predicts it from the vector, with variance
`doubt`; the swipes on the photo correct the prediction. A photo without swipes has the predicted level.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from photogenic.models.data.array_types import Array
from photogenic.models.data.samples import Standardisation

__all__ = ["Projection", "level_from_swipes", "project"]

DIM = 64
PHOTOS_PER_DIM = 2
FOLDS = 5
PENALTIES = tuple(10.0**power for power in range(-2, 5))


@dataclass(frozen=True, slots=True)
class Projection:
    """Projection from vectors to places and levels.

    Attributes:
        mean, scale: mean and scale of each dimension of a vector, (D,).
        axes: principal axes, (D, d), scaled so that the first coordinate has variance 1.
        level: coefficients of the predicted level, constant first, (d + 1,).
        doubt: variance of true levels around predicted ones.
    """

    mean: Array
    scale: Array
    axes: Array
    level: Array
    doubt: float

    def places(self, X: Array) -> Array:
        """Project vectors (n, D) -> places (n, d)."""
        return np.asarray(((X - self.mean) / self.scale) @ self.axes, np.float64)

    def foretold(self, places: Array) -> Array:
        """Predict levels from places (n, d) -> (n,)."""
        return np.asarray(self.level[0] + places @ self.level[1:])


def project(X: Array, n: Array, likes: Array, owner: NDArray[np.intp]) -> tuple[Projection, Array]:
    """Fit the projection to photos.

    Args:
        X: vectors, (photos, D).
        n: number of swipes on each photo, at least one.
        likes: number of likes among them.
        owner: owner of each photo, as a number; photos of one owner stay in one fold.

    Returns:
        Projection, and the level of each photo as predicted by a ridge regression that was fitted without its fold.
    """
    standard = Standardisation.of(X)
    Z = np.asarray(standard(X), np.float64)
    _, lengths, axes = np.linalg.svd(Z, full_matrices=False)
    d = max(1, min(DIM, len(X) // PHOTOS_PER_DIM, int((lengths > 1e-6 * lengths[0]).sum())))
    signs = np.sign(axes[np.arange(d), np.abs(axes[:d]).argmax(1)])
    A = (axes[:d] * signs[:, None]).T * (np.sqrt(len(X)) / lengths[0])
    places = Z @ A
    y, noise = _observed(n, likes)
    weight = 1 / (noise + max(float(np.var(y) - noise.mean()), 0.01))
    fold = np.unique(owner, return_inverse=True)[1] % FOLDS
    outside = np.stack([_out_of_fold(places, y, weight, fold, penalty) for penalty in PENALTIES])
    errors = (weight * (outside - y) ** 2).sum(1)
    best = int(errors.argmin())
    doubt = float(np.average((outside[best] - y) ** 2 - noise, weights=weight))
    level = _ridge(places, y, weight, PENALTIES[best])
    return Projection(standard.mean, standard.scale, A, level, max(doubt, 1e-3)), outside[best]


def level_from_swipes(foretold: Array, doubt: float, n: Array, likes: Array) -> Array:
    """Combine predicted levels and swipes, weighted by their precision; without swipes, the predicted level."""
    y, noise = _observed(n, likes)
    share = np.where(n > 0, doubt / (doubt + noise), 0.0)
    return np.asarray(foretold + share * (y - foretold))


def _observed(n: Array, likes: Array) -> tuple[Array, Array]:
    """Return the logit of the like ratio and its variance by chance; half a swipe each way keeps both finite."""
    up, down = likes + 0.5, n - likes + 0.5
    return np.log(up / down), 1 / up + 1 / down


def _out_of_fold(X: Array, y: Array, weight: Array, fold: NDArray[np.intp], penalty: float) -> Array:
    said = np.full(len(y), np.average(y, weights=weight))
    for k in np.unique(fold):
        out = fold == k
        if (~out).any():
            level = _ridge(X[~out], y[~out], weight[~out], penalty)
            said[out] = level[0] + X[out] @ level[1:]
    return said


def _ridge(X: Array, y: Array, weight: Array, penalty: float) -> Array:
    """Return constant and coefficients; the constant is not penalized."""
    weight = weight / weight.mean()
    mean_x, mean_y = np.average(X, axis=0, weights=weight), np.average(y, weights=weight)
    C = X - mean_x
    slope = np.linalg.solve(C.T @ (weight[:, None] * C) + penalty * np.eye(X.shape[1]), C.T @ (weight * (y - mean_y)))
    return np.concatenate([[mean_y - mean_x @ slope], slope])
