"""Personal taste: P(like | sender, photo), from the swipe log and the vectors of an encoder.

1. Each photo has a level: how much it is liked on average (`models.taste.photos`).
2. A few directions of the vectors are found in which senders differ more than by chance (`models.taste.fit`).
3. Each sender has weights for constant, level and directions, around the mean of the sender's gender.
4. The model is evaluated with 10 % of the pairs and 20 % of the owners held out, then fitted to all.

Only the part that all senders share is stored. The weights of one sender are computed at each request, so that the
newest swipes count, and no data of a sender is stored outside the warehouse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import sklearn
from photogenic.models.data.array_types import Array
from photogenic.models.evaluation.metrics import bootstrap, interval, log_loss
from photogenic.models.taste.fit import Groups, Pairs, Positions, Posterior, directions, posterior, sigmoid, spread
from photogenic.models.taste.photos import Projection, level_from_swipes, project

__all__ = ["RANK", "Photos", "Taste", "evaluate", "fit", "marginal"]

RANK = 8


@dataclass(frozen=True, slots=True)
class Photos:
    """X: vectors, float32 (photos, D); owner: number of the owner of each photo."""

    X: Array
    owner: Positions


@dataclass(frozen=True, slots=True)
class Taste:
    """The shared part of the model, and the photos that it was fitted to.

    Attributes:
        projection: projection from vectors to places and levels.
        directions: directions of taste, (d, rank).
        groups: mean and covariance of senders' weights by group.
        foretold, n, likes: level predicted from the vector, number of swipes and number of likes of each photo.
        places: coordinates of each photo along the directions, (photos, rank).
    """

    projection: Projection
    directions: Array
    groups: Groups
    foretold: Array
    n: Array
    likes: Array
    places: Array

    def weights(self, pairs: Pairs) -> Posterior:
        """Return the weights of these senders, from their own swipes."""
        F = self.features(pairs, own=True)
        return posterior(F, pairs, self.groups)

    def features(self, pairs: Pairs, *, own: bool) -> Array:
        """Return the features of the photo of each row, (rows, 2 + rank); `own`: without the swipes of that row."""
        less = (pairs.n, pairs.likes) if own else (0, 0)
        n, likes = self.n[pairs.photo] - less[0], self.likes[pairs.photo] - less[1]
        level = level_from_swipes(self.foretold[pairs.photo], self.projection.doubt, n, likes)
        return np.column_stack([np.ones(len(level)), level, self.places[pairs.photo]])

    def of_vectors(self, X: Array) -> Array:
        """Return the features of photos without swipes: (n, D) -> (n, 2 + rank)."""
        places = self.projection.places(X)
        return np.column_stack([np.ones(len(X)), self.projection.foretold(places), places @ self.directions])

    def logit_of_like(self, F: Array, mode: Array, covariance: Array, doubt: float = 0.0) -> tuple[Array, Array]:
        """Return mean and standard deviation of the logit of a like: features (n, k), weights (n, k), (n, k, k).

        `doubt` is the variance of the photos' levels; it is scaled by the sender's weight of the level.
        """
        variance = np.einsum("ni,nij,nj->n", F, covariance, F) + doubt * mode[:, 1] ** 2
        return np.einsum("ni,ni->n", F, mode), np.sqrt(variance)


def fit(photos: Photos, pairs: Pairs, rank: int = RANK) -> Taste:
    """Fit the part that all senders share.

    Args:
        photos: vectors and owners; photos without swipes are ignored.
        pairs: swipes, on photos of at least two owners.
        rank: largest number of directions.
    """
    n, likes = (_summed(pairs.photo, column, len(photos.X)) for column in (pairs.n, pairs.likes))
    seen = n > 0
    projection, outside = project(photos.X[seen], n[seen], likes[seen], photos.owner[seen])
    at = projection.places(photos.X)
    foretold = projection.foretold(at)
    foretold[seen] = outside
    bare = Taste(
        projection, np.zeros((at.shape[1], 0)), _standard_normal(2), foretold, n, likes, np.zeros((len(at), 0))
    )
    F = bare.features(pairs, own=True)
    groups, estimate = spread(F, pairs)
    p = sigmoid(np.einsum("ij,ij->i", F, estimate.mode[pairs.sender]))
    V = directions(at, pairs, p, rank)
    V = V / np.maximum(np.sqrt(np.average((at @ V) ** 2, axis=0, weights=n)), 1e-9) if V.shape[1] else V
    full = Taste(projection, V, groups, foretold, n, likes, at @ V)
    groups, _ = spread(full.features(pairs, own=True), pairs)
    return Taste(projection, V, groups, foretold, n, likes, at @ V)


def _summed(at: Positions, column: Array, length: int) -> Array:
    return np.asarray(np.bincount(at, column, length), np.float64)


def _standard_normal(k: int) -> Groups:
    return Groups(np.zeros((1, k)), np.eye(k))


def marginal(mean: Array, deviation: Array) -> Array:
    """Return the expected probability of a normal logit. Source: MacKay 1992, Neural Computation 4, eq. 10."""
    return sigmoid(mean / np.sqrt(1 + np.pi * deviation**2 / 8))


def evaluate(photos: Photos, pairs: Pairs, held_out: NDArray[np.bool_], unseen: NDArray[np.bool_]) -> dict[str, Any]:
    """Fit without the held-out rows and without the photos of unseen owners, and evaluate on both.

    Returns:
        `known_photos` and `new_photos`, each with `taste`, `photo` (the photo's own ratio; for a new photo, predicted
        from its vector) and `sender` (that, and the sender's own share of likes: the first two features alone), each
        with `auc` and `log_loss` per swipe; `gain`, the log-loss of photo minus that of taste; `interval`, its 95 %
        interval over senders; and `n_swipes`. A part without swipes is left out.
    """
    known, kept = pairs.rows(~held_out & ~unseen)
    taste, bare = fit(photos, known), fit(photos, known, 0)
    found: dict[str, Any] = {}
    for name, chosen in (("known_photos", held_out & ~unseen), ("new_photos", unseen)):
        asked = np.flatnonzero(chosen & np.isin(pairs.sender, kept))
        if len(asked):
            found[name] = _evaluate_part(taste, bare, known, _select(pairs, asked, kept), new=name == "new_photos")
    return found


def _select(pairs: Pairs, asked: Positions, kept: Positions) -> Pairs:
    """Select the rows to predict, with senders numbered as in the kept rows."""
    sender = np.searchsorted(kept, pairs.sender[asked])
    return Pairs(sender, pairs.photo[asked], pairs.n[asked], pairs.likes[asked], pairs.group[kept])


def _evaluate_part(taste: Taste, bare: Taste, known: Pairs, asked: Pairs, *, new: bool) -> dict[str, Any]:
    said = {}
    for name, model in (("taste", taste), ("sender", bare)):
        estimate = model.weights(known)
        F = model.features(asked, own=False)
        mode, covariance = estimate.mode[asked.sender], estimate.covariance[asked.sender]
        said[name] = marginal(*model.logit_of_like(F, mode, covariance, model.projection.doubt if new else 0.0))
    level, doubt = bare.features(asked, own=False)[:, 1], bare.projection.doubt if new else 0.0
    said["photo"] = marginal(level, np.full(len(level), np.sqrt(doubt)))
    ratio = asked.likes / asked.n
    found: dict[str, Any] = {
        name: {"auc": _auc(asked, p), "log_loss": log_loss(ratio, p, asked.n)} for name, p in said.items()
    }
    clipped = {name: np.clip(p, 1e-7, 1 - 1e-7) for name, p in said.items()}
    gain = asked.likes * np.log(clipped["taste"] / clipped["photo"])
    gain += (asked.n - asked.likes) * np.log((1 - clipped["taste"]) / (1 - clipped["photo"]))
    sums = np.stack([_summed(asked.sender, column, len(asked.group)) for column in (asked.n, gain)], 1)
    draws = bootstrap(sums[sums[:, 0] > 0], np.random.default_rng(0), 1000)
    found["gain"], found["interval"] = float(gain.sum() / asked.n.sum()), interval(draws[:, 1] / draws[:, 0])
    found["n_swipes"] = int(asked.n.sum())
    return found


def _auc(asked: Pairs, p: Array) -> float | None:
    """Return the AUC over all swipes to predict; None if all have the same answer."""
    likes, passes = asked.likes, asked.n - asked.likes
    if not likes.any() or not passes.any():
        return None
    labels = np.repeat([1, 0], len(p))
    return float(sklearn.metrics.roc_auc_score(labels, np.tile(p, 2), sample_weight=np.concatenate([likes, passes])))
