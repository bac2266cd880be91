"""What taste needs to know of photos: how liked each is by all, and where it lies in the projection of an encoder.

The level of a photo is the logit of its like ratio. Its vector foretells it by ridge regression, to within
`doubt`; its swipes tell the rest. A photo that nobody has swiped on has the foretold level.
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
    """Turns vectors into places and levels.

    Attributes:
        mean, scale: of each number of a vector, (D,).
        axes: principal axes, (D, d), such that the first coordinate has variance 1.
        level: coefficients of the foretold level, the constant first, (d + 1,).
        doubt: variance of true levels around foretold ones.
    """

    mean: Array
    scale: Array
    axes: Array
    level: Array
    doubt: float

    def places(self, X: Array) -> Array:
        """Vectors (n, D) -> (n, d)."""
        return np.asarray(((X - self.mean) / self.scale) @ self.axes, np.float64)

    def foretold(self, places: Array) -> Array:
        """Places (n, d) -> levels (n,)."""
        return np.asarray(self.level[0] + places @ self.level[1:])


def project(X: Array, n: Array, likes: Array, owner: NDArray[np.intp]) -> tuple[Projection, Array]:
    """Fit projection to photos.

    Args:
        X: vectors, (photos, D).
        n: swipes of each photo, at least one.
        likes: likes among them.
        owner: of each photo, as a number; photos of one owner stay in one fold.

    Returns:
        The projection, and the level of each photo as a ridge foretells it that was fitted without its fold.
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
    """The foretold level and what swipes say, each by how sure it is; no swipes: the foretold one."""
    y, noise = _observed(n, likes)
    share = np.where(n > 0, doubt / (doubt + noise), 0.0)
    return np.asarray(foretold + share * (y - foretold))


def _observed(n: Array, likes: Array) -> tuple[Array, Array]:
    """Logit of the like ratio, and its variance by chance; half a swipe each way keeps both finite."""
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
    """Constant and coefficients; the constant is not penalised."""
    weight = weight / weight.mean()
    mean_x, mean_y = np.average(X, axis=0, weights=weight), np.average(y, weights=weight)
    C = X - mean_x
    slope = np.linalg.solve(C.T @ (weight[:, None] * C) + penalty * np.eye(X.shape[1]), C.T @ (weight * (y - mean_y)))
    return np.concatenate([[mean_y - mean_x @ slope], slope])
